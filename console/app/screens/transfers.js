// Transfers: the list with its filters, and one transfer with its legs; an open hold can be posted or canceled.
import { html } from "../core/html.js";
import { read } from "../core/api.js";
import { money, time } from "../core/format.js";
import { transferQuery } from "../core/queries.js";
import { href } from "../core/router.js";
import { isOperator, may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id, Values, idCell } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

export const TRANSFER_COLUMNS = [
  { title: "Transfer", cell: idCell },
  { title: "Created", cell: (transfer) => time(transfer.created_at) },
  { title: "Status", cell: (transfer) => html`<${Status} value=${transfer.status} />` },
  { title: "Amount", number: true, cell: (transfer) => money(transfer.amount, transfer.currency) },
  { title: "From", cell: (transfer) => end(transfer, transfer.from_account_id) },
  { title: "To", cell: (transfer) => end(transfer, transfer.to_account_id) },
];
const FILTERS = [
  { name: "status", label: "Status", options: ["pending", "processed", "failed", "canceled", "expired"] },
  { name: "account_id", label: "Account", hint: "acc_…" },
  { name: "customer_id", label: "Customer", hint: "cus_…" },
];
const OWNER = { name: "owner", label: "Owner", options: ["merchant", "platform"], value: "merchant" };

/** A transfer of several legs has no single account at its end. */
function end(transfer, accountId) {
  return accountId ? html`<${Id} id=${accountId} />` : `${transfer.legs.length} legs`;
}

function Transfers() {
  return html`<${Page} title="Transfers"><${List} path="transfers" columns=${TRANSFER_COLUMNS} caption="Transfers" ask=${transferQuery}
    filters=${isOperator.value ? [...FILTERS, OWNER] : FILTERS} link=${({ id }) => href("transfers", [id])}
    empty=${["No transfers found.", "Change the filters, or create a transfer with POST /v1/transfers."]} /><//>`;
}

function Transfer({ id }) {
  const loaded = useLoad(() => read(`transfers/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Transfer"><${Loaded} loaded=${loaded}>${(transfer) => html`
    <${Section} title=${money(transfer.amount, transfer.currency)} actions=${html`<${Actions} transfer=${transfer} reload=${loaded.reload} />`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${transfer.id} />`], ["Status", html`<${Status} value=${transfer.status} />`],
        ["Posted", money(transfer.posted_amount, transfer.currency)], ["Owner", html`<${Id} id=${transfer.merchant_id} />`],
        ["Customer", html`<${Id} id=${transfer.customer_id} />`], ["Description", transfer.description],
        ["Created", time(transfer.created_at)], ["Processed", time(transfer.processed_at)], ["Hold expires", time(transfer.expires_at)],
        ...(transfer.failure_code ? [["Failure", `${transfer.failure_reason ?? ""} (${transfer.failure_code})`]] : []),
        ["Metadata", html`<${Values} values=${transfer.metadata} />`],
      ]} /><//>
    <${Section} title="Legs"><${Rows} rows=${transfer.legs} caption="Legs" keyOf=${(leg) => transfer.legs.indexOf(leg)} empty=${["No legs.", ""]} columns=${[
      { title: "From", cell: (leg) => html`<${Id} id=${leg.from_account_id} />` },
      { title: "To", cell: (leg) => html`<${Id} id=${leg.to_account_id} />` },
      { title: "Amount", number: true, cell: (leg) => money(leg.amount, transfer.currency) },
    ]} /><//>`}<//><//>`;
}

function Actions({ transfer, reload }) {
  if (transfer.status !== "pending" || !may("transfers")) return null;
  const { currency } = transfer;
  const shared = {
    done: reload,
    summary: html`<${Facts} facts=${[["Hold", html`<code>${transfer.id}</code>`], ["Held", money(transfer.amount, currency)]]} />`,
  };
  return html`<div class="actions">
    <${Action} ...${shared} label="Post hold" title="Post this hold?" path="transfers/${transfer.id}/post"
      fields=${transfer.legs.length > 1 ? [] : [{ name: "amount", label: "Amount", type: "amount", currency, value: transfer.amount, required: true, hint: "A smaller amount releases the rest." }]}
      outcome=${(answer) => `Posted: ${money(answer.posted_amount, currency)}.${answer.posted_amount < transfer.amount ? " The rest is released." : ""}`} />
    <${Action} ...${shared} label="Cancel hold" title="Cancel this hold?" danger path="transfers/${transfer.id}/cancel"
      outcome=${() => `Released: ${money(transfer.amount, currency)}. Nothing was posted.`} />
  </div>`;
}

export const transfers = { name: "transfers", title: "Transfers", needs: "transfers", needsMerchant: true, Screen: Transfers, DetailScreen: Transfer };
