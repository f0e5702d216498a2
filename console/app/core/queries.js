// What is asked of the API for what a person has filled in, and which screen shows an id.
import { minorUnits } from "./format.js";

const SCREEN_OF_PREFIX = {
  __proto__: null,
  pay: "payments", acc: "accounts", trf: "transfers", cus: "customers", txn: "transactions",
  set: "settlements", whk: "webhooks", exp: "exports",
};
/** What the API accepts as a value of these parameters; other values cannot be found by them. */
const ACCEPTED = {
  processor_id: /^.{1,255}$/, idempotency_key: /^[!-~]{1,255}$/, reference: /^.{1,64}$/, account_number: /^[A-Za-z0-9-]{4,34}$/,
  email: /^[^@\s]+@[^@\s]+\.[^@\s]+$/, request_id: /^req_[A-Za-z0-9_=-]{1,64}$/,
};

/** The screen that shows what has this id of ours; undefined for other ids. */
export function screenOfId(id) {
  return SCREEN_OF_PREFIX[/^([a-z]+)_\w+$/.exec(id)?.[1]];
}

export function fits(parameter, value) {
  return ACCEPTED[parameter].test(value);
}

/** Amounts are typed as people write them; the API compares minor units, which depend on the currency. */
export function paymentQuery({ currency, min_amount, max_amount, ...others }) {
  const code = currency?.trim().toUpperCase();
  if ((min_amount || max_amount) && !code) throw new Error("Fill in the currency to filter by amount.");
  const minor = (typed) => (typed ? minorUnits(typed, code) : undefined);
  return { ...others, currency: code, min_amount: minor(min_amount), max_amount: minor(max_amount) };
}

/** The API finds accounts by number, by customer, or by status and type. The platform owns the system's accounts. */
export function accountQuery({ account_type, status, account_number, customer_id }) {
  if (account_number) return { account_number };
  if (customer_id) return { customer_id };
  return { account_type, status, ...(account_type === "system" ? OF_PLATFORM : {}) };
}

/** The platform's own transfers have no merchant. */
export function transferQuery({ owner, ...others }) {
  return owner === "platform" ? { ...others, ...OF_PLATFORM } : others;
}

/** An operator who names no merchant sees what the platform owns; an empty parameter is not sent. */
const OF_PLATFORM = { merchant_id: "" };
