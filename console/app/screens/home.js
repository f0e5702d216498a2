// Home: what needs attention, and how payments went by day. Each figure links to its screen.
import { html } from "../core/html.js";
import { listAll, list, read, readOfMerchant } from "../core/api.js";
import { daysAgo, money, time } from "../core/format.js";
import { successRate, sums, total } from "../core/figures.js";
import { href } from "../core/router.js";
import { isOperator, may, shownMerchant } from "../core/session.js";
import { DayChart } from "../parts/chart.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

const DAYS = 30;
const MOST_COUNTED = 100;
/** Statuses of payments whose money is in flight, and those that are asked about. */
const OPEN = [
  { status: "processing", title: "Processing" }, { status: "requires_action", title: "Waiting for customers" },
  { status: "requires_capture", title: "To be captured", of: "amount_capturable" }, { status: "unknown", title: "Unknown outcomes" },
];

function Home() {
  const merchant = shownMerchant.value !== null;
  return html`<${Page} title="Home" intro=${merchant ? null : "This stage has no merchant yet: create one with POST /v1/merchants, or locally with make seed."}>
    <div class="grid">
      ${isOperator.value && html`<${Verification} /><${DeadLetters} />`}
      ${merchant && may("payments") && OPEN.map((each) => html`<${PaymentsIn} ...${each} />`)}
      ${merchant && may("reports") && html`<${Exceptions} />`}
      ${merchant && may("merchant") && html`<${Endpoints} />`}
    </div>
    ${merchant && may("reports") && html`<${Charts} />`}<//>`;
}

/** A figure: what `children` make of the answer, linked to its screen. */
function Figure({ title, link, load, children }) {
  const loaded = useLoad(load, [shownMerchant.value]);
  return html`<section class="panel"><h2><a href=${link}>${title}</a></h2><${Loaded} loaded=${loaded}>${children}<//></section>`;
}

function Verification() {
  return html`<${Figure} title="Ledger verification" link=${href("operations")} load=${() => read("proof")}>${({ holds, as_of, checks }) => html`
    <p class="figure">${holds === null ? "Not yet" : html`<${Status} value=${holds ? "holds" : "violated"} />`}</p>
    <p class="note">${holds === null ? "It runs on a schedule; on the local stage, make proof runs it." : `${checks.length} checks, as of ${time(as_of)}`}</p>`}<//>`;
}

function DeadLetters() {
  return html`<${Figure} title="Dead letters" link=${href("operations")} load=${() => read("operations")}>${({ dead_letters: queues }) => {
    const unknown = queues.filter(({ messages }) => messages === null).length;
    return html`<p class="figure">${queues.reduce((sum, { messages }) => sum + (messages ?? 0), 0)}</p>
      <p class="note">in ${queues.length} queues${unknown ? `, of which ${unknown} did not answer` : ""}</p>`;
  }}<//>`;
}

/** Payments in one status: how many, and the amounts that it concerns, per currency. */
function PaymentsIn({ status, title, of }) {
  return html`<${Figure} title=${title} link=${href("payments", [], { status })} load=${() => listAll("payments", { status }, MOST_COUNTED)}>${({ data, complete }) => html`
    <p class="figure">${data.length}${complete ? "" : "+"}</p>
    <p class="note">${data.length === 0 ? "No payments" : sums(data, of).map(([currency, sum]) => html`<span class="sum">${complete ? "" : "at least "}${money(sum, currency)}</span>`)}</p>`}<//>`;
}

function Exceptions() {
  return html`<${Figure} title="Open exceptions" link=${href("exceptions")} load=${() => list("settlement-lines", { limit: MOST_COUNTED })}>${({ data, next_cursor }) => html`
    <p class="figure">${data.length}${next_cursor ? "+" : ""}</p>
    <p class="note">${data.length === 0 ? "Every settlement line is explained." : `Oldest: ${Math.max(...data.map((line) => line.age_days))} days`}</p>`}<//>`;
}

function Endpoints() {
  return html`<${Figure} title="Webhook endpoints" link=${href("webhooks")} load=${() => list("webhook-endpoints", { limit: MOST_COUNTED })}>${({ data }) => {
    const states = data.map(({ status, health }) => (status === "disabled" ? status : health.condition));
    return html`<p class="figure">${data.length}</p>
      <p>${[...new Set(states)].map((state) => html`<${Status} value=${state} /> ${states.filter((each) => each === state).length} `)}</p>
      ${data.length === 0 && html`<p class="note">Add one with POST /v1/webhook-endpoints.</p>`}`;
  }}<//>`;
}

function Charts() {
  const loaded = useLoad(() => readOfMerchant("payments/summary", { interval: "day", start_date: daysAgo(DAYS - 1) }), [shownMerchant.value]);
  return html`<${Loaded} loaded=${loaded}>${({ by_day: known }) => {
    const days = Array.from({ length: DAYS }, (_, at) => daysAgo(DAYS - 1 - at));
    const counts = days.map((day) => known.find((each) => each.day === day)?.by_status ?? {});
    return html`<${Section} title="Last ${DAYS} days">
      <${DayChart} title="Payments" days=${days} values=${counts.map(total)} format=${String} />
      <${DayChart} title="Success rate" days=${days} values=${counts.map(successRate)} format=${percent} top=${1} least=${1} tone="good" /><//>`;
  }}<//>`;
}

function percent(rate) {
  return `${Math.round(rate * 1000) / 10} %`;
}

export const home = { name: "home", title: "Home", Screen: Home };
