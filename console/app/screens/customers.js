// Customers: the list, found by email address, and one customer with what belongs to it.
import { html } from "../core/html.js";
import { listedFor, read } from "../core/api.js";
import { time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id, Values, idCell } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Lock, isLocked } from "../parts/status.js";
import { ACCOUNT_COLUMNS } from "./accounts.js";
import { PAYMENT_COLUMNS } from "./payments.js";

export const CUSTOMER_COLUMNS = [
  { title: "Customer", cell: idCell },
  { title: "Name", cell: (customer) => customer.name },
  { title: "Email", cell: (customer) => customer.email },
  { title: "Created", cell: (customer) => time(customer.created_at) },
  { title: "Lock", cell: (customer) => html`<${Lock} of=${customer} />` },
];
const METHOD_COLUMNS = [
  { title: "Payment method", cell: idCell },
  { title: "Type", cell: (method) => words(method.type) },
  { title: "Brand or bank", cell: (method) => method.brand ?? method.bank_name ?? "—" },
  { title: "Ends in", cell: (method) => method.last4 },
  { title: "Expires", cell: (method) => (method.expiry_month ? `${String(method.expiry_month).padStart(2, "0")}/${method.expiry_year}` : "—") },
  { title: "Default", cell: (method) => (method.is_default ? "Default" : "—") },
];

function Customers() {
  return html`<${Page} title="Customers"><${List} path="customers" columns=${CUSTOMER_COLUMNS} caption="Customers"
    filters=${[{ name: "email", label: "Email", type: "email" }]} link=${({ id }) => href("customers", [id])}
    empty=${["No customers found.", "Check the email address, or create a customer with POST /v1/customers."]} /><//>`;
}

function Customer({ id }) {
  const loaded = useLoad(() => read(`customers/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Customer"><${Loaded} loaded=${loaded}>${(customer) => html`
    <${Section} title=${customer.name} actions=${html`<${Unlock} customer=${customer} reload=${loaded.reload} />`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${customer.id} />`], ["Merchant", html`<${Id} id=${customer.merchant_id} />`],
        ["Email", customer.email], ["Phone", customer.phone], ["Lock", html`<${Lock} of=${customer} />`],
        ["Created", time(customer.created_at)], ["Changed", time(customer.updated_at)],
        ["Metadata", html`<${Values} values=${customer.metadata} />`],
      ]} /><//>
    <${Section} title="Payment methods"><${Rows} rows=${customer.payment_methods} columns=${METHOD_COLUMNS} caption="Payment methods"
      empty=${["No payment methods.", `Add one with POST /v1/customers/${customer.id}/payment-methods.`]} /><//>
    ${may("payments") && html`<${Section} title="Payments"><${List} path="payments" caption="Payments of the customer"
      query=${{ customer_id: customer.id, ...listedFor(customer.merchant_id) }} columns=${PAYMENT_COLUMNS}
      link=${(payment) => href("payments", [payment.id])} empty=${["No payments.", "This customer has not paid yet."]} /><//>`}
    ${may("accounts") && html`<${Section} title="Accounts"><${List} path="accounts" caption="Accounts of the customer"
      query=${{ customer_id: customer.id, ...listedFor(customer.merchant_id) }} columns=${ACCOUNT_COLUMNS}
      link=${(account) => href("accounts", [account.id])} empty=${["No accounts.", "This customer has no account with us."]} /><//>`}`}<//><//>`;
}

function Unlock({ customer, reload }) {
  return isLocked(customer) && may("merchant") && html`<${Action} label="Unlock" title="Unlock this customer?" path="customers/${customer.id}/unlock" done=${reload}
    summary=${html`<${Facts} facts=${[["Customer", html`<code>${customer.id}</code>`], ["Lock", html`<${Lock} of=${customer} />`]]} />`}
    outcome=${() => "The customer is unlocked and can pay again."} />`;
}

export const customers = { name: "customers", title: "Customers", needs: "customers", needsMerchant: true, Screen: Customers, DetailScreen: Customer };
