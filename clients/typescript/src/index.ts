/**
 * Client of the payments API: `connect` makes a client for the generated operations, requests are
 * repeated safely, and every refusal is a typed error. Amounts are integers in minor units.
 */
export * from "./generated/sdk.gen.js";
export type * from "./generated/types.gen.js";
export { connect, waitForOutcome, type ConnectOptions } from "./connection.js";
// By name: these win over a generated type of the same name.
export {
  ApiError,
  AuthenticationError,
  Conflict,
  ConnectionFailed,
  Declined,
  type InvalidField,
  InvalidRequest,
  NotFound,
  OutcomeUnknown,
  PaymentsError,
  PermissionDenied,
  RateLimited,
  ResourceLocked,
  ServerError,
  WebhookVerificationFailed,
} from "./errors.js";
export { outcomeIsKnown } from "./outcomes.js";
export { items } from "./pages.js";
export { DEFAULT_POLICY, type RetryPolicy } from "./retries.js";
export { type WebhookEvent, verifiedEvent } from "./webhooks.js";
