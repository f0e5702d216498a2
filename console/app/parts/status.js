// Statuses: a word, and a colour that only repeats what the word says.
import { html } from "../core/html.js";
import { time, words } from "../core/format.js";

const GOOD = new Set(["succeeded", "processed", "settled", "completed", "matched", "delivered", "active", "healthy", "holds", "enabled", "resolved", "won", "applied", "empty"]);
const BAD = new Set(["failed", "declined", "expired", "locked", "closed", "violated", "lost", "broken", "revoked", "missing", "late", "failing", "undelivered", "gone", "rejected"]);
const OPEN = new Set(["pending", "processing", "unknown", "requires_action", "requires_capture", "exception", "open", "received", "retrying", "completed_with_exceptions", "warning", "paused", "disabled", "inactive", "running", "queued", "amount_mismatch", "fee_mismatch", "currency_mismatch", "status_mismatch", "duplicate", "unexpected", "unclassified", "invalid", "unapplied"]);

/** The class of a status's colour. */
export function toneOf(value) {
  return GOOD.has(value) ? "good" : BAD.has(value) ? "bad" : OPEN.has(value) ? "open" : "plain";
}

export function Status({ value }) {
  return html`<span class="status ${toneOf(value)}">${words(value)}</span>`;
}

/** Whether a customer or an account is locked now: a lock that has ended keeps its time. */
export function isLocked({ locked_until: until }) {
  return until !== null && Date.parse(until) > Date.now();
}

export function Lock({ of }) {
  return isLocked(of) ? html`<span class="status bad">Locked until ${time(of.locked_until)}</span>` : "—";
}
