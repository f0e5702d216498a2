// Payments: the list with its filters, and one payment with its actions and its timeline.
import { html } from "../core/html.js";
import { read } from "../core/api.js";
import { money, time, words } from "../core/format.js";
import { paymentQuery } from "../core/queries.js";
import { href } from "../core/router.js";
import { may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id, Values, idCell } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";
import { Timeline } from "./timeline.js";

const STATUSES = ["processing", "requires_action", "requires_capture", "succeeded", "failed", "canceled", "unknown"];
export const PAYMENT_COLUMNS = [
  { title: "Payment", cell: idCell },
  { title: "Created", cell: (payment) => time(payment.created_at) },
  { title: "Status", cell: (payment) => html`<${Status} value=${payment.status} />` },
  { title: "Amount", number: true, cell: (payment) => money(payment.amount, payment.currency) },
  { title: "Refunded", number: true, cell: (payment) => (payment.amount_refunded ? money(payment.amount_refunded, payment.currency) : "—") },
  { title: "Reference", cell: (payment) => payment.reference ?? "—" },
];
const FILTERS = [
  { name: "status", label: "Status", options: STATUSES },
  { name: "currency", label: "Currency", hint: "USD" },
  { name: "min_amount", label: "Minimum amount" },
  { name: "max_amount", label: "Maximum amount" },
  { name: "reference", label: "Reference" },
  { name: "customer_id", label: "Customer", hint: "cus_…" },
  { name: "start_date", label: "From date", type: "date" },
  { name: "end_date", label: "To date", type: "date" },
];

function Payments() {
  return html`<${Page} title="Payments"><${List} path="payments" columns=${PAYMENT_COLUMNS} filters=${FILTERS} ask=${paymentQuery} caption="Payments"
    link=${(payment) => href("payments", [payment.id])} empty=${["No payments found.", "Change the filters, or create a payment with POST /v1/payments."]} /><//>`;
}

function Payment({ id }) {
  const loaded = useLoad(() => read(`payments/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Payment"><${Loaded} loaded=${loaded}>${(payment) => {
    const amount = (minor) => money(minor, payment.currency);
    return html`
      <${Section} title=${amount(payment.amount)} actions=${html`<${Actions} payment=${payment} reload=${loaded.reload} />`}>
        <${Facts} facts=${[
          ["Id", html`<${Id} id=${payment.id} />`], ["Status", html`<${Status} value=${payment.status} />`],
          ["Can be captured", amount(payment.amount_capturable)], ["Captured", amount(payment.amount_captured)], ["Refunded", amount(payment.amount_refunded)],
          ["Capture", words(payment.capture_method)], ["Payment method", html`<code>${payment.payment_method}</code>`],
          ["Customer", html`<${Id} id=${payment.customer_id} />`], ["Merchant", html`<${Id} id=${payment.merchant_id} />`],
          ["Reference", payment.reference], ["Description", payment.description], ["Created", time(payment.created_at)], ["Changed", time(payment.updated_at)],
          ...(payment.failure_code ? [["Failure", `${payment.failure_reason ?? ""} (${payment.failure_code})`]] : []),
          ...(payment.dispute_status ? [["Dispute", html`<${Status} value=${payment.dispute_status} />`]] : []),
          ["Metadata", html`<${Values} values=${payment.metadata} />`],
        ]} /><//>
      <${Timeline} payment=${payment} />`;
  }}<//><//>`;
}

function Actions({ payment, reload }) {
  const { currency, amount_capturable: capturable, amount_captured: captured, status } = payment;
  const refundable = captured - payment.amount_refunded;
  const amount = (minor) => money(minor, currency);
  const shared = (...more) => ({ done: reload, summary: html`<${Facts} facts=${[["Payment", html`<code>${payment.id}</code>`], ["Amount", amount(payment.amount)], ...more]} />` });
  const path = `payments/${payment.id}`;
  const field = (value, hint) => ({ name: "amount", label: "Amount", type: "amount", currency, value, required: true, hint });
  return html`<div class="actions">
    ${capturable > 0 && may("payments") && html`<${Action} ...${shared(["Can be captured", amount(capturable)])} label="Capture" title="Capture this payment?" path="${path}/capture"
      fields=${[field(capturable), { name: "final", label: "Final: release what is not captured", type: "checkbox", value: true }]}
      outcome=${(answer) => `Captured in all: ${amount(answer.amount_captured)}. ${result(answer)}`} />`}
    ${["requires_capture", "requires_action"].includes(status) && may("payments") && html`<${Action} ...${shared(["Released", amount(capturable || payment.amount)])} danger
      label="Cancel payment" title="Cancel this payment?" path="${path}/cancel" outcome=${result} />`}
    ${refundable > 0 && may("refunds") && html`<${Action} ...${shared(["Can be refunded", amount(refundable)])} danger label="Refund" title="Refund this payment?" path="${path}/refund"
      fields=${[field(refundable, "A smaller amount refunds a part."), { name: "reason", label: "Reason" }]}
      outcome=${(answer) => `Refunded in all: ${amount(answer.amount_refunded)}. ${result(answer)}`} />`}
  </div>`;
}

function result({ status, transactions = [] }) {
  const open = transactions.some((transaction) => transaction.status === "pending");
  return `Status of the payment: ${words(status)}.${open ? " The processor has not confirmed it yet; it is asked again." : ""}`;
}

export const payments = { name: "payments", title: "Payments", needs: "payments", needsMerchant: true, Screen: Payments, DetailScreen: Payment };
