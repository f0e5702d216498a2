// Starts the console: configuration, sign-in, then the shell.
import { html, render, useEffect, useState } from "./core/html.js";
import { complete } from "./core/oidc.js";
import { replaceAddress } from "./core/router.js";
import { claims, config, signedOutBecause, signIn } from "./core/session.js";
import { Shell } from "./shell.js";
import { SignIn } from "./sign_in.js";

const TOKEN = "#token=";

/** A token in the fragment signs in, and leaves the address and the history at once. */
function signInFromFragment() {
  if (!location.hash.startsWith(TOKEN)) return;
  const [token, place = ""] = location.hash.slice(TOKEN.length).split("&", 2);
  replaceAddress(`${location.pathname}${location.search}#${decodeURIComponent(place)}`);
  signIn(token);
}

async function start() {
  try {
    signInFromFragment();
    const answer = await fetch("console/config.json", { cache: "no-store" });
    config.value = await answer.json();
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
        signInFromFragment();
      } catch (error) {
        signedOutBecause.value = error.message;
      }
    };
    addEventListener("hashchange", again);
    return () => removeEventListener("hashchange", again);
  }, []);
  if (!ready) return html`<p class="note" role="status">Starting…</p>`;
  return claims.value === null ? html`<${SignIn} />` : html`<${Shell} />`;
}

render(html`<${App} />`, document.getElementById("app"));
