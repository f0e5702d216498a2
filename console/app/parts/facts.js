// The attributes of one thing, and its ids: always whole, as text that can be selected.
import { html } from "../core/html.js";
import { screenOfId } from "../core/queries.js";
import { href } from "../core/router.js";

/** Facts as [[name, value], …]; empty values are shown as a dash. */
export function Facts({ facts }) {
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div>
    <dt>${name}</dt><dd>${value === null || value === undefined || value === "" ? "—" : value}</dd></div>`)}</dl>`;
}

/** An id, whole, linked to its screen if there is one. */
export function Id({ id }) {
  if (!id) return "—";
  const screen = screenOfId(id);
  return screen ? html`<a href=${href(screen, [id])}><code>${id}</code></a>` : html`<code>${id}</code>`;
}

/** The id of a row as the cell of a list, which links the row itself. */
export function idCell({ id }) {
  return html`<code>${id}</code>`;
}

/** An object of few, plain values, such as metadata. */
export function Values({ values }) {
  const names = Object.keys(values ?? {});
  if (names.length === 0) return "—";
  return html`<${Facts} facts=${names.map((name) => [name, text(values[name])])} />`;
}

export function text(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}
