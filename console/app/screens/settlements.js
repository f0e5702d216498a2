// Settlements: what processors paid out, explained line by line, and the files that said so.
import { html, useState } from "../core/html.js";
import { change, read } from "../core/api.js";
import { money, time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { Facts, Id } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Failed, Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

const STATUSES = ["processing", "completed", "completed_with_exceptions", "rejected"];
const LINE_STATUSES = ["matched", "amount_mismatch", "fee_mismatch", "currency_mismatch", "status_mismatch", "duplicate", "unexpected", "unclassified", "invalid", "missing", "superseded"];
const LINE_TYPES = ["capture", "refund", "refund_failure", "dispute", "dispute_reversal", "fee", "adjustment", "payout"];
const status = { title: "Status", cell: (row) => html`<${Status} value=${row.status} />` };
const amounts = (byCurrency) => Object.entries(byCurrency).map(([currency, minor]) => money(minor, currency)).join(", ") || "—";

const COLUMNS = [
  { title: "Settlement", cell: (each) => html`<code>${each.id}</code>` },
  { title: "Date", cell: (each) => each.date },
  { title: "Format", cell: (each) => words(each.format) },
  status,
  { title: "Open exceptions", number: true, cell: (each) => each.open_exceptions },
  { title: "Payout", number: true, cell: (each) => amounts(each.payout) },
  { title: "Not explained", number: true, cell: (each) => amounts(each.remainder) },
];
const DATES = [{ name: "start_date", label: "From", type: "date" }, { name: "end_date", label: "To", type: "date" }];

function Settlements() {
  return html`<${Page} title="Settlements" intro="Payouts of the processors, compared with what is booked."
    actions=${html`<a href=${href("settlements", ["files"])}>Settlement files</a>`}>
    <${List} path="settlements" caption="Settlements" columns=${COLUMNS} link=${(each) => href("settlements", [each.id])}
      filters=${[{ name: "status", label: "Status", options: STATUSES }, ...DATES]}
      empty=${["No settlements found.", "Upload a file of your processor with POST /v1/settlement-files, or change the filters."]} /><//>`;
}

const FILE_COLUMNS = [
  { title: "File", cell: (file) => html`${file.name}${file.format && `, ${file.format}`}<br /><code>${file.id}</code>` },
  { title: "Received", cell: (file) => time(file.created_at) },
  { title: "Status", cell: (file) => html`<${Status} value=${file.status} />${file.reason && html`<div class="text">${file.reason}</div>`}` },
  { title: "Lines", number: true, cell: (file) => file.progress.lines },
  { title: "Settlements", cell: (file) => (file.settlement_ids.length ? file.settlement_ids.map((id) => html`<${Id} id=${id} /> `) : "—") },
];

function Files() {
  return html`<${Page} title="Settlement files" actions=${html`<a href=${href("settlements")}>Settlements</a>`}>
    <${List} path="settlement-files" caption="Settlement files" columns=${FILE_COLUMNS} filters=${[{ name: "status", label: "Status", options: ["received", ...STATUSES] }]}
      empty=${["No settlement files found.", "Upload a file of your processor with POST /v1/settlement-files, or change the filter."]} /><//>`;
}

const LINE_COLUMNS = [
  { title: "Line", number: true, cell: (line) => line.line },
  { title: "Type", cell: (line) => html`${words(line.type ?? line.category ?? "—")}<br /><${Status} value=${line.status} />` },
  { title: "Amount", number: true, cell: (line) => money(line.amount, line.currency) },
  { title: "Fee", number: true, cell: (line) => money(line.fee, line.currency) },
  { title: "Net", number: true, cell: (line) => money(line.net, line.currency) },
  { title: "About", cell: (line) => html`<${Id} id=${line.payment_id ?? line.transaction_id} />${line.reason && html`<br />${line.reason}`}${line.resolution &&
    html`<br />${words(line.resolution.action)}: ${line.resolution.note} (${line.resolution.by}, ${time(line.resolution.at)})`}` },
];

function Settlement({ id }) {
  const loaded = useLoad(() => read(`settlements/${encodeURIComponent(id)}`), [id]);
  return html`<${Page} title="Settlement"><${Loaded} loaded=${loaded}>${(settlement) => html`
    <${Section} title="Settlement" actions=${html`<div class="actions"><a href=${href("audit", [id])}>History</a><${Report} id=${id} /></div>`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${settlement.id} />`], ["Status", html`<${Status} value=${settlement.status} />`], ["Date", settlement.date],
        ["Format", words(settlement.format)], ["Payout reference", settlement.payout_reference], ["Completed", time(settlement.completed_at)],
        ["Open exceptions", settlement.open_exceptions === 0 ? 0 : html`<a href=${href("exceptions", [], { settlement_id: id })}>${settlement.open_exceptions}</a>`],
        ["Lines", html`${Object.entries(settlement.counts).map(([name, count]) => html`<${Status} value=${name} /> ${count} `)}`],
        ["Rejected because", settlement.rejection_reason], ["SHA-256 of the file", html`<code>${settlement.sha256}</code>`],
      ]} /><//>
    ${currenciesOf(settlement).map((currency) => html`<${Explained} settlement=${settlement} currency=${currency} />`)}
    <${Section} title="Lines"><${List} path="settlements/${settlement.id}/lines" caption="Lines" columns=${LINE_COLUMNS} keyOf=${(line) => line.line}
      filters=${[{ name: "status", label: "Status", options: LINE_STATUSES }, { name: "type", label: "Type", options: LINE_TYPES }]}
      empty=${["No lines found.", "Change the filters."]} /><//>`}<//><//>`;
}

function currenciesOf({ by_type, payout }) {
  return [...new Set([...Object.values(by_type).flatMap(Object.keys), ...Object.keys(payout)])].sort();
}

/** How the payout of a currency comes about: what each type of line adds to it, and what is left. */
function Explained({ settlement, currency }) {
  const { payout, remainder } = settlement;
  const rows = Object.entries(settlement.by_type).filter(([, totals]) => totals[currency]).map(([type, totals]) => ({ type, ...totals[currency] }));
  const left = remainder[currency];
  const cell = (name) => (row) => money(row[name], currency);
  return html`<${Section} title=${`Totals in ${currency}`}>
    <${Rows} rows=${rows} caption=${`Totals in ${currency} by type`} keyOf=${(row) => row.type} columns=${[
      { title: "Type", cell: (row) => words(row.type) }, { title: "Lines", number: true, cell: (row) => row.count },
      ...["amount", "fee", "net"].map((name) => ({ title: words(name), number: true, cell: cell(name) }))]} />
    ${payout[currency] === undefined ? html`<p class="note">The files name no payout in ${currency}.</p>`
      : html`<p>Paid out: <strong>${money(payout[currency], currency)}</strong>. ${left === 0
          ? "The lines explain it to the last minor unit."
          : html`The other lines add up to ${money(BigInt(payout[currency]) - BigInt(left), currency)}: <strong>${money(left, currency)}</strong> of it are not explained.`}</p>`}
  <//>`;
}

function Report({ id }) {
  const [state, setState] = useState({});
  const load = () => read(`settlements/${id}/report`).then((report) => setState({ report }), (error) => setState({ error }));
  const { report, error } = state;
  if (error) return html`<${Failed} error=${error} retry=${load} />`;
  if (!report) return html`<button type="button" onClick=${load}>Make a report</button>`;
  return html`<p class="actions"><a href=${report.url} target="_blank" rel="noopener">Open the report</a>
    ${report.csv_url && html`<a href=${report.csv_url} target="_blank" rel="noopener">Lines as CSV</a>`}
    <span class="note">until ${time(report.expires_at)}</span></p>`;
}

export const settlements = {
  name: "settlements", title: "Settlements", needs: "reports", needsMerchant: true, Screen: Settlements,
  DetailScreen: (props) => (props.id === "files" ? html`<${Files} />` : html`<${Settlement} ...${props} />`),
};
