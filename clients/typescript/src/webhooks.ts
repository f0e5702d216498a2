/** Verification of received webhooks, by the reference library of Standard Webhooks. */
import { Webhook } from "standardwebhooks";

import { WebhookVerificationFailed } from "./errors.js";

export const MAX_BODY_CHARACTERS = 1024 * 1024;

/**
 * A verified event. `id` is the same at every attempt: remember it, because events can arrive twice.
 * Of two events about one object, the one with the higher `sequence` is newer. `data` is the object. Events of disputes are
 * about `data.dispute.id`.
 */
export interface WebhookEvent {
  id: string;
  type: string;
  created: string;
  sequence: number;
  data: Record<string, unknown>;
}

/**
 * The event in `body`, which must be the raw body as received, before any parsing.
 *
 * One of its signatures must be by one of `secrets` (`whsec_…`; two of them while you change yours),
 * and its time within five minutes. Signatures are compared in constant time.
 *
 * Throws WebhookVerificationFailed (answer 400 or 401, and do nothing else), and TypeError when a
 * secret of yours is not a webhook secret.
 */
export function verifiedEvent(
  body: string | Uint8Array,
  headers: Headers | Record<string, string | string[] | undefined>,
  secrets: string | readonly string[],
): WebhookEvent {
  const verifiers = (typeof secrets === "string" ? [secrets] : secrets).map(verifierOf);
  if (verifiers.length === 0) throw new TypeError("verifiedEvent needs at least one secret");
  if (body.length > MAX_BODY_CHARACTERS) {
    throw new WebhookVerificationFailed(`The body is larger than ${MAX_BODY_CHARACTERS} bytes`);
  }
  const text = textOf(body);
  const named = namedHeaders(headers);
  let reason: unknown;
  for (const verifier of verifiers) {
    try {
      verifier.verify(text, named, { jsonParse: false });
      return eventOf(text);
    } catch (error) {
      if (error instanceof WebhookVerificationFailed) throw error;
      reason = error;
    }
  }
  const said = reason instanceof Error ? reason.message : "It is malformed";
  throw new WebhookVerificationFailed(`The webhook is not authentic: ${said}`, { cause: reason });
}

function verifierOf(secret: string): Webhook {
  try {
    return new Webhook(secret);
  } catch {
    // Without the cause: its message could repeat a part of the secret.
    throw new TypeError("A secret is not a webhook secret (whsec_…)");
  }
}

function textOf(body: string | Uint8Array): string {
  if (typeof body === "string") return body;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch (cause) {
    throw new WebhookVerificationFailed("The webhook's body is not UTF-8", { cause });
  }
}

function namedHeaders(
  headers: Headers | Record<string, string | string[] | undefined>,
): Record<string, string> {
  const entries = headers instanceof Headers ? [...headers.entries()] : Object.entries(headers);
  return Object.fromEntries(
    entries
      .filter((entry): entry is [string, string] => typeof entry[1] === "string")
      .map(([name, value]) => [name.toLowerCase(), value]),
  );
}

function eventOf(text: string): WebhookEvent {
  let event: Partial<WebhookEvent> | null;
  try {
    event = JSON.parse(text) as Partial<WebhookEvent> | null;
  } catch (cause) {
    throw new WebhookVerificationFailed("The webhook is signed, but is not an event", { cause });
  }
  const texts = [event?.id, event?.type, event?.created];
  const isEvent =
    texts.every((each) => typeof each === "string") &&
    typeof event?.sequence === "number" &&
    typeof event.data === "object" &&
    event.data !== null;
  if (!isEvent) throw new WebhookVerificationFailed("The webhook is signed, but is not an event");
  const { id, type, created, sequence, data } = event as WebhookEvent;
  return { id, type, created, sequence, data };
}
