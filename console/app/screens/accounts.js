// Accounts: the list, and one account with its balances, holds and statement.
import { html, useState } from "../core/html.js";
import { listAll, listedFor, read } from "../core/api.js";
import { money, time, words } from "../core/format.js";
import { accountQuery } from "../core/queries.js";
import { href } from "../core/router.js";
import { isOperator, may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id, idCell } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Lock, Status, isLocked } from "../parts/status.js";
import { TRANSFER_COLUMNS } from "./transfers.js";

const MOST_HOLDS = 500;
export const ACCOUNT_COLUMNS = [
  { title: "Account", cell: idCell },
  { title: "Number", cell: (account) => account.account_number ?? "—" },
  { title: "Status", cell: (account) => html`<${Status} value=${isLocked(account) ? "locked" : account.status} />` },
  { title: "Balance", number: true, cell: (account) => money(account.balance, account.currency) },
  { title: "Available", number: true, cell: (account) => money(account.available, account.currency) },
];
const FILTERS = [
  { name: "account_type", label: "Type", options: ["checking", "savings", "wallet", "merchant", "system"], value: "wallet" },
  { name: "status", label: "Status", options: ["active", "inactive", "closed"], value: "active" },
  { name: "account_number", label: "Or number" },
  { name: "customer_id", label: "Or customer", hint: "cus_…" },
];

function Accounts() {
  return html`<${Page} title="Accounts" intro="Found by type and status, by number, or by customer.">
    <${List} path="accounts" columns=${ACCOUNT_COLUMNS} filters=${FILTERS} ask=${accountQuery} caption="Accounts" link=${({ id }) => href("accounts", [id])}
      empty=${["No accounts found.", "Choose another type or status, or create an account with POST /v1/accounts."]} /><//>`;
}

function Account({ id }) {
  const loaded = useLoad(() => read(`accounts/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Account"><${Loaded} loaded=${loaded}>${(account) => html`<${Sections} account=${account} reload=${loaded.reload} />`}<//><//>`;
}

function Sections({ account, reload }) {
  const { currency } = account;
  const owner = listedFor(account.merchant_id);
  return html`
    <${Section} title="Account" actions=${html`<${Actions} account=${account} reload=${reload} />`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${account.id} />`], ["Status", html`<${Status} value=${account.status} />`], ["Lock", html`<${Lock} of=${account} />`],
        ["Balance", html`<strong>${money(account.balance, currency)}</strong>`], ["Available", money(account.available, currency)],
        ["Held, outgoing", money(account.held_out, currency)], ["Held, incoming", money(account.held_in, currency)],
        ["Credit limit", money(account.credit_limit, currency)], ["Type", words(account.account_type)], ["Number", account.account_number],
        ["Owner", html`<${Id} id=${account.merchant_id} />`], ["Customer", html`<${Id} id=${account.customer_id} />`],
        ["Credits are applied", account.posting === "folded" ? `by the change stream; as of ${time(account.as_of)}` : "at once"],
        ["Created", time(account.created_at)],
      ]} /><//>
    <${BalanceAt} account=${account} />
    ${account.held_out + account.held_in > 0 && may("transfers") && html`<${Holds} account=${account} owner=${owner} />`}
    <${Section} title="Statement"><${List} path="accounts/${account.id}/entries" query=${owner} caption="Statement" keyOf=${(entry) => entry.sequence}
      link=${(entry) => href("transfers", [entry.transfer_id])} empty=${["No entries.", "The first transfer makes the first entry."]} columns=${[
        { title: "Transfer", cell: (entry) => html`<code>${entry.transfer_id}</code>` },
        { title: "Time", cell: (entry) => time(entry.created_at) },
        { title: "Amount", number: true, cell: (entry) => money(entry.amount, currency) },
        { title: "Balance after", number: true, cell: (entry) => money(entry.balance_after, currency) },
      ]} /><//>`;
}

/** Open holds are few, so they are looked through; the account's transfers may be very many. */
function Holds({ account, owner }) {
  const loaded = useLoad(() => listAll("transfers", { status: "pending", ...owner }, MOST_HOLDS), [account.version]);
  const ofAccount = ({ legs }) => legs.some((leg) => leg.from_account_id === account.id || leg.to_account_id === account.id);
  return html`<${Section} title="Open holds"><${Loaded} loaded=${loaded}>${({ data, complete }) => html`
    <${Rows} rows=${data.filter(ofAccount)} columns=${TRANSFER_COLUMNS} caption="Open holds" link=${({ id }) => href("transfers", [id])}
      empty=${["No open holds found.", "Another owner's transfer may hold the amount."]} />
    ${!complete && html`<p class="note">Only the newest ${data.length} open holds were looked through.
      See <a href=${href("transfers", [], { account_id: account.id })}>all transfers of this account</a>.</p>`}`}<//><//>`;
}

function BalanceAt({ account }) {
  const [at, setAt] = useState(null);
  const loaded = useLoad(async () => (at === null ? null : read(`accounts/${account.id}/balance`, { at })), [at]);
  const submit = (event) => {
    event.preventDefault();
    setAt(new Date(new FormData(event.currentTarget).get("at")).toISOString());
  };
  return html`<${Section} title="Balance at an instant">
    <form class="filters" onSubmit=${submit}>
      <label>Time, in your time zone<input type="datetime-local" name="at" step="1" required /></label><button type="submit">Show balance</button>
    </form>
    <div role="status">${at !== null && html`<${Loaded} loaded=${loaded}>${(found) => html`
      <p class="figure">${money(found.balance, account.currency)}</p>
      <p class="note">at ${time(found.at)}, ${found.sequence ? html`after entry <code>${found.sequence}</code>` : "before the first entry"}</p>`}<//>`}</div><//>`;
}

function Actions({ account, reload }) {
  if (!isOperator.value) return null;
  const summary = html`<${Facts} facts=${[["Account", html`<code>${account.id}</code>`], ["Balance", money(account.balance, account.currency)], ["Available", money(account.available, account.currency)]]} />`;
  const action = (label, name, outcome, danger = false) => html`<${Action} ...${{ label, summary, danger, outcome: () => outcome, done: reload }}
    title="${label} this account?" path="accounts/${account.id}/${name}" />`;
  return html`<div class="actions">
    ${isLocked(account) && action("Unlock", "unlock", "The account is unlocked.")}
    ${account.status === "inactive" && action("Activate", "activate", "The account is active again.")}
    ${account.status === "active" && action("Deactivate", "deactivate", "The account is inactive: transfers from and to it are refused.", true)}
  </div>`;
}

export const accounts = { name: "accounts", title: "Accounts", needs: "accounts", needsMerchant: true, Screen: Accounts, DetailScreen: Account };
