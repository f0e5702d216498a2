/**
 * A shop that uses the client, as its own program: `node shop.js sell|finish`. Standard input has
 * the arguments, standard output the results, both as JSON. tests/support/clients/shop.py of the
 * platform is the same in Python.
 */
import { readFileSync } from "node:fs";

import {
  ApiError,
  connect,
  createPayment,
  items,
  listPayments,
  refundPayment,
  verifiedEvent,
  waitForOutcome,
} from "@payment-platform/client";

type Client = ReturnType<typeof connect>;

function connected(baseUrl: string, token: string): Client {
  return connect({ baseUrl, token, retries: { maxAttempts: 8 } });
}

function pay(client: Client, amount: number, key: string, payment_method = "tok_approved") {
  const body = { amount, currency: "USD", payment_method };
  return createPayment({ client, headers: { "Idempotency-Key": key }, body });
}

async function sell(given: { api_url: string; token: string; expired: string }) {
  const client = connected(given.api_url, given.token);
  const paid: string[] = [];
  for (const number of [0, 1, 2]) paid.push((await pay(client, 1000 + number, `sale-${number}`)).id);
  const again = await pay(client, 1000, "sale-0");
  const body = { amount: 300, reason: "One was damaged" };
  const refunded = await refundPayment({ client, path: { id: paid[0]! }, body });
  return {
    paid,
    again: again.id,
    refunded: refunded.amount_refunded,
    listed: await listed(client, paid.length),
    unknown: (await pay(client, 5000, "unknown", "tok_timeout")).status,
    declined: await errorOf(pay(client, 1, "declined", "tok_insufficient_funds")),
    invalid: await errorOf(pay(client, -1, "invalid")),
    expired: await errorOf(pay(connected(given.api_url, given.expired), 1, "expired")),
  };
}

interface Webhook {
  body: string;
  headers: Record<string, string>;
  secret: string;
}

async function finish(given: { api_url: string; token: string; webhook: Webhook }) {
  const client = connected(given.api_url, given.token);
  const payment = await waitForOutcome(client, await pay(client, 5000, "unknown", "tok_timeout"));
  const { body, headers, secret } = given.webhook;
  const event = verifiedEvent(body, headers, secret);
  return { status: payment.status, event: event.type, payment: event.data.id };
}

/** Lists may lag by some seconds. */
async function listed(client: Client, count: number): Promise<string[]> {
  let found: string[] = [];
  for (let attempt = 0; attempt < 20; attempt += 1) {
    found = [];
    const query = { limit: 1, status: "succeeded" } as const;
    for await (const payment of items(listPayments, { client, query })) found.push(payment.id);
    if (found.length === count) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return found;
}

async function errorOf(refused: PromiseLike<unknown>) {
  try {
    await refused;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { name, status, code, param, decline_code, payment_id, request_id } = error;
    return {
      type: name,
      status,
      code,
      param: param ?? null,
      decline_code: decline_code ?? null,
      payment_id: payment_id ?? null,
      request_id: request_id ?? null,
    };
  }
  throw new Error("it was not refused");
}

const commands: Record<string, (given: never) => Promise<object>> = { sell, finish };
const given = JSON.parse(readFileSync(0, "utf8")) as never;
console.log(JSON.stringify(await commands[process.argv[2]!]!(given)));
