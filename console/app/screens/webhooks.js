// Webhooks: endpoints with their health, deliveries with their attempts.
import { html } from "../core/html.js";
import { list, read } from "../core/api.js";
import { time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { may, shownMerchant } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

const COLUMNS = [
  { title: "Delivery", cell: (webhook) => html`<code>${webhook.id}</code>` },
  { title: "Event", cell: (webhook) => webhook.event_type },
  { title: "Status", cell: (webhook) => html`<${Status} value=${webhook.status} />` },
  { title: "Attempts", number: true, cell: (webhook) => webhook.attempts },
  { title: "Response", number: true, cell: (webhook) => webhook.response_code ?? "—" },
  { title: "Next retry", cell: (webhook) => time(webhook.next_retry) },
  { title: "Created", cell: (webhook) => time(webhook.created_at) },
];
const FILTERS = [
  { name: "status", label: "Status", options: ["pending", "delivered", "failed", "expired"] },
  { name: "event_type", label: "Event", hint: "payment.succeeded" },
];

function Webhooks() {
  return html`<${Page} title="Webhooks">
    ${may("merchant") && html`<${Endpoints} />`}
    <${Section} title="Deliveries"><${List} path="webhooks" caption="Deliveries" columns=${COLUMNS} filters=${FILTERS}
      link=${(webhook) => href("webhooks", [webhook.id])}
      empty=${["No deliveries found.", "Change the filters, or send a test event to an endpoint."]} /><//><//>`;
}

function Endpoints() {
  const loaded = useLoad(() => list("webhook-endpoints"), [shownMerchant.value]);
  const columns = [
    { title: "Endpoint", cell: (endpoint) => html`<code>${endpoint.id}</code><br />${endpoint.url}` },
    { title: "Description", cell: (endpoint) => endpoint.description ?? "—" },
    { title: "Status", cell: (endpoint) => html`<${Status} value=${endpoint.status} />` },
    { title: "Health", cell: ({ health }) => html`<${Status} value=${health.condition} />${health.consecutive_failures > 0 && html`<br />
      ${health.consecutive_failures} failures in a row`}${health.paused_until && html`<br />paused until ${time(health.paused_until)}`}` },
    { title: "Test", cell: (endpoint) => html`<${Action} label="Send a test event" title="Send a test event?" path="webhook-endpoints/${endpoint.id}/test" done=${loaded.reload}
      summary=${html`<${Facts} facts=${[["Endpoint", html`<code>${endpoint.id}</code>`], ["URL", endpoint.url], ["Event", "endpoint.test"]]} />`}
      outcome=${(webhook) => html`The event is on its way: delivery <${Id} id=${webhook.id} />.`} />` },
  ];
  return html`<${Section} title="Endpoints" actions=${html`<button type="button" onClick=${loaded.reload}>Refresh endpoints</button>`}><${Loaded} loaded=${loaded}>${({ data }) =>
    html`<${Rows} rows=${data} caption="Endpoints" columns=${columns} empty=${["No endpoints yet.", "Register one with POST /v1/webhook-endpoints."]} />`}<//><//>`;
}

function Webhook({ id }) {
  const loaded = useLoad(() => read(`webhooks/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Webhook delivery"><${Loaded} loaded=${loaded}>${(webhook) => html`
    <${Section} title=${webhook.event_type} actions=${html`<div class="actions">
      <button type="button" onClick=${loaded.reload}>Refresh</button>
      <${Action} label="Redeliver" title="Send this event again?" path="webhooks/${webhook.id}/redeliver" done=${loaded.reload}
        summary=${html`<${Facts} facts=${[["Delivery", html`<code>${webhook.id}</code>`], ["Event", webhook.event_type], ["To", webhook.url]]} />`}
        outcome=${(answer) => `The event is sent again; the delivery is ${words(answer.status).toLowerCase()}.`} /></div>`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${webhook.id} />`], ["Status", html`<${Status} value=${webhook.status} />`], ["Payment", html`<${Id} id=${webhook.payment_id} />`],
        ["URL", webhook.url], ["Endpoint", html`<code>${webhook.endpoint_id}</code>`], ["Attempts", webhook.attempts],
        ["Last attempt", time(webhook.last_attempt)], ["Response code", webhook.response_code], ["Failed because", webhook.failure_reason],
        ["Next retry", time(webhook.next_retry)], [webhook.status === "pending" ? "Tried until" : "Kept until", time(webhook.expires_at)],
        ["Sequence", webhook.sequence], ["Request", webhook.request_id && html`<a href=${href("audit", [], { request_id: webhook.request_id })}><code>${webhook.request_id}</code></a>`],
        ["Created", time(webhook.created_at)],
      ]} /><//>`}<//><//>`;
}

export const webhooks = { name: "webhooks", title: "Webhooks", needs: "reports", needsMerchant: true, Screen: Webhooks, DetailScreen: Webhook };
