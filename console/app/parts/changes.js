// What a change of a resource changed: old and new values side by side.
import { html } from "../core/html.js";
import { text } from "./facts.js";

/** `row`: an audit row, or its hashed record. */
export function Changes({ row }) {
  const cell = (values, name) => (Object.hasOwn(values, name) ? html`<code>${text(values[name])}</code>` : "—");
  if (row.changes.length === 0) return "—";
  return html`<table class="changes"><thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
    <tbody>${row.changes.map((name) => html`<tr><th scope="row">${name}</th><td>${cell(row.old_values, name)}</td><td>${cell(row.new_values, name)}</td></tr>`)}</tbody></table>`;
}
