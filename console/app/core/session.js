// Who is signed in, and the merchant whose data is shown. Nothing here outlives the page.
import { computed, signal } from "./html.js";

/** The access token: in memory only, so that a closed page leaves none behind. */
const token = signal(null);
/** Why the user has to sign in; null before the first sign-in. */
export const signedOutBecause = signal(null);
/** What console/config.json says: {stage, sign_in: {method: "token" | "oidc", …}}; nothing signs in before it is read. */
export const config = signal({ stage: "", sign_in: { method: null } });

/** The token's claims, read for display; the API alone decides what they allow. */
export const claims = computed(() => (token.value === null ? null : claimsOf(token.value)));
/** Whether the user is a platform operator, whose token names no merchant. */
export const isOperator = computed(
  () => claims.value !== null && claims.value.merchant_id === undefined && permissions().includes("admin"),
);
/** The merchant that an operator has chosen; null for merchants and on a stage without any. */
export const chosenMerchant = signal(null);
/** The merchant whose data is shown: the token's, or the operator's choice. */
export const shownMerchant = computed(() => claims.value?.merchant_id ?? chosenMerchant.value);

export function currentToken() {
  return token.value;
}

/** Whether the user may do what needs this permission. */
export function may(permission) {
  return isOperator.value || permissions().includes(permission);
}

/** Start using a token. Throws an Error with a readable message if it is not a JSON Web Token. */
export function signIn(text) {
  claimsOf(text);
  signedOutBecause.value = null;
  chosenMerchant.value = null;
  token.value = text;
}

export function signOut(reason = "You signed out.") {
  token.value = null;
  chosenMerchant.value = null;
  signedOutBecause.value = reason;
}

/** A token's permissions may be a list or, as a scope, one text (OAuth 2.0, section 3.3). */
function permissions() {
  const said = claims.value?.permissions ?? claims.value?.scope ?? [];
  return typeof said === "string" ? said.split(" ") : said;
}

function claimsOf(text) {
  try {
    const payload = text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error("This is not a token: it must have three parts in base64url, separated by dots.");
  }
}
