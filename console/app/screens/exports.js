// Exports: lists as files, made in the background.
import { html, useEffect, useState } from "../core/html.js";
import { read } from "../core/api.js";
import { time, words } from "../core/format.js";
import { go, href } from "../core/router.js";
import { Action } from "../parts/action.js";
import { Facts, Id, Values } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Loaded, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";
import { Status } from "../parts/status.js";

const POLL_MS = 2_000;
const STATUSES = ["queued", "running", "completed", "failed"];
const KINDS = ["payments", "transactions", "transfers", "entries", "audit", "settlement_lines"].map((kind) => [kind, words(kind)]);
const FIELDS = [
  { name: "kind", label: "What", type: "select", options: KINDS },
  { name: "format", label: "Format", type: "select", options: ["csv", "jsonl", "beancount"], hint: "Beancount is for entries." },
  { name: "start_date", label: "From", type: "date", hint: "Dates are for payments, audit and settlement lines." },
  { name: "end_date", label: "To", type: "date" },
  { name: "account_id", label: "Account", hint: "For transfers and entries." },
];
const COLUMNS = [
  { title: "Export", cell: (each) => html`<code>${each.id}</code>` },
  { title: "What", cell: (each) => words(each.kind) },
  { title: "Format", cell: (each) => each.format },
  { title: "Status", cell: (each) => html`<${Status} value=${each.status} />` },
  { title: "Rows", number: true, cell: (each) => each.rows ?? each.progress },
  { title: "Created", cell: (each) => time(each.created_at) },
];

function Exports() {
  return html`<${Page} title="Exports" actions=${html`<${Action} label="Create an export" title="Create an export?" path="exports" ofMerchant
      fields=${FIELDS} outcome=${(made) => html`Export <code>${made.id}</code> is ${made.status}.`} done=${(made) => go(href("exports", [made.id]))} />`}>
    <${List} path="exports" caption="Exports" columns=${COLUMNS} link=${(each) => href("exports", [each.id])}
      filters=${[{ name: "status", label: "Status", options: STATUSES }]} empty=${["No exports found.", "Create one, or change the filter."]} /><//>`;
}

function Export({ id }) {
  const [round, setRound] = useState(0);
  const loaded = useLoad(() => read(`exports/${encodeURIComponent(id)}`), [id, round]);
  const status = loaded.data?.status;
  useEffect(() => {
    if (status !== "queued" && status !== "running") return undefined;
    const timer = setTimeout(() => setRound((count) => count + 1), POLL_MS);
    return () => clearTimeout(timer);
  }, [status, loaded.data]);
  return html`<${Page} title="Export"><${Loaded} loaded=${loaded}>${(made) => html`
    <${Section} title=${`${words(made.kind)} as ${made.format}`} actions=${made.result_url && html`<a href=${made.result_url} target="_blank" rel="noopener" download>Download the file</a>`}>
      <${Facts} facts=${[
        ["Id", html`<${Id} id=${made.id} />`], ["Status", html`<span role="status"><${Status} value=${made.status} /></span>`], ["Rows", made.rows ?? `${made.progress} so far`],
        ["Bytes", made.size], ["SHA-256", made.sha256 && html`<code>${made.sha256}</code>`], ["Filters", html`<${Values} values=${made.filters} />`],
        ["Contents until", time(made.until)], ["Requested by", made.requested_by], ["Completed", time(made.completed_at)],
        ["Failed because", made.failure_reason], ["Deleted", time(made.expires_at)],
      ]} />
      ${made.result_url && html`<p class="note">The link works for 15 minutes; loading this page again makes a new one. Compare the file with its SHA-256: sha256sum prints the same.</p>`}<//>`}<//><//>`;
}

export const exportFiles = { name: "exports", title: "Exports", needs: "reports", needsMerchant: true, Screen: Exports, DetailScreen: Export };
