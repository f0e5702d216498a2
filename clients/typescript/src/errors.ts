/** Errors of the client. Every refused request is an `ApiError`, whatever body came with it. */

/** How much of a body that is not a problem document is repeated in the error. */
export const MAX_BODY_CHARACTERS = 500;

/** Any failure of this client. */
export class PaymentsError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/**
 * The API gave no answer. A request that changes something may have been carried out: repeat it with
 * the same `idempotency_key`, within 24 hours, to learn its outcome; never with another one. Later,
 * list the payments with that key.
 */
export class ConnectionFailed extends PaymentsError {
  constructor(
    message: string,
    readonly attempts: number,
    readonly idempotency_key: string | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The processor has not confirmed the payment in time. The platform goes on asking. The payment may
 * have been charged: read it again later, or wait for its webhook.
 */
export class OutcomeUnknown extends PaymentsError {
  constructor(
    readonly payment_id: string,
    waitedMs: number,
  ) {
    super(
      `The outcome of ${payment_id} is still unknown after ${Math.round(waitedMs / 1000)} s. ` +
        "Read it again later or wait for its webhook; do not pay again.",
    );
  }
}

/** The webhook was not signed with the secret, is too old or too new, or is not an event. */
export class WebhookVerificationFailed extends PaymentsError {}

/** One invalid field of a request. */
export interface InvalidField {
  param: string;
  detail: string;
}

type Document = Record<string, unknown>;

/**
 * The API refused the request. The attributes have the names of its problem document (RFC 9457).
 *
 * `code` is stable, for programs; `detail` is one sentence, for people. `request_id` identifies the
 * request to whoever runs the platform. Without a problem document, `code` is made from the status
 * (`http_502`) and `body` has the beginning of what came instead.
 */
export class ApiError extends PaymentsError {
  readonly code: string;
  readonly title: string | undefined;
  readonly detail: string;
  readonly param: string | undefined;
  readonly request_id: string | undefined;
  readonly decline_code: string | undefined;
  readonly payment_id: string | undefined;
  readonly transfer_id: string | undefined;
  readonly retriable: boolean | undefined;
  readonly errors: readonly InvalidField[];
  idempotency_key: string | undefined;

  constructor(
    readonly status: number,
    document: Document,
    readonly body = "",
  ) {
    const code = text(document, "code") ?? `http_${status}`;
    const detail = text(document, "detail") ?? `The API answered ${status}`;
    const param = text(document, "param");
    const request_id = text(document, "request_id");
    super(
      `${status} ${code}: ${detail}` +
        (param ? ` · param ${param}` : "") +
        (request_id ? ` · request ${request_id}` : ""),
    );
    this.code = code;
    this.title = text(document, "title");
    this.detail = detail;
    this.param = param;
    this.request_id = request_id;
    this.decline_code = text(document, "decline_code");
    this.payment_id = text(document, "payment_id");
    this.transfer_id = text(document, "transfer_id");
    this.retriable = typeof document.retriable === "boolean" ? document.retriable : undefined;
    this.errors = invalidFields(document.errors);
  }
}

/** 400, 405, 413, 415 or 422: the request has to be changed. `errors` has all fields. */
export class InvalidRequest extends ApiError {}
/** 401: the token is missing, invalid or expired. Get a new one. */
export class AuthenticationError extends ApiError {}
/** 402: the processor declined a payment, or a refund failed. `decline_code` says why. */
export class Declined extends ApiError {}
/** 403: the token lacks the permission. */
export class PermissionDenied extends ApiError {}
/** 404: the object does not exist, or belongs to another merchant. */
export class NotFound extends ApiError {}
/** 409: the current state of the object does not allow the request. */
export class Conflict extends ApiError {}
/** 423: the account or customer is locked for a while. */
export class ResourceLocked extends ApiError {}
/** 429: too many requests, for longer than the client retries. */
export class RateLimited extends ApiError {}
/** 5xx: the API failed, for longer than the client retries. */
export class ServerError extends ApiError {}

const BY_STATUS: Readonly<Record<number, typeof ApiError>> = {
  400: InvalidRequest,
  401: AuthenticationError,
  402: Declined,
  403: PermissionDenied,
  404: NotFound,
  405: InvalidRequest,
  409: Conflict,
  413: InvalidRequest,
  415: InvalidRequest,
  422: InvalidRequest,
  423: ResourceLocked,
  429: RateLimited,
};

/** The error of a refused request. Accepts any body: JSON, other text, or nothing. */
export function errorOf(status: number, headers: Headers, body: string): ApiError {
  let document = parsed(body);
  const isProblem = Boolean(text(document, "code") && text(document, "detail"));
  if (!text(document, "request_id")) {
    // API Gateway names the request in a header when it refuses by itself.
    const named = headers.get("x-request-id") ?? headers.get("apigw-requestid");
    document = { ...document, ...(named ? { request_id: named } : {}) };
  }
  const kind = BY_STATUS[status] ?? (status >= 500 ? ServerError : ApiError);
  if (kind === AuthenticationError && !isProblem) {
    const detail = "The token is missing, invalid or expired";
    document = { detail, ...document, code: "unauthorized" };
  }
  return new kind(status, document, isProblem ? "" : body.slice(0, MAX_BODY_CHARACTERS));
}

function parsed(body: string): Document {
  try {
    const document: unknown = JSON.parse(body);
    const isObject = typeof document === "object" && document !== null && !Array.isArray(document);
    return isObject ? (document as Document) : {};
  } catch {
    return {};
  }
}

function text(document: Document, name: string): string | undefined {
  const value = document[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function invalidFields(errors: unknown): InvalidField[] {
  if (!Array.isArray(errors)) return [];
  return errors
    .filter((each): each is Document => typeof each === "object" && each !== null)
    .map((each) => ({ param: text(each, "param") ?? "", detail: text(each, "detail") ?? "" }));
}
