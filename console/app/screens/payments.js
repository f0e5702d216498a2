// Payments: the list with its filters, and one payment.
import { html } from "../core/html.js";
import { read } from "../core/api.js";
import { money, time } from "../core/format.js";
import { href } from "../core/router.js";
import { may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id, Values } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

const STATUSES = ["pending", "processing", "requires_action", "requires_capture", "succeeded", "failed", "canceled", "unknown"];
const COLUMNS = [
  { title: "Payment", cell: (payment) => html`<code>${payment.id}</code>` },
  { title: "Created", cell: (payment) => time(payment.created_at) },
  { title: "Status", cell: (payment) => html`<${Status} value=${payment.status} />` },
  { title: "Amount", number: true, cell: (payment) => money(payment.amount, payment.currency) },
  { title: "Reference", cell: (payment) => payment.reference ?? "—" },
];
const FILTERS = [
  { name: "status", label: "Status", options: STATUSES },
  { name: "currency", label: "Currency", hint: "USD" },
  { name: "reference", label: "Reference" },
  { name: "start_date", label: "From", type: "date" },
  { name: "end_date", label: "To", type: "date" },
];

function Payments() {
  return html`<${Page} title="Payments"><${List} path="payments" columns=${COLUMNS} filters=${FILTERS} caption="Payments"
    link=${(payment) => href("payments", [payment.id])} empty=${["No payments found.", "Change the filters, or create a payment with POST /v1/payments."]} /><//>`;
}

function Payment({ id }) {
  const loaded = useLoad(() => read(`payments/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Payment"><${Loaded} loaded=${loaded}>${(payment) => html`
    <${Section} title="Payment" actions=${html`<${Actions} payment=${payment} reload=${loaded.reload} />`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${payment.id} />`], ["Status", html`<${Status} value=${payment.status} />`],
        ["Amount", money(payment.amount, payment.currency)], ["Captured", money(payment.amount_captured, payment.currency)],
        ["Refunded", money(payment.amount_refunded, payment.currency)], ["Customer", html`<${Id} id=${payment.customer_id} />`],
        ["Created", time(payment.created_at)], ["Metadata", html`<${Values} values=${payment.metadata} />`],
      ]} /><//>`}<//><//>`;
}

function Actions({ payment, reload }) {
  const refundable = payment.amount_captured - payment.amount_refunded;
  const path = `payments/${payment.id}`;
  const what = html`<${Facts} facts=${[["Payment", html`<code>${payment.id}</code>`], ["Amount", money(payment.amount, payment.currency)]]} />`;
  return html`<div class="actions">
    ${refundable > 0 && may("refunds") && html`<${Action} label="Refund" title="Refund this payment?" danger summary=${what} path="${path}/refund" done=${reload}
      fields=${[{ name: "amount", label: "Amount", type: "amount", currency: payment.currency, value: refundable, required: true }, { name: "reason", label: "Reason" }]}
      outcome=${(answer) => `The payment is ${answer.status}; ${money(answer.amount_refunded, answer.currency)} are refunded in all.`} />`}
  </div>`;
}

export const payments = { name: "payments", title: "Payments", needsMerchant: true, Screen: Payments, DetailScreen: Payment };
