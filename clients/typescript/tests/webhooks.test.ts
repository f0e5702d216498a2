import assert from "node:assert/strict";
import { test } from "node:test";

import { Webhook } from "standardwebhooks";

import { WebhookVerificationFailed } from "../src/errors.js";
import { verifiedEvent } from "../src/webhooks.js";

const SECRET = `whsec_${Buffer.from("a".repeat(32)).toString("base64")}`;
const OLD = `whsec_${Buffer.from("b".repeat(32)).toString("base64")}`;
const EVENT = { id: "whk_1", type: "payment.succeeded", created: "2026", sequence: 2, data: {} };

function signed(body: string, ageSeconds = 0, ...secrets: string[]) {
  const at = new Date(Date.now() - ageSeconds * 1000);
  const by = secrets.length > 0 ? secrets : [SECRET];
  return {
    "Webhook-Id": "whk_1",
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": by.map((each) => new Webhook(each).sign("whk_1", at, body)).join(" "),
  };
}

test("a signed event is returned, as text or as bytes, from any headers", () => {
  const body = JSON.stringify(EVENT);
  const headers = signed(body);
  assert.deepEqual(verifiedEvent(body, headers, SECRET), EVENT);
  assert.deepEqual(verifiedEvent(new TextEncoder().encode(body), headers, SECRET), EVENT);
  assert.deepEqual(verifiedEvent(body, new Headers(headers), SECRET), EVENT);
});

test("during a rotation either signature and either secret is enough", () => {
  const body = JSON.stringify(EVENT);
  assert.deepEqual(verifiedEvent(body, signed(body, 0, OLD, SECRET), SECRET), EVENT);
  assert.deepEqual(verifiedEvent(body, signed(body, 0, OLD), [SECRET, OLD]), EVENT);
});

test("what is not authentic is refused with one kind of error", () => {
  const body = JSON.stringify(EVENT);
  const good = signed(body);
  const cases: [string | Uint8Array, Record<string, string>][] = [
    [`${body} `, good],
    [body, signed(body, 301)],
    [body, signed(body, -301)],
    [body, signed(body, 0, OLD)],
    [body, {}],
    [body, { ...good, "webhook-signature": "v1" }],
    [body, { ...good, "webhook-signature": "v1,%%%" }],
    [body, { ...good, "webhook-signature": "" }],
    [body, { ...good, "webhook-timestamp": "soon" }],
    [new Uint8Array([0xff, 0xfe]), good],
    ["[]", signed("[]")],
    ["null", signed("null")],
    ["no json", signed("no json")],
    ["x".repeat(1024 * 1024 + 1), good],
  ];
  for (const [text, headers] of cases) {
    assert.throws(() => verifiedEvent(text, headers, SECRET), WebhookVerificationFailed);
  }
});

test("a wrong secret is the receiver's mistake, and is not repeated", () => {
  for (const wrong of ["", "whsec_", "whsec_%%%%"]) {
    assert.throws(() => verifiedEvent("{}", {}, wrong), (error: Error) => {
      return error instanceof TypeError && !error.message.includes("%%%%");
    });
  }
  assert.throws(() => verifiedEvent("{}", {}, []), TypeError);
});
