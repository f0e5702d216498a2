/** Payments and refunds whose outcome the processor has not confirmed yet (202). */
import { OutcomeUnknown } from "./errors.js";

const WAITING = new Set(["pending", "processing", "unknown"]);
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 10_000;
export const OUTCOME_LIMIT_MS = 120_000;

/** What is needed of a payment; one that was just created has no `transactions`. */
export interface PaymentState {
  id: string;
  status: string;
  transactions?: readonly { status: string }[];
}

/**
 * Whether the payment and each of its captures, refunds and voids has been confirmed.
 * `requires_action` and `requires_capture` are known: they wait for a person, not the processor.
 */
export function outcomeIsKnown(payment: PaymentState): boolean {
  const pending = payment.transactions?.some((each) => each.status === "pending") ?? false;
  return !WAITING.has(payment.status) && !pending;
}

/** Time and chance of `poll`; tests replace them. */
export const CLOCK = {
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  now: () => performance.now(),
  chance: Math.random,
};

/**
 * Read the payment until its outcome is known. Throws OutcomeUnknown after the limit.
 * The pauses double up to 10 s; the last quarter of each is random.
 */
export async function poll<P extends PaymentState>(
  read: () => PromiseLike<P>,
  paymentId: string,
  limitMs: number = OUTCOME_LIMIT_MS,
  clock: typeof CLOCK = CLOCK,
): Promise<P> {
  const started = clock.now();
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(MAX_PAUSE_MS, pause * 2)) {
    const payment = await read();
    if (outcomeIsKnown(payment)) return payment;
    const waited = clock.now() - started;
    const wait = pause * (0.75 + 0.25 * clock.chance());
    if (waited + wait > limitMs) throw new OutcomeUnknown(paymentId, waited);
    await clock.sleep(wait);
  }
}
