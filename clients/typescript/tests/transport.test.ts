import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, AuthenticationError, ConnectionFailed, Declined } from "../src/errors.js";
import { type RetryPolicy, policyOf } from "../src/retries.js";
import { type TokenSource, retryingFetch } from "../src/transport.js";
import { World, problem, refused } from "./support.js";

const URL_ = "https://api.example/v1/payments";
const ok = (body: object = { id: "pay_1" }) => new Response(JSON.stringify(body), { status: 201 });

function through(world: World, policy: Partial<RetryPolicy> = {}, token: TokenSource = "tok") {
  return retryingFetch(token, policyOf(policy), 35_000, world.surroundings);
}

function post(body: object = { amount: 1 }, headers: Record<string, string> = {}): Request {
  return new Request(URL_, { method: "POST", body: JSON.stringify(body), headers });
}

test("a POST is repeated with the same key and the same body", async () => {
  const world = new World([new Response("oops", { status: 502 }), refused("ECONNRESET"), ok()]);
  const response = await through(world)(post());
  assert.equal(response.status, 201);
  assert.deepEqual(await response.json(), { id: "pay_1" });
  assert.equal(world.sent.length, 3);
  assert.match(world.sent[0]?.key ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(new Set(world.sent.map((each) => each.key)).size, 1);
  assert.deepEqual(new Set(world.sent.map((each) => each.body)), new Set(['{"amount":1}']));
  assert.deepEqual(world.slept, [250, 500]);
});

test("a key of the caller is kept, in the header or in the body", async () => {
  const header = new World([ok()]);
  await through(header)(post({}, { "Idempotency-Key": "order-1" }));
  assert.equal(header.sent[0]?.key, "order-1");
  const body = new World([new Response("", { status: 503 }), ok()]);
  await through(body)(post({ idempotency_key: "order-2" }));
  assert.deepEqual(body.sent.map((each) => each.key), [null, null]);
});

test("Retry-After is followed, and gives up at once beyond the limit", async () => {
  const answer = (seconds: string) =>
    new Response("{}", { status: 429, headers: { "retry-after": seconds } });
  const world = new World([answer("2"), ok()]);
  await through(world)(post());
  assert.deepEqual(world.slept, [2100]);
  const late = new World([answer("600")]);
  await assert.rejects(through(late)(post()), (error: ApiError) => error.status === 429);
  assert.deepEqual(late.slept, []);
});

test("attempts and time are limited", async () => {
  const failing = () => new Response("", { status: 500 });
  const world = new World(Array.from({ length: 6 }, failing));
  await assert.rejects(through(world)(post()), { code: "http_500" });
  assert.equal(world.sent.length, 6);
  const short = new World(Array.from({ length: 6 }, failing));
  await assert.rejects(through(short, { limitMs: 700 })(post()), { status: 500 });
  assert.equal(short.sent.length, 2);
});

test("a request that is in flight is repeated, another conflict is not", async () => {
  const world = new World([problem(409, "idempotency_in_flight"), ok()]);
  assert.equal((await through(world)(post())).status, 201);
  const other = new World([problem(409, "already_posted")]);
  await assert.rejects(through(other)(post()), { code: "already_posted" });
});

test("a decline is final, and has its code, its payment and its key", async () => {
  const more = { decline_code: "insufficient_funds", payment_id: "pay_9", retriable: true };
  const world = new World([problem(402, "declined", more)]);
  await assert.rejects(through(world)(post({}, { "Idempotency-Key": "k" })), (error: unknown) => {
    assert.ok(error instanceof Declined);
    assert.equal(error.decline_code, "insufficient_funds");
    assert.equal(error.payment_id, "pay_9");
    assert.equal(error.request_id, "req_1");
    assert.equal(error.retriable, true);
    assert.equal(error.idempotency_key, "k");
    return true;
  });
});

for (const body of ['{"message":"Unauthorized"}', "", "<html>", "[1]", "null", '{"code":7}']) {
  test(`401 is a typed error with the body ${JSON.stringify(body)}`, async () => {
    const headers = { "apigw-requestid": "gw_1" };
    const world = new World([new Response(body, { status: 401, headers })]);
    await assert.rejects(through(world)(post()), (error: unknown) => {
      assert.ok(error instanceof AuthenticationError);
      assert.equal(error.code, "unauthorized");
      assert.equal(error.request_id, "gw_1");
      assert.equal(error.body, body);
      return true;
    });
    assert.equal(world.sent.length, 1);
  });
}

test("a PATCH or DELETE is repeated only if it was certainly not carried out", async () => {
  const patch = () => new Request(URL_, { method: "PATCH", body: "{}" });
  const lost = new World([refused("ECONNRESET")]);
  await assert.rejects(through(lost)(patch()), ConnectionFailed);
  const failed = new World([new Response("", { status: 503 })]);
  await assert.rejects(through(failed)(patch()), { status: 503 });
  const unreachable = new World([refused("ECONNREFUSED"), ok()]);
  assert.equal((await through(unreachable)(patch())).status, 201);
});

test("no answer becomes an error that names the key", async () => {
  const world = new World(Array.from({ length: 6 }, () => refused("ECONNRESET")));
  await assert.rejects(through(world)(post({}, { "Idempotency-Key": "k" })), (error: unknown) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.equal(error.idempotency_key, "k");
    assert.equal(error.attempts, 6);
    assert.match(error.message, /^POST \/v1\/payments got no answer after 6 attempts: ECONNRESET$/);
    return true;
  });
});

test("the caller's signal ends the request without another attempt", async () => {
  const controller = new AbortController();
  const abort = () => {
    controller.abort(new Error("stop"));
    throw new DOMException("aborted", "AbortError");
  };
  const world = new World([abort]);
  const request = new Request(URL_, { signal: controller.signal });
  await assert.rejects(through(world)(request), /stop/);
  assert.equal(world.sent.length, 1);
});

test("a token source is asked for each attempt, and a bad token is not repeated", async () => {
  let count = 0;
  const world = new World([new Response("", { status: 500 }), ok()]);
  await through(world, {}, () => `token-${(count += 1)}`)(post());
  assert.deepEqual(world.sent.map((each) => each.authorization), [
    "Bearer token-1",
    "Bearer token-2",
  ]);
  await assert.rejects(through(new World([]), {}, "se cret")(post()), (error: Error) => {
    return error instanceof TypeError && !error.message.includes("se cret");
  });
});

test("a redirect is an error, and is not followed", async () => {
  const moved = new Response(null, { status: 302, headers: { location: "https://evil.example" } });
  const world = new World([moved]);
  await assert.rejects(through(world)(post()), { status: 302 });
});
