// Search by any id: ours by its prefix, others by asking every list that knows such ids.
import { html, useEffect } from "../core/html.js";
import { list } from "../core/api.js";
import { time } from "../core/format.js";
import { fits, screenOfId } from "../core/queries.js";
import { href } from "../core/router.js";
import { chosenMerchant, isOperator, may, shownMerchant } from "../core/session.js";
import { Rows } from "../parts/list.js";
import { Empty, Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { ACCOUNT_COLUMNS } from "./accounts.js";
import { CUSTOMER_COLUMNS } from "./customers.js";
import { PAYMENT_COLUMNS } from "./payments.js";

const MOST_FOUND = 10;
const TRANSACTION_COLUMNS = [
  { title: "Transaction", cell: (row) => html`<code>${row.id}</code>` },
  { title: "Type", cell: (row) => row.type },
  { title: "Payment", cell: (row) => html`<code>${row.payment_id}</code>` },
];
const AUDIT_COLUMNS = [
  { title: "Changed", cell: (row) => html`<code>${row.entity_id}</code>` },
  { title: "Time", cell: (row) => time(row.timestamp) },
  { title: "Action", cell: (row) => row.action },
  { title: "Request", cell: (row) => html`<code>${row.request_id}</code>` },
];
/** Lists that know ids other than ours. `every`: an operator asks it for all merchants at once. */
const QUESTIONS = [
  { what: "Transactions with this id at the processor", permission: "payments", path: "transactions", by: "processor_id", columns: TRANSACTION_COLUMNS, screen: "payments", key: "payment_id" },
  { what: "Payments with this idempotency key", permission: "payments", path: "payments", by: "idempotency_key", columns: PAYMENT_COLUMNS, screen: "payments" },
  { what: "Payments with this reference", permission: "payments", path: "payments", by: "reference", columns: PAYMENT_COLUMNS, screen: "payments" },
  { what: "Accounts with this number", permission: "accounts", path: "accounts", by: "account_number", columns: ACCOUNT_COLUMNS, screen: "accounts" },
  { what: "Customers with this email address", permission: "customers", path: "customers", by: "email", columns: CUSTOMER_COLUMNS, screen: "customers" },
  { what: "Changes by this request", permission: "reports", path: "audit", by: "request_id", columns: AUDIT_COLUMNS, screen: "audit", key: "entity_id", every: true },
];

function Search() {
  return html`<${Page} title="Search"><${Empty} title="Search by any id.">Write an id, a reference, an idempotency key or a request id into the field above, or press /.<//><//>`;
}

function Found({ id: wanted }) {
  const choosing = isOperator.value && wanted.startsWith("mer_");
  const screen = screenOfId(wanted);
  const place = choosing ? href("home") : screen && href(screen, [wanted]);
  useEffect(() => {
    if (choosing) chosenMerchant.value = wanted;
    if (place) location.replace(place);
  }, [wanted]);
  if (place) return html`<p class="note" role="status">Opening ${wanted}…</p>`;
  return html`<${Page} title="Search" intro=${html`Results for <code>${wanted}</code>`}><${Answers} wanted=${wanted} /><//>`;
}

function Answers({ wanted }) {
  const asked = QUESTIONS.filter(({ by, permission, every }) => fits(by, wanted) && may(permission) && (shownMerchant.value !== null || (every && isOperator.value)));
  const loaded = useLoad(() => Promise.all(asked.map(async (question) => {
    const everyMerchant = question.every && isOperator.value ? { merchant_id: "" } : {};
    try {
      return { ...question, ...(await list(question.path, { [question.by]: wanted, limit: MOST_FOUND, ...everyMerchant })) };
    } catch (error) {
      return { ...question, data: [], error };
    }
  })), [wanted, shownMerchant.value]);
  return html`<${Loaded} loaded=${loaded}>${(answers) => {
    const found = answers.filter(({ data }) => data.length > 0);
    return found.length === 0
      ? html`<div class="panel"><h2>Nothing found.</h2><p>This was tried${shownMerchant.value ? html` for <code>${shownMerchant.value}</code>` : ""}:</p>
          <ul>${answers.map(({ what, error }) => html`<li>${what}${error && html`: could not be asked. ${error.message}`}</li>`)}</ul>
          <p>Check the id${isOperator.value ? ", or choose another merchant above" : ""}. New data can be found after some seconds.</p></div>`
      : html`${found.map(({ what, data, has_more: more, columns, screen, key = "id" }) => html`<${Section} title=${what}><${Rows} rows=${data} columns=${columns} caption=${what}
          keyOf=${(row) => data.indexOf(row)} link=${(row) => href(screen, [row[key]])} />
          ${more && html`<p class="note">Only the newest ${data.length} are shown.</p>`}<//>`)}
          ${answers.filter(({ error }) => error).map(({ what, error }) => html`<p role="alert" class="invalid">${what}: could not be asked. ${error.message}</p>`)}`;
  }}<//>`;
}

export const search = { name: "search", title: "Search", hidden: true, Screen: Search, DetailScreen: Found };
