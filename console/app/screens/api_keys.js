// API keys: what a merchant's programs sign in with.
import { html, useState } from "../core/html.js";
import { time } from "../core/format.js";
import { may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Page } from "../parts/page.js";
import { Status } from "../parts/status.js";

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

export const apiKeys = { name: "api-keys", title: "API keys", needs: "merchant", needsMerchant: true, Screen: ApiKeys };
