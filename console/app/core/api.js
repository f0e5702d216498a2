// The API's client: one function for reading, one for lists, one for changes.
import { exact } from "./json.js";
import { currentToken, isOperator, chosenMerchant, signOut } from "./session.js";

const BASE = new URL("v1/", document.baseURI);
const TIMEOUT_MS = 30_000;
const MOST_ATTEMPTS = 3;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;
/** Answers after which repeating a GET may help: throttled, or a server that did not answer. */
const WORTH_REPEATING = new Set([429, 502, 503, 504]);
const UNREADABLE = { title: "The answer is not JSON." };
export const PAGE_SIZE = 25;
/** The owner of the platform's own accounts; operators list them by naming no merchant. */
const PLATFORM = "platform";

/** A refusal of the API, or a failure to reach it. `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.title ?? `The API answered ${status}.`);
    Object.assign(this, { status, code: problem.code, detail: problem.detail, problem });
    this.requestId = problem.request_id ?? null;
  }
}

/** Read one thing by its path, for example `payments/pay_…`. Operators may read every merchant's. */
export function read(path, query = {}) {
  return send("GET", path, query);
}

/** Read a page of a list of the merchant that is shown: {data, next_cursor}. */
export function list(path, query = {}) {
  return send("GET", path, { limit: PAGE_SIZE, ...ofMerchant(), ...query });
}

/** Read something about the merchant that is shown, which is not a list. */
export function readOfMerchant(path, query = {}) {
  return send("GET", path, { ...ofMerchant(), ...query });
}

/** Every item of a list, page by page, up to `most`: {data, complete}. */
export async function listAll(path, query = {}, most = 1000) {
  const data = [];
  let cursor;
  do {
    const page = await list(path, { limit: 100, ...query, cursor });
    data.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor && data.length < most);
  return { data, complete: !cursor };
}

/**
 * Send a change: POST unless `method` is given. `key` is its Idempotency-Key: repeating the call with
 * the same key never does it twice. Pass `ofMerchant: true` where an operator must name the merchant.
 */
export function change(path, body, { key, method = "POST", ofMerchant: named = false } = {}) {
  return send(method, path, named ? ofMerchant() : {}, body ?? {}, key);
}

/** The query with which an operator lists what belongs to `merchantId`, whichever merchant is chosen. */
export function listedFor(merchantId) {
  return isOperator.value ? { merchant_id: merchantId === PLATFORM ? "" : merchantId } : {};
}

function ofMerchant() {
  return isOperator.value && chosenMerchant.value ? { merchant_id: chosenMerchant.value } : {};
}

async function send(method, path, query, body, key) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const headers = { Authorization: `Bearer ${currentToken()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== undefined) headers["Idempotency-Key"] = key;
  for (let attempt = 1; ; attempt += 1) {
    const last = method !== "GET" || attempt >= MOST_ATTEMPTS;
    try {
      const response = await fetch(url, {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (last || !WORTH_REPEATING.has(response.status)) return await answerOf(response);
      await wait(attempt, response.headers.get("Retry-After"));
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if (last) throw unreachable(error, method);
      await wait(attempt, null);
    }
  }
}

async function answerOf(response) {
  const text = await response.text();
  const answer = text === "" ? null : parsed(text);
  if (response.ok && answer !== UNREADABLE) return answer;
  // What a change came to is not known: as after a 502, the same request is repeated.
  if (response.ok) throw new ApiError(502, { ...UNREADABLE, request_id: response.headers.get("x-request-id") });
  if (response.status === 401) signOut("Your sign-in has expired or was refused. Sign in again.");
  const problem = answer ?? {};
  throw new ApiError(response.status, {
    ...problem, request_id: problem.request_id ?? response.headers.get("x-request-id"),
  });
}

function parsed(text) {
  try {
    return exact(text);
  } catch {
    return UNREADABLE;
  }
}

function unreachable(error, method) {
  const late = error.name === "TimeoutError";
  return new ApiError(0, {
    code: "unreachable",
    title: late ? "The API did not answer in time." : "The API cannot be reached.",
    detail: method === "GET"
      ? "Check the connection, then try again."
      : "It is not known whether the change was made. Try again: the same key never makes it twice.",
  });
}

function wait(attempt, retryAfterSeconds) {
  const wanted = Number(retryAfterSeconds) * 1000 || FIRST_WAIT_MS * 2 ** (attempt - 1);
  return new Promise((resolve) => setTimeout(resolve, Math.min(wanted, LONGEST_WAIT_MS)));
}
