// The page before signing in. The route in the address stays, for afterwards.
import { html, useState } from "./core/html.js";
import { begin } from "./core/oidc.js";
import { config, signedOutBecause, signIn } from "./core/session.js";

export function SignIn() {
  const [wrong, setWrong] = useState(null);
  const { method, ...settings } = config.value.sign_in;
  const withToken = (event) => {
    event.preventDefault();
    try {
      signIn(new FormData(event.currentTarget).get("token").trim());
    } catch (error) {
      setWrong(error.message);
    }
  };
  return html`<main class="sign-in panel"><h1>Payments console</h1>
    ${signedOutBecause.value && html`<p role="status">${signedOutBecause.value}</p>`}
    ${method === "oidc"
      ? html`<button type="button" class="primary" onClick=${() => begin(settings, location.hash).catch((error) => { signedOutBecause.value = error.message; })}>Sign in</button>`
      : method === "token" && html`<p>Run <code>make console</code> and open the address that it prints, or paste a token of <code>make token</code>.</p>
        <form onSubmit=${withToken}><label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="off" required />
          ${wrong && html`<p role="alert" class="invalid">${wrong}</p>`}
          <button type="submit" class="primary">Sign in</button></form>
        <p class="note">The token stays in this page's memory: reloading the page signs you out.</p>`}
  </main>`;
}
