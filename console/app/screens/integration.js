// What a merchant's programs use: webhooks, exports, API keys.
import { html, useEffect, useState } from "../core/html.js";
import { list, read } from "../core/api.js";
import { time, words } from "../core/format.js";
import { go, href } from "../core/router.js";
import { may, shownMerchant } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id, Values } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

// Webhooks: endpoints with their health, deliveries with their attempts.
const DELIVERY_COLUMNS = [
  { title: "Delivery", cell: (webhook) => html`<code>${webhook.id}</code>` },
  { title: "Event", cell: (webhook) => webhook.event_type },
  { title: "Status", cell: (webhook) => html`<${Status} value=${webhook.status} />` },
  { title: "Attempts", number: true, cell: (webhook) => webhook.attempts },
  { title: "Response", number: true, cell: (webhook) => webhook.response_code ?? "—" },
  { title: "Next retry", cell: (webhook) => time(webhook.next_retry) },
  { title: "Created", cell: (webhook) => time(webhook.created_at) },
];
const DELIVERY_FILTERS = [
  { name: "status", label: "Status", options: ["pending", "delivered", "failed", "expired"] },
  { name: "event_type", label: "Event", hint: "payment.succeeded" },
];

function Webhooks() {
  return html`<${Page} title="Webhooks">
    ${may("merchant") && html`<${Endpoints} />`}
    ${may("reports") && html`<${Section} title="Deliveries"><${List} path="webhooks" caption="Deliveries" columns=${DELIVERY_COLUMNS} filters=${DELIVERY_FILTERS}
      link=${(webhook) => href("webhooks", [webhook.id])}
      empty=${["No deliveries found.", "Change the filters, or send a test event to an endpoint."]} /><//>`}<//>`;
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
      ${may("reports") && html`<${Action} label="Redeliver" title="Send this event again?" path="webhooks/${webhook.id}/redeliver" done=${loaded.reload}
        summary=${html`<${Facts} facts=${[["Delivery", html`<code>${webhook.id}</code>`], ["Event", webhook.event_type], ["To", webhook.url]]} />`}
        outcome=${(answer) => `The event is sent again; the delivery is ${words(answer.status).toLowerCase()}.`} />`}</div>`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${webhook.id} />`], ["Status", html`<${Status} value=${webhook.status} />`], ["Payment", html`<${Id} id=${webhook.payment_id} />`],
        ["URL", webhook.url], ["Endpoint", html`<code>${webhook.endpoint_id}</code>`], ["Attempts", webhook.attempts],
        ["Last attempt", time(webhook.last_attempt)], ["Response code", webhook.response_code], ["Failed because", webhook.failure_reason],
        ["Next retry", time(webhook.next_retry)], [webhook.status === "pending" ? "Tried until" : "Kept until", time(webhook.expires_at)],
        ["Sequence", webhook.sequence], ["Request", webhook.request_id && html`<a href=${href("audit", [], { request_id: webhook.request_id })}><code>${webhook.request_id}</code></a>`],
        ["Created", time(webhook.created_at)],
      ]} /><//>`}<//><//>`;
}

export const webhooks = { name: "webhooks", title: "Webhooks", needsMerchant: true, Screen: Webhooks, DetailScreen: Webhook };

// Exports: lists as files, made in the background.
const POLL_MS = 2_000;
const EXPORT_STATUSES = ["queued", "running", "completed", "failed"];
const KINDS = ["payments", "transactions", "transfers", "entries", "audit", "settlement_lines"].map((kind) => [kind, words(kind)]);
const EXPORT_FIELDS = [
  { name: "kind", label: "What", type: "select", options: KINDS },
  { name: "format", label: "Format", type: "select", options: ["csv", "jsonl", "beancount"], hint: "Beancount is for entries." },
  { name: "start_date", label: "From", type: "date", hint: "Dates are for payments, audit and settlement lines." },
  { name: "end_date", label: "To", type: "date" },
  { name: "account_id", label: "Account", hint: "For transfers and entries." },
];
const EXPORT_COLUMNS = [
  { title: "Export", cell: (each) => html`<code>${each.id}</code>` },
  { title: "What", cell: (each) => words(each.kind) },
  { title: "Format", cell: (each) => each.format },
  { title: "Status", cell: (each) => html`<${Status} value=${each.status} />` },
  { title: "Rows", number: true, cell: (each) => each.rows ?? each.progress },
  { title: "Created", cell: (each) => time(each.created_at) },
];

function Exports() {
  return html`<${Page} title="Exports" actions=${may("reports") && html`<${Action} label="Create an export" title="Create an export?" path="exports" ofMerchant
      fields=${EXPORT_FIELDS} outcome=${(made) => html`Export <code>${made.id}</code> is ${made.status}.`} done=${(made) => go(href("exports", [made.id]))} />`}>
    <${List} path="exports" caption="Exports" columns=${EXPORT_COLUMNS} link=${(each) => href("exports", [each.id])}
      filters=${[{ name: "status", label: "Status", options: EXPORT_STATUSES }]} empty=${["No exports found.", "Create one, or change the filter."]} /><//>`;
}

function Export({ id }) {
  const [round, setRound] = useState(0);
  const loaded = useLoad(() => read(`exports/${encodeURIComponent(id)}`), [id, round]);
  const status = loaded.data?.status;
  useEffect(() => {
    if (status !== "queued" && status !== "running") return undefined;
    const timer = setTimeout(() => setRound((count) => count + 1), POLL_MS);
    return () => clearTimeout(timer);
  }, [status, loaded.data]);
  return html`<${Page} title="Export"><${Loaded} loaded=${loaded}>${(made) => html`
    <${Section} title=${`${words(made.kind)} as ${made.format}`} actions=${made.result_url && html`<a href=${made.result_url} target="_blank" rel="noopener" download>Download the file</a>`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${made.id} />`], ["Status", html`<span role="status"><${Status} value=${made.status} /></span>`], ["Rows", made.rows ?? `${made.progress} so far`],
        ["Bytes", made.size], ["SHA-256", made.sha256 && html`<code>${made.sha256}</code>`], ["Filters", html`<${Values} values=${made.filters} />`],
        ["Contents until", time(made.until)], ["Requested by", made.requested_by], ["Completed", time(made.completed_at)],
        ["Failed because", made.failure_reason], ["Deleted", time(made.expires_at)],
      ]} />
      ${made.result_url && html`<p class="note">The link works for 15 minutes; loading this page again makes a new one. Compare the file with its SHA-256: sha256sum prints the same.</p>`}<//>`}<//><//>`;
}

export const exportFiles = { name: "exports", title: "Exports", needsMerchant: true, Screen: Exports, DetailScreen: Export };

// API keys: what a merchant's programs sign in with.
const PERMISSIONS = ["payments", "refunds", "customers", "accounts", "transfers", "reports", "merchant"];

function ApiKeys() {
  const [round, setRound] = useState(0);
  const reload = () => setRound(round + 1);
  // A key never has a permission that its creator lacks.
  const allowed = PERMISSIONS.filter(may);
  const columns = [
    { title: "Key", cell: (key) => html`${key.name}<br /><code>${key.id}</code>` },
    { title: "Status", cell: (key) => html`<${Status} value=${key.revoked_at ? "revoked" : "active"} />` },
    { title: "Permissions", cell: (key) => key.permissions.join(", ") },
    { title: "Created", cell: (key) => html`${time(key.created_at)}<br />${key.created_by ?? ""}` },
    { title: "Last used", cell: (key) => time(key.last_used_at) },
    { title: "Revoke", cell: (key) => (key.revoked_at ? time(key.revoked_at) : html`<${Action} label="Revoke" danger title="Revoke this API key?" path="api-keys/${key.id}/revoke" done=${reload}
      summary=${html`<${Facts} facts=${[["Key", key.name], ["Id", html`<code>${key.id}</code>`], ["Last used", time(key.last_used_at)]]} />`}
      outcome=${() => "The key is revoked: requests with it are refused."} />`) },
  ];
  return html`<${Page} title="API keys" actions=${html`<${Action} label="Create an API key" title="Create an API key?" path="api-keys" ofMerchant done=${reload}
      fields=${[{ name: "name", label: "Name", required: true }, ...allowed.map((name) => ({ name, label: `Permission: ${name}`, type: "checkbox" }))]}
      body=${(values) => ({ name: values.name, permissions: allowed.filter((name) => values[name]) })}
      outcome=${(made) => html`The key ${made.name} is created. Copy its secret now: it is not shown again.<br /><code>${made.secret}</code>`} />`}>
    <${List} path="api-keys" caption="API keys" columns=${columns} reloadOn=${round} empty=${["No API keys yet.", "Create one for each program that calls the API."]} /><//>`;
}

export const apiKeys = { name: "api-keys", title: "API keys", needsMerchant: true, Screen: ApiKeys };
