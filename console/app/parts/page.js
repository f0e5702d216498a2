// The frame of a screen: its title, which is the document's title too, its actions and its content.
import { html, useEffect, useRef } from "../core/html.js";
import { config } from "../core/session.js";

/** `title` is the heading; `actions` stand beside it; `intro` is one sentence below it. */
export function Page({ title, intro, actions, children }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${title} · Payments console${config.value.stage ? ` (${config.value.stage})` : ""}`;
  }, [title]);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return html`<header class="page-head">
      <div><h1 tabindex="-1" ref=${heading}>${title}</h1>${intro && html`<p class="note">${intro}</p>`}</div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}`;
}

/** A part of a screen with a heading of its own. */
export function Section({ title, actions, children }) {
  return html`<section class="panel"><header class="section-head"><h2>${title}</h2>${actions}</header>${children}</section>`;
}
