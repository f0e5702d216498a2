/**
 * The layer below the generated code: it signs in, repeats, and throws an error for each refusal.
 * The generated code only ever sees answers below 300, so it never parses what is not an answer.
 */
import { ConnectionFailed, errorOf } from "./errors.js";
import {
  type RetryPolicy,
  pauseMs,
  repeatsSafely,
  retriesAnswer,
  retryAfterMs,
} from "./retries.js";

export const KEY_HEADER = "Idempotency-Key";

export type TokenSource = string | (() => string | Promise<string>);

/** What the transport needs of its surroundings; tests replace it. */
export interface Surroundings {
  fetch: typeof fetch;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  now: () => number;
  chance: () => number;
}

export const SURROUNDINGS: Surroundings = {
  fetch: (...request) => globalThis.fetch(...request),
  sleep,
  now: () => performance.now(),
  chance: Math.random,
};

/** A `fetch` whose result is an answer below 300, or a PaymentsError. */
export function retryingFetch(
  token: TokenSource,
  policy: RetryPolicy,
  timeoutMs: number,
  outside: Surroundings = SURROUNDINGS,
): typeof fetch {
  return async (input, init) => {
    const request = await withKey(new Request(input, init));
    const key = request.headers.get(KEY_HEADER) ?? (await keyInBody(request));
    const safe = repeatsSafely(request.method, key);
    const started = outside.now();
    for (let attempt = 1; ; attempt += 1) {
      const elapsed = () => outside.now() - started;
      const bound = attempt === 1 ? timeoutMs : Math.min(timeoutMs, policy.limitMs - elapsed());
      const outcome = await once(request, token, Math.max(1000, bound), outside);
      let pause: number | undefined;
      if (outcome instanceof Response) {
        if (outcome.status < 300) return outcome;
        const error = errorOf(outcome.status, outcome.headers, await outcome.text());
        error.idempotency_key = key;
        if (retriesAnswer(error.status, error.code, safe)) {
          const asked = retryAfterMs(outcome.headers.get("retry-after"));
          pause = pauseMs(policy, attempt, elapsed(), outside.chance(), asked);
        }
        if (pause === undefined) throw error;
      } else {
        if (safe || neverSent(outcome.failure)) {
          pause = pauseMs(policy, attempt, elapsed(), outside.chance());
        }
        if (pause === undefined) throw noAnswer(request, attempt, key, outcome.failure);
      }
      await outside.sleep(pause, request.signal);
    }
  };
}

/** One attempt, its body read: a connection that breaks in the middle of it is a failure, too. */
async function once(
  request: Request,
  token: TokenSource,
  timeoutMs: number,
  outside: Surroundings,
): Promise<Response | { failure: unknown }> {
  const attempt = new Request(request.clone(), {
    signal: AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]),
    redirect: "manual",
  });
  attempt.headers.set("Authorization", `Bearer ${await checkedToken(token)}`);
  try {
    const response = await outside.fetch(attempt);
    const body = await response.arrayBuffer();
    const { status, headers } = response;
    return new Response(body.byteLength > 0 ? body : null, { status, headers: plain(headers) });
  } catch (failure) {
    // The caller's own signal ends the request; it is neither repeated nor wrapped.
    request.signal.throwIfAborted();
    return { failure };
  }
}

/** A POST without a key, in its header or its body, gets a new one. */
async function withKey(request: Request): Promise<Request> {
  if (request.method !== "POST" || request.headers.has(KEY_HEADER)) return request;
  if ((await keyInBody(request)) === undefined) {
    request.headers.set(KEY_HEADER, crypto.randomUUID());
  }
  return request;
}

async function keyInBody(request: Request): Promise<string | undefined> {
  if (request.method !== "POST") return undefined;
  const body = await request.clone().text();
  if (!body.includes('"idempotency_key"')) return undefined;
  try {
    const document: unknown = JSON.parse(body);
    const key = (document as { idempotency_key?: unknown } | null)?.idempotency_key;
    return typeof key === "string" ? key : undefined;
  } catch {
    return undefined;
  }
}

async function checkedToken(source: TokenSource): Promise<string> {
  const token = typeof source === "string" ? source : await source();
  // Checked here, because the error of Headers would repeat it.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError("The token is empty, or has spaces or characters that tokens do not have");
  }
  return token;
}

/** The body has been decoded: the headers must not say that it is compressed. */
function plain(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of ["content-encoding", "content-length", "transfer-encoding"]) kept.delete(name);
  return kept;
}

/** Failures before the first byte, by Node's codes: any request may be repeated after them. */
function neverSent(failure: unknown): boolean {
  const codes = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"];
  return codes.includes(codeOf(failure) ?? "");
}

/** Node wraps the failure of a connection: fetch's own error only says that it failed. */
function codeOf(failure: unknown): string | undefined {
  const code = (failure as { cause?: { code?: unknown } } | undefined)?.cause?.code;
  return typeof code === "string" ? code : undefined;
}

function noAnswer(request: Request, attempts: number, key: string | undefined, cause: unknown) {
  const { pathname } = new URL(request.url);
  const kind = codeOf(cause) ?? (cause instanceof Error ? cause.name : "failure");
  return new ConnectionFailed(
    `${request.method} ${pathname} got no answer after ${attempts} attempts: ${kind}`,
    attempts,
    key,
    { cause },
  );
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", stop, { once: true });
    function done() {
      signal.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}
