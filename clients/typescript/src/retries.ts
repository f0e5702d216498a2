/** When a request is sent again, and after how long. Pure: time and chance are arguments. */

/** How often and how long a request is repeated. */
export interface RetryPolicy {
  /** 1 never repeats. */
  maxAttempts: number;
  /** The pause before attempt n + 1 is random between 0 and firstDelayMs * 2 ** (n - 1) … */
  firstDelayMs: number;
  /** … and at most this; or what Retry-After asks for. */
  maxDelayMs: number;
  /** No attempt begins later than this after the first one began. */
  limitMs: number;
}

export const DEFAULT_POLICY: Readonly<RetryPolicy> = {
  maxAttempts: 6,
  firstDelayMs: 500,
  maxDelayMs: 8_000,
  limitMs: 60_000,
};

/** Clients that were refused together must not come back together. */
const RETRY_AFTER_JITTER = 0.1;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
const SERVER_FAILURES = new Set([500, 502, 503, 504]);

/** The policy with what is missing. Throws RangeError for values that are not usable. */
export function policyOf(given: Partial<RetryPolicy> = {}): RetryPolicy {
  const policy = { ...DEFAULT_POLICY, ...given };
  if (!(policy.maxAttempts >= 1)) {
    throw new RangeError(`maxAttempts is ${policy.maxAttempts}; it must be at least 1`);
  }
  const times = [policy.firstDelayMs, policy.maxDelayMs, policy.limitMs];
  if (!times.every((each) => Number.isFinite(each) && each >= 0)) {
    throw new RangeError("Delays and the limit must be finite numbers of milliseconds, 0 or more");
  }
  return policy;
}

/**
 * Milliseconds to wait after this attempt (the first is 1), or undefined to give up.
 * `elapsedMs`: since the first attempt began. `chance`: uniform in [0, 1).
 */
export function pauseMs(
  policy: RetryPolicy,
  attempt: number,
  elapsedMs: number,
  chance: number,
  retryAfterMs?: number,
): number | undefined {
  if (attempt >= policy.maxAttempts) return undefined;
  const ceiling = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
  const pause =
    retryAfterMs === undefined ? ceiling * chance : retryAfterMs * (1 + RETRY_AFTER_JITTER * chance);
  return elapsedMs + pause <= policy.limitMs ? pause : undefined;
}

/** Whether the request can be carried out twice without a second effect. */
export function repeatsSafely(method: string, idempotencyKey: string | undefined): boolean {
  return SAFE_METHODS.has(method) || (method === "POST" && idempotencyKey !== undefined);
}

/**
 * Whether a refused request is sent again. `safe`: what `repeatsSafely` says of it.
 * 429: it was not carried out. 409 `idempotency_in_flight`: the first one with its key still runs.
 */
export function retriesAnswer(status: number, code: string, safe: boolean): boolean {
  if (status === 429) return true;
  if (!safe) return false;
  return SERVER_FAILURES.has(status) || (status === 409 && code === "idempotency_in_flight");
}

/** The header Retry-After, in seconds or as a date; undefined if missing or unreadable. */
export function retryAfterMs(header: string | null, now: number = Date.now()): number | undefined {
  if (header === null) return undefined;
  const value = header.trim();
  if (/^\d+$/.test(value)) return Number(value.slice(0, 9)) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
