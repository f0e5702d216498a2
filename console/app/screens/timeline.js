// One payment's story: everything that is recorded about it, in the order of time.
import { html } from "../core/html.js";
import { read } from "../core/api.js";
import { money, time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { may } from "../core/session.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Section } from "../parts/page.js";
import { Status, toneOf } from "../parts/status.js";

/** What each kind of event is called, and the screen that has the rest of it. */
const KINDS = {
  created: ["Payment", "payments"], transaction: ["Transaction", "transactions"], dispute: ["Dispute"], posting: ["Ledger", "transfers"],
  audit: ["Audit", "audit"], webhook: ["Webhook", "webhooks"], settlement_line: ["Settlement", "settlements"],
};

/** The whole story needs the permission of its parts; without it, the payment's own transactions are shown. */
export function Timeline({ payment }) {
  const whole = may("reports");
  const loaded = useLoad(async () => (whole ? read(`payments/${payment.id}/timeline`) : { complete: true, events: payment.transactions.map(eventOf) }), [payment.id, payment.version]);
  return html`<${Section} title="Timeline" actions=${html`<button type="button" onClick=${loaded.reload}>Refresh</button>`}>
    <${Loaded} loaded=${loaded}>${({ events, complete }) => html`
      ${!whole && html`<p class="note">Only transactions: postings, webhooks, settlements and the audit log need the permission <code>reports</code>.</p>`}
      ${!complete && html`<p class="note">This payment has so many changes that the oldest are left out.</p>`}
      <ol class="timeline">${events.map((event) => html`<${Event} event=${event} />`)}</ol>`}<//><//>`;
}

function eventOf({ created_at: at, type: title, ...transaction }) {
  return { ...transaction, at, title, kind: "transaction", detail: transaction.response_text };
}

function Event({ event: { at, kind, id, title, status, amount, currency, detail, line } }) {
  const [name, screen] = KINDS[kind] ?? [words(kind)];
  const label = html`<code>${id}</code>`;
  return html`<li class=${toneOf(status)}>
    <div class="event"><span><strong>${words(title)}</strong>${line ? ` ${line}` : ""} ${status && html`<${Status} value=${status} />`}</span>
      ${amount !== undefined && amount !== null && html`<strong>${money(amount, currency)}</strong>`}</div>
    <div class="note"><time datetime=${at}>${time(at)}</time> · ${name} ${screen ? html`<a href=${href(screen, [id])}>${label}</a>` : label}${detail && ` · ${detail}`}</div></li>`;
}
