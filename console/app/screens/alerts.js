// Alerts: what the platform noticed. Operators see those of all merchants and of the platform.
import { html } from "../core/html.js";
import { money, time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { isOperator } from "../core/session.js";
import { Id } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Page } from "../parts/page.js";

/** Kinds of resources that the audit log has rows of. */
const AUDITED = new Set(["acc", "cus", "mer", "pay", "set", "txn", "trf"]);

const COLUMNS = [
  { title: "Alert", cell: (alert) => html`${words(alert.type)}<br /><code>${alert.id}</code>` },
  { title: "Created", cell: (alert) => time(alert.created_at) },
  { title: "About", cell: ({ entity_id, merchant_id }) => html`<${Id} id=${entity_id} />${AUDITED.has(entity_id.split("_")[0]) && html` <a href=${href("audit", [entity_id])}>History</a>`}${isOperator.value &&
    html`<br />of <code>${merchant_id}</code>`}` },
  { title: "Details", cell: ({ detail }) => Object.entries(detail).map(([name, value]) => html`<div class="text">${words(name)}: ${written(name, value, detail)}</div>`) },
];

/** An amount is in minor units of the currency beside it. */
function written(name, value, { currency }) {
  if (name === "amount" && currency) return money(value, currency);
  if (name === "locked_until") return time(value);
  return Array.isArray(value) ? value.map((id) => html`<${Id} id=${id} /> `) : String(value);
}

function Alerts() {
  return html`<${Page} title="Alerts" intro=${isOperator.value ? "Of all merchants and of the platform." : undefined}><${List} path="alerts" query=${{ merchant_id: "" }}
    columns=${COLUMNS} caption="Alerts" empty=${["No alerts.", "Nothing unusual has been noticed."]} /><//>`;
}

export const alerts = { name: "alerts", title: "Alerts", needs: "reports", Screen: Alerts };
