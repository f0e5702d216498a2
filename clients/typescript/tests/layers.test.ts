import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../src/connection.js";
import { OutcomeUnknown } from "../src/errors.js";
import { outcomeIsKnown, poll } from "../src/outcomes.js";
import { items } from "../src/pages.js";
import { pauseMs, policyOf, retryAfterMs } from "../src/retries.js";

test("pauses grow, have a ceiling, and end with the attempts", () => {
  const policy = policyOf();
  const pauses = [1, 2, 3, 4, 5].map((attempt) => pauseMs(policy, attempt, 0, 1));
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000]);
  assert.equal(pauseMs(policy, 6, 0, 0), undefined);
  assert.equal(pauseMs(policy, 1, 59_900, 1), undefined);
  assert.throws(() => policyOf({ maxAttempts: 0 }), RangeError);
  assert.throws(() => policyOf({ limitMs: Number.POSITIVE_INFINITY }), RangeError);
});

test("Retry-After is seconds or a date", () => {
  const now = Date.parse("2026-12-01T09:00:00Z");
  assert.equal(retryAfterMs("7", now), 7000);
  assert.equal(retryAfterMs("Tue, 01 Dec 2026 09:00:05 GMT", now), 5000);
  assert.equal(retryAfterMs("Tue, 01 Dec 2026 08:00:00 GMT", now), 0);
  for (const unreadable of [null, "", "soon", "-1.5x"]) {
    assert.equal(retryAfterMs(unreadable, now), undefined);
  }
});

test("items reads page after page, with the same filters", async () => {
  const asked: unknown[] = [];
  const pages = [
    { data: [1, 2], next_cursor: "c1" },
    { data: [], next_cursor: "c2" },
    { data: [3], next_cursor: null },
  ];
  async function list(options: { query?: { cursor?: string | null; limit?: number } }) {
    asked.push(options.query);
    return pages[asked.length - 1]!;
  }
  const found: number[] = [];
  for await (const each of items(list, { query: { limit: 2 } })) found.push(each);
  assert.deepEqual(found, [1, 2, 3]);
  assert.deepEqual(asked, [{ limit: 2 }, { limit: 2, cursor: "c1" }, { limit: 2, cursor: "c2" }]);
});

function payment(status: string, ...transactions: string[]) {
  return { id: "pay_1", status, transactions: transactions.map((each) => ({ status: each })) };
}

test("a payment is polled until its outcome is known", async () => {
  const states = [payment("unknown"), payment("succeeded", "succeeded", "pending"), payment("failed")];
  let time = 0;
  const clock = {
    sleep: async (ms: number) => {
      time += ms;
    },
    now: () => time,
    chance: () => 1,
  };
  const read = async () => states.shift()!;
  assert.equal((await poll(read, "pay_1", 60_000, clock)).status, "failed");
  assert.equal(time, 3000);
  const never = async () => payment("processing");
  await assert.rejects(poll(never, "pay_1", 20_000, clock), OutcomeUnknown);
  assert.ok(outcomeIsKnown({ id: "pay_1", status: "requires_action" }));
});

test("only https, or this machine", () => {
  for (const baseUrl of ["https://api.example", "http://localhost:4566/x", "http://127.0.0.1:1"]) {
    connect({ baseUrl, token: "t" });
  }
  for (const baseUrl of ["http://api.example", "https://user@api.example", "ftp://api.example"]) {
    assert.throws(() => connect({ baseUrl, token: "t" }), TypeError);
  }
});
