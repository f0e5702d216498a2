// Sign-in with OpenID Connect: authorization code with PKCE (RFC 7636), as a public client.
import { replaceAddress } from "./router.js";

const PENDING = "console.sign-in";

/** Go to the identity provider; it sends the browser back to this page with a code. */
export async function begin(settings, place) {
  const verifier = random(32);
  const state = random(16);
  // Only what the way back needs, never a token; it is deleted as soon as the browser is back.
  sessionStorage.setItem(PENDING, JSON.stringify({ verifier, state, place }));
  const url = new URL(settings.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: "code", client_id: settings.client_id, redirect_uri: redirectUri(), scope: settings.scope,
    state, code_challenge: await challengeOf(verifier), code_challenge_method: "S256",
  });
  location.assign(url);
}

/** The access token, if the browser has just come back with a code; otherwise null. */
export async function complete(settings) {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("code") && !answer.has("error")) return null;
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
  sessionStorage.removeItem(PENDING);
  replaceAddress(redirectUri() + (pending?.place ?? ""));
  if (pending === null || answer.get("state") !== pending.state) {
    throw new Error("This sign-in was not begun on this page. Sign in again.");
  }
  if (answer.has("error")) {
    throw new Error(`The identity provider refused: ${answer.get("error_description") ?? answer.get("error")}`);
  }
  const response = await fetch(settings.token_endpoint, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code", client_id: settings.client_id, redirect_uri: redirectUri(),
      code: answer.get("code"), code_verifier: pending.verifier,
    }),
  });
  const tokens = await response.json().catch(() => ({}));
  if (!response.ok || !tokens.access_token) {
    throw new Error(`The identity provider gave no token: ${tokens.error_description ?? tokens.error ?? response.status}`);
  }
  return tokens.access_token;
}

/** End the provider's own session, if the stage names an address for it; the provider sends the browser back to this page. */
export function end({ logout_endpoint, client_id }) {
  if (!logout_endpoint) return;
  const url = new URL(logout_endpoint);
  // Cognito calls the way back logout_uri, OpenID Connect RP-Initiated Logout 1.0 post_logout_redirect_uri.
  const given = { client_id, logout_uri: redirectUri(), post_logout_redirect_uri: redirectUri() };
  for (const [name, value] of Object.entries(given)) url.searchParams.set(name, value);
  location.assign(url);
}

function redirectUri() {
  return location.origin + location.pathname;
}

function random(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

async function challengeOf(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
