// How amounts, times and names of statuses are written.
import { OTHER_DECIMALS, USUAL_DECIMALS } from "./currencies.js";

export function decimalsOf(currency) {
  return OTHER_DECIMALS[currency] ?? USUAL_DECIMALS;
}

/** `1,234.56 USD`, `1,234 JPY`: an amount in minor units, with the currency's ISO 4217 decimals. */
export function money(minor, currency) {
  if (minor === null || minor === undefined) return "—";
  const decimals = decimalsOf(currency);
  const value = BigInt(minor);
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = decimals === 0 ? "" : `.${digits.slice(-decimals)}`;
  return `${value < 0n ? "−" : ""}${whole}${fraction}${currency ? ` ${currency}` : ""}`;
}

/** The minor units in what a person typed: `12.34` is 1234 for USD. Throws with a readable message. */
export function minorUnits(text, currency) {
  const decimals = decimalsOf(currency);
  // A comma only groups thousands: `12,34` must not become 1,234.
  const found = /^(\d+|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?$/.exec(text.trim());
  if (!found) throw new Error(`Write an amount such as ${decimals ? "12.34" : "1234"}.`);
  const fraction = found[2] ?? "";
  if (fraction.length > decimals) throw new Error(`${currency} has ${decimals} decimals.`);
  const minor = Number(found[1].replaceAll(",", "") + fraction.padEnd(decimals, "0"));
  if (!Number.isSafeInteger(minor)) throw new Error("This amount is too large.");
  return minor;
}

/** `1234.56`: minor units as a person types them, for a form. */
export function typed(minor, currency) {
  return money(minor, currency).replace(` ${currency}`, "").replaceAll(",", "");
}

/** `2026-01-31 13:45:09`: in the zone of the reader, to the second. */
export function time(timestamp) {
  if (!timestamp) return "—";
  const at = new Date(timestamp);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `3 minutes`, `5 hours`, `2 days`: the largest unit of a duration in seconds. */
export function duration(seconds) {
  const units = [[86_400, "day"], [3_600, "hour"], [60, "minute"], [1, "second"]];
  const [size, name] = units.find(([length]) => Math.abs(seconds) >= length) ?? units[3];
  return counted(Math.round(seconds / size), name);
}

/** `1 row`, `2 rows`. */
export function counted(count, name) {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** `Requires capture` for `requires_capture`. */
export function words(name) {
  const text = String(name ?? "").replaceAll("_", " ").replaceAll(".", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The day `n` days before today, as YYYY-MM-DD in UTC, which is what the API's days are. */
export function daysAgo(n) {
  return new Date(Date.now() - n * 86_400_000).toISOString().slice(0, 10);
}
