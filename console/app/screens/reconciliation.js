// Settlements, their files, and exceptions: one module, because they say the same of lines.
import { html, useState } from "../core/html.js";
import { change, read } from "../core/api.js";
import { money, time, words } from "../core/format.js";
import { href } from "../core/router.js";
import { may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Failed, Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

// Settlements: what processors paid out, explained line by line, and the files that said so.
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
    <${Section} title="Settlement" actions=${html`<${Report} id=${id} />`}>
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
  name: "settlements", title: "Settlements", needsMerchant: true, Screen: Settlements,
  DetailScreen: (props) => (props.id === "files" ? html`<${Files} />` : html`<${Settlement} ...${props} />`),
};

// Exceptions: lines of settlements that need a decision, decided one by one or many at once.
const MOST_AT_ONCE = 100;
const OPEN_STATUSES = ["amount_mismatch", "fee_mismatch", "currency_mismatch", "status_mismatch", "duplicate", "unexpected", "unclassified", "invalid", "missing"];
const WHAT = {
  accept: "Accept: book the line as it is", write_off: "Write off: book the difference as a cost of the platform",
  link: "Link: assign the line to a transaction", ignore: "Ignore: book nothing",
};
const EXCEPTION_FILTERS = [
  { name: "status", label: "Reason", options: OPEN_STATUSES }, { name: "min_age_days", label: "At least days old", type: "number" },
  { name: "settlement_id", label: "Settlement", hint: "set_…" },
];
const keyOf = (line) => `${line.settlement_id} line ${line.line}`;
/** Every action but `ignore` moves money, which needs one more permission. */
const actionsOf = (line) => line.actions.filter((action) => action === "ignore" || may("transfers"));
const sums = ({ amount, fee, currency }) => (amount === null ? "not readable" : html`${money(amount, currency)}<br />fee ${money(fee ?? 0, currency)}`);

const EXCEPTION_COLUMNS = [
  { title: "Line", cell: (line) => html`<code>${line.settlement_id}</code> line ${line.line}` },
  { title: "Age", number: true, cell: (line) => `${line.age_days} d` },
  { title: "Reason", cell: (line) => html`<${Status} value=${line.status} /><br />${line.reason}${line.payment_id && html`<br /><${Id} id=${line.payment_id} />`}${line.suggestion &&
    html`<br />Suggestion: <${Id} id=${line.suggestion.payment_id} />, ${line.suggestion.why}`}` },
  { title: "Found", number: true, cell: (line) => sums(line) },
  { title: "Expected", number: true, cell: (line) => (line.expected ? sums(line.expected) : "—") },
];

function fieldsFor(actions, suggested) {
  return [
    { name: "action", label: "Decision", type: "select", options: actions.map((action) => [action, WHAT[action] ?? words(action)]) },
    ...(actions.includes("link") ? [{ name: "transaction_id", label: "Transaction, to link to", value: suggested, hint: "Only needed to link." }] : []),
    { name: "note", label: "Note", required: true, hint: "Why; kept with the line and in the audit log." },
  ];
}

/** A transaction is only part of a decision to link. */
function decision({ transaction_id, ...values }) {
  return values.action === "link" ? { ...values, transaction_id } : values;
}

function Resolve({ line, reload }) {
  if (actionsOf(line).length === 0) return "—";
  return html`<${Action} label="Resolve" title="Resolve this exception?" done=${reload}
    path="settlement-lines/${line.settlement_id}/${line.line}/resolve" body=${decision} fields=${fieldsFor(actionsOf(line), line.suggestion?.transaction_id)}
    summary=${html`<${Facts} facts=${[["Line", html`<code>${keyOf(line)}</code>`], ["Reason", line.reason], ["Found", sums(line)], ["Expected", line.expected && sums(line.expected)]]} />`}
    outcome=${({ status, resolution }) => `The line is resolved: ${words(resolution?.action ?? status).toLowerCase()}.`} />`;
}

function ResolveMany({ lines, reload }) {
  const common = actionsOf(lines[0]).filter((action) => action !== "link" && lines.every((line) => actionsOf(line).includes(action)));
  if (lines.length > MOST_AT_ONCE) return html`<span class="invalid" role="alert">${lines.length} are chosen; at most ${MOST_AT_ONCE} can be resolved at once.</span>`;
  if (common.length === 0) return html`<span class="note">The ${lines.length} chosen lines have no decision in common.</span>`;
  const totals = {};
  for (const { amount, currency } of lines) if (amount !== null) totals[currency] = (totals[currency] ?? 0n) + BigInt(amount);
  return html`<${Action} label=${`Resolve ${lines.length} chosen`} title=${`Resolve ${lines.length} exceptions?`} done=${reload} fields=${fieldsFor(common)}
    summary=${html`<${Facts} facts=${[["Lines", lines.length], ["Amounts found, in all", Object.entries(totals).map(([currency, minor]) => money(minor, currency)).join(", ")]]} />`}
    send=${(values, key) => change("settlement-lines/resolve", {
      lines: lines.map(({ settlement_id, line }) => ({ settlement_id, line, ...decision(values) })),
    }, { key, ofMerchant: true })}
    outcome=${({ data, resolved, failed }) => html`${resolved} resolved, ${failed} refused.
      <ul>${data.map((line) => html`<li><code>${keyOf(line)}</code>: ${line.problem ? `refused. ${line.problem.title}: ${line.problem.detail}` : `resolved, ${words(line.result.resolution?.action).toLowerCase()}`}</li>`)}</ul>`} />`;
}

function Exceptions() {
  const [chosen, setChosen] = useState(new Map());
  const [round, setRound] = useState(0);
  const reload = () => {
    setChosen(new Map());
    setRound(round + 1);
  };
  const toggle = (key, line) => setChosen((before) => {
    const after = new Map(before);
    if (!after.delete(key)) after.set(key, line);
    return after;
  });
  return html`<${Page} title="Exceptions" intro="Lines of settlements that differ from what is booked. Choose several to decide them at once."
    actions=${chosen.size > 0 && html`<${ResolveMany} key=${[...chosen.keys()].join()} lines=${[...chosen.values()]} reload=${reload} />
      <button type="button" onClick=${() => setChosen(new Map())}>Choose none</button>`}>
    <${List} path="settlement-lines" caption="Exceptions" filters=${EXCEPTION_FILTERS} keyOf=${keyOf} reloadOn=${round} select=${{ chosen, toggle }}
      columns=${[...EXCEPTION_COLUMNS, { title: "Decision", cell: (line) => html`<${Resolve} line=${line} reload=${reload} />` }]}
      link=${(line) => href("settlements", [line.settlement_id], { status: line.status })}
      empty=${["No open exceptions.", "Everything that was settled matches what is booked, or has been decided."]} /><//>`;
}

export const exceptions = { name: "exceptions", title: "Exceptions", needsMerchant: true, Screen: Exceptions };
