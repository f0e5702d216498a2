// Loading, and what is shown while loading, after an error, and when nothing was found.
import { html, useCallback, useEffect, useState } from "../core/html.js";

/**
 * The result of `load()`, run again whenever a value in `inputs` changes: {data, error, loading, reload}.
 * An answer that arrives after the inputs have changed is dropped.
 */
export function useLoad(load, inputs) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let current = true;
    setState((before) => ({ ...before, error: null, loading: true }));
    load().then(
      (data) => current && setState({ data, error: null, loading: false }),
      (error) => current && setState({ data: null, error, loading: false }),
    );
    return () => {
      current = false;
    };
  }, [...inputs, round]);
  const reload = useCallback(() => setRound((count) => count + 1), []);
  return { ...state, reload };
}

/** What `loaded` (of useLoad) is: a note while it loads, its error, or `children(data)`. */
export function Loaded({ loaded, children }) {
  if (loaded.error) return html`<${Failed} error=${loaded.error} retry=${loaded.reload} />`;
  if (loaded.data === null) return html`<p class="note" role="status">Loading…</p>`;
  return children(loaded.data);
}

/** An error, with what to do about it and the request id for whoever helps. */
export function Failed({ error, retry }) {
  return html`<div class="panel failed" role="alert">
    <h2>${error.message}</h2>
    ${error.detail && html`<p>${error.detail}</p>`}
    ${error.status === 403 && html`<p>Your sign-in does not allow this. Ask for the permission, or sign in as another user.</p>`}
    ${error.status === 404 && html`<p>Check the id. A merchant sees only its own data.</p>`}
    ${error.requestId && html`<p class="note">Request <code>${error.requestId}</code></p>`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** A list or panel without content, and what to do next. */
export function Empty({ title, children }) {
  return html`<div class="panel empty"><h2>${title}</h2>${children && html`<p>${children}</p>`}</div>`;
}
