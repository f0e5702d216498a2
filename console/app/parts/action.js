// A change that a person confirms: what will happen, with the amount, and what came of it.
import { html, useRef, useState } from "../core/html.js";
import { change } from "../core/api.js";
import { minorUnits, typed } from "../core/format.js";
import { Failed } from "./load.js";

const requests = new Map();

/**
 * The request of an action that waits for an answer, as `{request}`: {key, unanswered: its values}. It may have been done, and
 * only repeating it is safe, so it outlives the screen and a new sign-in on this page.
 */
function unanswered(action) {
  if (!requests.has(action)) requests.set(action, {});
  return requests.get(action);
}

/**
 * A button that opens a dialog, which sends one change.
 *
 * `label`: the button's text. `title`: the dialog's question, such as "Refund this payment?".
 * `summary`: facts about what will happen (the amount, the id), shown above the fields.
 * `fields`: [{name, label, type?: "amount"|"text"|"date"|"select"|"checkbox", currency?, value?, options?, required?, hint?}].
 * `send(values, key)`: makes the change and returns its answer; `values` has amounts in minor units, empty ones left out.
 * Simpler: `path` and optional `body(values)` (default: the values), `ofMerchant`, `method`.
 * `outcome(answer)`: what is shown afterwards. `done(answer)`: called when the dialog is closed after success.
 * The Idempotency-Key is made when the dialog opens. After a lost answer the request is kept until it has one, or until the
 * page is loaded again: "Try again" repeats it, here or on another visit of the screen, and cannot do it twice.
 */
export function Action({ label, title, summary, fields = [], path, method, ofMerchant, body, send, outcome, done, danger = false }) {
  const dialog = useRef(null);
  const [state, setState] = useState({ step: "closed" });
  const own = useRef({});
  const waiting = path ? unanswered(`${title} ${path}`) : own.current;
  const open = () => {
    setState({ step: "asking", ...(waiting.request ?? { key: crypto.randomUUID() }) });
    dialog.current.showModal();
  };
  const close = () => dialog.current.close();
  /** However it was closed: by a button, or by the second Escape, which a page cannot prevent. */
  const closed = () => {
    if (busy) return dialog.current.showModal();
    if (state.step === "done") done?.(state.answer);
    setState({ step: "closed" });
  };
  const submit = async (event) => {
    event.preventDefault();
    const { key, unanswered: repeated } = state;
    let values = repeated;
    try {
      values ??= valuesOf(fields, new FormData(event.currentTarget));
    } catch (error) {
      return setState({ step: "asking", key, invalid: error.message });
    }
    setState({ step: "sending", key, unanswered: repeated });
    try {
      const answer = send ? await send(values, key) : await change(path, body ? body(values) : values, { key, method, ofMerchant });
      waiting.request = null;
      setState({ step: "done", key, answer });
    } catch (error) {
      // A refusal is an answer: the next try is a new request. Without one, exactly the same request is repeated.
      waiting.request = isUnanswered(error, repeated) ? { key, unanswered: values } : null;
      setState({ step: "asking", ...(waiting.request ?? { key: crypto.randomUUID() }), error });
    }
  };
  const busy = state.step === "sending";
  return html`<button type="button" class=${danger ? "danger" : ""} onClick=${open}>${label}</button>
    <dialog ref=${dialog} aria-label=${title} onClose=${closed} onCancel=${(event) => { event.preventDefault(); if (!busy) close(); }}>
      ${state.step !== "closed" && html`<form onSubmit=${submit}>
        <h2>${title}</h2>
        ${summary && html`<div class="summary">${summary}</div>`}
        ${state.step === "done"
          ? html`<div role="status" class="outcome">${outcome?.(state.answer) ?? "Done."}</div>
              <div class="actions"><button type="button" autofocus onClick=${close}>Close</button></div>`
          : html`<fieldset disabled=${busy || state.unanswered !== undefined}>${fields.map((field) => html`<${Field} ...${field} value=${state.unanswered ? state.unanswered[field.name] : field.value} />`)}</fieldset>
              ${state.unanswered !== undefined && html`<p class="note">The last request had no answer. Trying again repeats it, with the same values and the same key.</p>`}
              ${state.invalid && html`<p role="alert" class="invalid">${state.invalid}</p>`}
              ${state.error && html`<${Failed} error=${state.error} />`}
              <p class="note">Idempotency-Key <code>${state.key}</code></p>
              <div class="actions">
                <button type="button" onClick=${close} disabled=${busy}>Cancel</button>
                <button type="submit" class=${danger ? "danger" : "primary"} disabled=${busy} aria-busy=${busy}>
                  ${busy ? "Sending…" : state.error || state.unanswered ? "Try again" : label}</button>
              </div>`}
      </form>`}
    </dialog>`;
}

/** Its value is given once, as the default: what was typed since stays when the dialog is drawn again. */
function Field({ name, label, type = "text", currency, value, options, required = false, hint }) {
  if (type === "checkbox") return html`<label class="check"><input name=${name} type="checkbox" defaultChecked=${Boolean(value)} /> ${label}</label>`;
  const id = `field-${name}`;
  const given = type === "amount" && value !== undefined ? typed(value, currency) : value;
  const input = type === "select"
    ? html`<select id=${id} name=${name} required=${required}>${options.map((option) => {
        const [key, text] = Array.isArray(option) ? option : [option, option];
        return html`<option value=${key} selected=${key === value}>${text}</option>`;
      })}</select>`
    : html`<input id=${id} name=${name} type=${type === "date" ? type : "text"} inputmode=${type === "amount" ? "decimal" : "text"}
        defaultValue=${given ?? ""} required=${required} autocomplete="off" />`;
  return html`<label for=${id}>${label}${type === "amount" ? ` (${currency})` : ""}</label>${input}
    ${hint && html`<p class="note">${hint}</p>`}`;
}

/** Answers that come before the API looks at the key: they say nothing about an earlier try that had no answer. */
const BEFORE_THE_KEY = new Set([401, 403, 429]);

/** Whether the change may have been made, or may still be made. `repeated`: the values of an earlier try without an answer. */
function isUnanswered({ status, code }, repeated) {
  return status === 0 || status >= 500 || code === "idempotency_in_flight" || (BEFORE_THE_KEY.has(status) && repeated !== undefined);
}

function valuesOf(fields, form) {
  const values = {};
  for (const { name, type, currency } of fields) {
    const text = form.get(name);
    if (type === "checkbox") values[name] = text !== null;
    else if (text !== null && text !== "") values[name] = type === "amount" ? minorUnits(text, currency) : text;
  }
  return values;
}
