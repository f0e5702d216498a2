// Exceptions: lines of settlements that need a decision, decided one by one or many at once.
import { html, useState } from "../core/html.js";
import { change } from "../core/api.js";
import { money, words } from "../core/format.js";
import { href } from "../core/router.js";
import { may } from "../core/session.js";
import { Action } from "../parts/action.js";
import { Facts, Id } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Page } from "../parts/page.js";
import { Status } from "../parts/status.js";

const MOST_AT_ONCE = 100;
const STATUSES = ["amount_mismatch", "fee_mismatch", "currency_mismatch", "status_mismatch", "duplicate", "unexpected", "unclassified", "invalid", "missing"];
const WHAT = {
  accept: "Accept: book the line as it is", write_off: "Write off: book the difference as a cost of the platform",
  link: "Link: assign the line to a transaction", ignore: "Ignore: book nothing",
};
const FILTERS = [
  { name: "status", label: "Reason", options: STATUSES }, { name: "min_age_days", label: "At least days old", type: "number" },
  { name: "settlement_id", label: "Settlement", hint: "set_…" },
];
const keyOf = (line) => `${line.settlement_id} line ${line.line}`;
/** Every action but `ignore` moves money, which needs one more permission. */
const actionsOf = (line) => line.actions.filter((action) => action === "ignore" || may("transfers"));
const sums = ({ amount, fee, currency }) => (amount === null ? "not readable" : html`${money(amount, currency)}<br />fee ${money(fee ?? 0, currency)}`);

const COLUMNS = [
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
    <${List} path="settlement-lines" caption="Exceptions" filters=${FILTERS} keyOf=${keyOf} reloadOn=${round} select=${{ chosen, toggle }}
      columns=${[...COLUMNS, { title: "Decision", cell: (line) => html`<${Resolve} line=${line} reload=${reload} />` }]}
      link=${(line) => href("settlements", [line.settlement_id], { status: line.status })}
      empty=${["No open exceptions.", "Everything that was settled matches what is booked, or has been decided."]} /><//>`;
}

export const exceptions = { name: "exceptions", title: "Exceptions", needs: "reports", needsMerchant: true, Screen: Exceptions };
