// Operations: what operators look at when something is wrong.
import { html, useState } from "../core/html.js";
import { read } from "../core/api.js";
import { duration, time, words } from "../core/format.js";
import { Action } from "../parts/action.js";
import { Facts, Id } from "../parts/facts.js";
import { List, Rows } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

const CHECKS = [
  { title: "Check", cell: (check) => words(check.name) },
  { title: "Result", cell: (check) => html`<${Status} value=${check.holds ? "holds" : "violated"} />` },
  { title: "Checked", number: true, cell: (check) => check.counted },
  { title: "Violations", number: true, cell: (check) => check.violated },
];
const VIOLATIONS = [
  { title: "Id", cell: (violation) => html`<${Id} id=${violation.id} />` },
  { title: "Expected", cell: (violation) => String(violation.expected) },
  { title: "Found", cell: (violation) => String(violation.found) },
];

const SCHEDULES = [
  { title: "Schedule", cell: (schedule) => words(schedule.name) },
  { title: "Every", cell: (schedule) => duration(schedule.every_seconds) },
  { title: "Last run", cell: (schedule) => (schedule.last_started_at ? time(schedule.last_started_at) : "Has not run yet") },
  { title: "Ended", cell: (schedule) => time(schedule.last_ended_at) },
  { title: "Outcome", cell: (schedule) => schedule.outcome && html`<${Status} value=${schedule.outcome} /> ${schedule.late && html`<${Status} value="late" />`}${schedule.error && html`<br />${schedule.error}, in the log of <code>${schedule.run_id}</code>`}` },
];
const STREAMS = [
  { title: "Changes of", cell: (stream) => words(stream.name) },
  { title: "Last batch", cell: (stream) => (stream.last_batch_at ? time(stream.last_batch_at) : "No batch yet") },
  { title: "Lag", cell: (stream) => stream.lag_seconds !== null && (stream.lag_seconds === 0 ? "Less than a second" : duration(stream.lag_seconds)) },
  { title: "Status", cell: (stream) => stream.failing !== null && html`<${Status} value=${stream.failing ? "failing" : stream.late ? "late" : "healthy"} />` },
];
const DEAD_LETTERS = [
  { title: "Dead letters of", cell: (letters) => words(letters.queue.replaceAll("-", "_")) },
  { title: "Messages", number: true, cell: (letters) => letters.messages ?? "Not known: SQS did not answer" },
];

function Operations() {
  return html`<${Page} title="Operations"><${Background} /><${Verification} /><${ProcessorEvents} /><//>`;
}

/** The schedules with their last runs, and the dead-letter queues. */
function Background() {
  const loaded = useLoad(() => read("operations"), []);
  return html`<${Loaded} loaded=${loaded}>${(now) => html`
    <${Section} title="Schedules">
      <${Rows} rows=${now.schedules} caption="Schedules" columns=${SCHEDULES} keyOf=${(schedule) => schedule.name} empty=${["No schedules."]} /><//>
    <${Section} title="Change streams">
      <${LateStreams} streams=${now.streams} />
      <${Rows} rows=${now.streams} caption="Change streams" columns=${STREAMS} keyOf=${(stream) => stream.name} empty=${["No change streams."]} />
      <p class="note">Lag: how old the oldest change was when its batch ended. While a batch fails, it grows until a retry succeeds.</p><//>
    <${Section} title="Dead letters">
      <${Rows} rows=${now.dead_letters} caption="Dead letters" columns=${DEAD_LETTERS} keyOf=${(letters) => letters.queue} empty=${["No dead-letter queues."]} />
      <p class="note">As of ${time(now.as_of)}.</p><//>`}<//>`;
}

/** A warning while entries, audit rows, webhooks or totals are not made, or late. */
function LateStreams({ streams }) {
  const names = streams.filter((stream) => stream.late).map((stream) => words(stream.name));
  return names.length > 0 && html`<p class="invalid" role="alert">Late: ${names.join(", ")}. What is made of these changes, such as entries, webhooks, totals and the audit log, may not be up to date. The log of the function says why.</p>`;
}

/** The last ledger verification, with its checks and what violates them. */
function Verification() {
  const loaded = useLoad(() => read("proof"), []);
  return html`<${Section} title="Ledger verification"><${Loaded} loaded=${loaded}>${(proof) => proof.holds === null
    ? html`<p class="note">It has not been completed yet; it runs on a schedule, on the local stage with make proof.</p>`
    : html`<${Facts} facts=${[
        ["Result", html`<${Status} value=${proof.holds ? "holds" : "violated"} />`], ["Kind", words(proof.kind)], ["As of", time(proof.as_of)],
        ["Completed", time(proof.completed_at)], ["Last full verification", proof.last_full && `${time(proof.last_full.completed_at)}: ${proof.last_full.holds ? "holds" : "violated"}`],
      ]} />
      <${Rows} rows=${proof.checks} caption="Checks" columns=${CHECKS} keyOf=${(check) => check.name} empty=${["No checks."]} />
      ${proof.checks.filter((check) => check.violations.length > 0).map((check) => html`<h3>${words(check.name)}: what violates it</h3>
        <${Rows} rows=${check.violations} caption=${`Violations of ${words(check.name)}`} columns=${VIOLATIONS} empty=${["None."]} />`)}`}<//><//>`;
}

function ProcessorEvents() {
  const [round, setRound] = useState(0);
  const columns = [
    { title: "Event", cell: (event) => html`<code>${event.id}</code><br />${words(event.kind)}` },
    { title: "Reason", cell: (event) => html`${words(event.reason)}<br />${event.detail}` },
    { title: "Processor", cell: (event) => html`${event.processor}<br /><code>${event.charge_id ?? event.object_id ?? event.event_id}</code>` },
    { title: "Payment", cell: (event) => html`<${Id} id=${event.payment_id} />` },
    { title: "Happened", cell: (event) => time(event.event_at) },
    { title: "Apply", cell: (event) => html`<${Action} label="Apply" title="Apply this event again?" path="processor-events/${event.id}/apply"
      done=${() => setRound(round + 1)} summary=${html`<${Facts} facts=${[["Event", html`<code>${event.id}</code>`], ["What happened", words(event.kind)], ["Not applied because", event.detail], ["Tried", `${event.attempts} times`]]} />`}
      outcome=${() => "The event is applied."} />` },
  ];
  return html`<${Section} title="Processor events that could not be applied"><${List} path="processor-events" query=${{ merchant_id: "", status: "unapplied" }} caption="Processor events" columns=${columns} reloadOn=${round}
    empty=${["Every event was applied."]} /><//>`;
}

export const operations = { name: "operations", title: "Operations", needs: "admin", operatorsOnly: true, Screen: Operations };
