// One transaction: what the processor was asked to do, what came of it, and where it was settled.
import { html } from "../core/html.js";
import { read } from "../core/api.js";
import { money, time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { Facts, Id } from "../parts/facts.js";
import { Rows } from "../parts/list.js";
import { Empty, Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

function Transactions() {
  return html`<${Page} title="Transactions"><${Empty} title="Transactions are shown with their payment.">Choose a payment, or search by the transaction's id.<//><//>`;
}

function Transaction({ id }) {
  const loaded = useLoad(() => read(`transactions/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Transaction"><${Loaded} loaded=${loaded}>${(transaction) => html`
    <${Section} title="${words(transaction.type)} of ${money(transaction.amount, transaction.currency)}"><${Facts} facts=${[
      ["Id", html`<${Id} id=${transaction.id} />`], ["Payment", html`<${Id} id=${transaction.payment_id} />`], ["Status", html`<${Status} value=${transaction.status} />`],
      ["Fee", money(transaction.fee, transaction.currency)], ["Processor's id", transaction.processor_id && html`<code>${transaction.processor_id}</code>`],
      ["Processor's answer", [transaction.response_text, transaction.response_code && `(${transaction.response_code})`].filter(Boolean).join(" ")],
      ["Reason", transaction.reason], ["Created", time(transaction.created_at)], ["Processed", time(transaction.processed_at)],
      ["Settlement", html`<${Id} id=${transaction.settlement_id} />`],
    ]} /><//>
    <${Section} title="Steps"><${Rows} rows=${transaction.audit_trail} caption="Steps" keyOf=${(step) => step.at + step.status} empty=${["No steps yet.", ""]} columns=${[
      { title: "Status", cell: (step) => html`<${Status} value=${step.status} />` }, { title: "Time", cell: (step) => time(step.at) }, { title: "By", cell: (step) => step.by },
    ]} /><//>
    <${Section} title="Settlement lines"><${Rows} rows=${transaction.settlement_lines} caption="Settlement lines" keyOf=${(line) => `${line.settlement_id}/${line.line}`}
      link=${(line) => href("settlements", [line.settlement_id])} empty=${["Not settled yet.", "A settlement file of the processor has its line."]} columns=${[
        { title: "Settlement", cell: (line) => html`<code>${line.settlement_id}</code>` }, { title: "Line", number: true, cell: (line) => line.line },
        { title: "Status", cell: (line) => html`<${Status} value=${line.status} />` },
      ]} /><//>`}<//><//>`;
}

export const transactions = { name: "transactions", title: "Transactions", needs: "payments", hidden: true, Screen: Transactions, DetailScreen: Transaction };
