/** The client of the generated operations, on top of the transport that retries. */
import { type Client, createClient } from "./generated/client/index.js";
import { getPayment } from "./generated/sdk.gen.js";
import type { PaymentDetail } from "./generated/types.gen.js";
import { OUTCOME_LIMIT_MS, poll } from "./outcomes.js";
import { type RetryPolicy, policyOf } from "./retries.js";
import { type TokenSource, retryingFetch } from "./transport.js";

/** API Gateway gives up a request after 30 s; one attempt waits a little longer. */
const TIMEOUT_MS = 35_000;
const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]"]);

export interface ConnectOptions {
  /** The API's address without `/v1`; https, or http for this machine. */
  baseUrl: string;
  /** A token, an API key, or a function that returns the current one for every attempt. */
  token: TokenSource;
  retries?: Partial<RetryPolicy>;
  /** Of one attempt. */
  timeoutMs?: number;
}

/** A client for the generated operations: `await createPayment({ client, body: { … } })`. */
export function connect(options: ConnectOptions): Client {
  const fetch = retryingFetch(
    options.token,
    policyOf(options.retries),
    options.timeoutMs ?? TIMEOUT_MS,
  );
  return createClient({ baseUrl: checkedAddress(options.baseUrl), fetch, throwOnError: true });
}

/**
 * The payment once its outcome is known: reads it, again and again while the processor's answer is
 * missing (202). Throws OutcomeUnknown after `limitMs`.
 */
export function waitForOutcome(
  client: Client,
  payment: { id: string },
  limitMs: number = OUTCOME_LIMIT_MS,
): Promise<PaymentDetail> {
  const read = () => getPayment({ client, path: { id: payment.id } });
  return poll(read, payment.id, limitMs);
}

function checkedAddress(baseUrl: string): string {
  const { protocol, hostname, username } = new URL(baseUrl);
  const isLocal = LOCAL_HOSTS.has(hostname) || hostname.endsWith(".localhost");
  if (username !== "" || (protocol !== "https:" && !(protocol === "http:" && isLocal))) {
    throw new TypeError("baseUrl must begin with https:// (http:// only for this machine)");
  }
  return baseUrl.replace(/\/+$/, "");
}
