// Starts the console: configuration, sign-in, then the shell.
import { html, render, useEffect, useState } from "./core/html.js";
import { complete } from "./core/oidc.js";
import { decoded, replaceAddress } from "./core/router.js";
import { claims, config, currentToken, signedOutBecause, signIn } from "./core/session.js";
import { Shell } from "./shell.js";
import { SignIn } from "./sign_in.js";

const TOKEN = "#token=";

/** The token in the fragment, which leaves the address and the history at once; null if it holds none. */
function takeToken() {
  if (!location.hash.startsWith(TOKEN)) return null;
  const [token, place = ""] = location.hash.slice(TOKEN.length).split("&", 2);
  replaceAddress(`${location.pathname}${location.search}#${decoded(place)}`);
  return token;
}

/** With an identity provider the token is dropped: a link must not sign its reader in as whoever made the link. */
function signInWith(token) {
  if (token !== null && config.value.sign_in.method === "token") signIn(token);
}

async function start() {
  const given = takeToken();
  try {
    const answer = await fetch("console/config.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`The console's configuration cannot be read: status ${answer.status}.`);
    config.value = await answer.json();
    signInWith(given);
    if (config.value.sign_in.method === "oidc") {
      const token = await complete(config.value.sign_in);
      if (token !== null) signIn(token);
    }
  } catch (error) {
    signedOutBecause.value = error.message;
  }
}

function App() {
  const [ready, setReady] = useState(false);
  useEffect(() => {
    start().then(() => setReady(true));
    const again = () => {
      try {
        signInWith(takeToken());
      } catch (error) {
        signedOutBecause.value = error.message;
      }
    };
    addEventListener("hashchange", again);
    return () => removeEventListener("hashchange", again);
  }, []);
  if (!ready) return html`<p class="note" role="status">Starting…</p>`;
  return claims.value === null ? html`<${SignIn} />` : html`<${Shell} key=${currentToken()} />`;
}

render(html`<${App} />`, document.getElementById("app"));
