// The audit log: search, and one entity's history, whose hash chain this browser verifies.
import { html, useEffect, useState } from "../core/html.js";
import { PAGE_SIZE, read } from "../core/api.js";
import { ChainCheck } from "../core/chain.js";
import { counted, time, words } from "../core/format.js";
import { go, href, setQuery } from "../core/router.js";
import { Changes } from "../parts/changes.js";
import { Facts, Id } from "../parts/facts.js";
import { List } from "../parts/list.js";
import { Empty, Failed, useLoad } from "../parts/load.js";
import { Page, Section } from "../parts/page.js";

const CHAIN_PAGE = 100;
const KINDS = [["entity_id", "Resource (id)"], ["request_id", "Request (id)"], ["action", "Action"], ["user_id", "User"]];
const COLUMNS = [
  { title: "Resource", cell: (row) => html`<code>${row.entity_id}</code>` },
  { title: "Time", cell: (row) => time(row.timestamp) },
  { title: "Change", cell: (row) => html`${words(row.action)}<br /><span class="note">${row.changes.join(", ")}</span>` },
  { title: "By", cell: (row) => html`${row.user_id}<br /><code>${row.request_id}</code>` },
];

function Audit({ query }) {
  const [kind] = KINDS.find(([name]) => query[name]) ?? [];
  const search = (event) => {
    event.preventDefault();
    const { by, value, ...times } = Object.fromEntries(new FormData(event.currentTarget));
    if (by === "entity_id") go(href("audit", [value.trim()]));
    else setQuery({ [by]: value.trim(), ...times });
  };
  const { start_date, end_date } = query;
  // Operators search everyone's rows; a merchant's token limits the search to its own.
  const question = { merchant_id: "", [kind]: query[kind], start_date, end_date };
  return html`<${Page} title="Audit log" intro="Who changed what, when, from what to what. Search for one resource to verify its history.">
    <form class="filters" onSubmit=${search} key=${href("audit", [], query)}>
      <label>Search by<select name="by">${KINDS.map(([name, label]) => html`<option value=${name} selected=${name === kind}>${label}</option>`)}</select></label>
      <label>Value<input name="value" required value=${query[kind] ?? ""} placeholder="pay_…" /></label>
      <label>From<input name="start_date" type="date" value=${start_date ?? ""} /></label>
      <label>To<input name="end_date" type="date" value=${end_date ?? ""} /></label>
      <button type="submit">Search</button>
    </form>
    ${kind
      ? html`<${List} path="audit" query=${question} caption="Audit rows" columns=${COLUMNS} keyOf=${(row) => `${row.entity_id} ${row.sequence}`}
          link=${(row) => href("audit", [row.entity_id])} empty=${["No audit rows found.", "Check the value and the dates. Rows appear some seconds after a change."]} />`
      : html`<${Empty} title="Search the audit log.">By a resource, a request, an action such as payment_succeeded, or a user.<//>`}<//>`;
}

/** Reads and verifies the whole chain of an entity, page by page: {rows, check, done, error, round, reload}; rows are oldest first. */
function useChain(id) {
  const [state, setState] = useState({ rows: [], check: null, done: false, error: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let current = true;
    const check = new ChainCheck(id);
    const rows = [];
    const run = async () => {
      let cursor;
      do {
        const page = await read("audit", { entity_id: id, order: "asc", include: "record", limit: CHAIN_PAGE, cursor });
        for (const row of page.data) rows.push({ row, ...(await check.look(row)) });
        cursor = page.next_cursor;
        if (!current) return;
        setState({ rows: [...rows], check, done: !cursor, error: null });
      } while (cursor);
    };
    setState({ rows: [], check: null, done: false, error: null });
    run().catch((error) => current && setState({ rows, check: null, done: true, error }));
    return () => {
      current = false;
    };
  }, [id, round]);
  return { ...state, round, reload: () => setRound(round + 1) };
}

function History({ id }) {
  const chain = useChain(id);
  const [entity, shard] = id.split("#");
  const served = useLoad(() => read(`audit/${encodeURIComponent(entity)}/verify`, { shard }), [id, chain.round]);
  const [most, setMost] = useState(PAGE_SIZE);
  const shown = [...chain.rows].reverse();
  const bad = shown.findIndex(({ holds }) => holds === false);
  // A broken link is always shown, however far down it is.
  const visible = shown.slice(0, Math.max(most, bad + 2));
  return html`<${Page} title="History" actions=${html`<button type="button" onClick=${chain.reload}>Verify again</button>`}
      intro=${html`Audit rows of <${Id} id=${id} />, newest first. The values below are those that the hashes are made of.`}>
    ${chain.error ? html`<${Failed} error=${chain.error} retry=${chain.reload} />` : html`
    <div class="grid">
      <${Section} title="Verified in this browser"><${Here} ...${chain} /><//>
      <${Section} title="What the API says"><${There} served=${served} here=${chain} /><//>
    </div>
    <ol class="timeline" reversed>${visible.map((each) => html`<${Row} key=${each.row.sequence} ...${each} bad=${chain.check?.firstBad} />`)}</ol>
    ${visible.length < shown.length && html`<button type="button" onClick=${() => setMost(most + CHAIN_PAGE)}>Show older rows (${shown.length - visible.length} more)</button>`}`}<//>`;
}

function Here({ check, done }) {
  if (!done || check === null) return html`<p role="status">Reading and hashing: ${counted(check?.length ?? 0, "row")} so far…</p>`;
  const { length, headHash, firstBad } = check;
  if (firstBad === null) {
    return html`<p role="status"><strong class="status good">${counted(length, "row")} verified in this browser</strong></p><p>Head hash <code>${headHash}</code></p>
      <p class="note">Removing the newest rows breaks no link: make verify-audit compares the rows with their archive.</p>`;
  }
  return html`<div role="alert"><p><strong class="status bad">The chain is broken at row ${firstBad.position} of ${length}</strong></p>
    <p>Row <code>${firstBad.sequence}</code>: ${firstBad.reason}.</p></div><p>Last valid hash <code>${headHash}</code></p>`;
}

function There({ served: { data, error }, here }) {
  if (error) return html`<${Failed} error=${error} />`;
  if (data === null) return html`<p role="status">Asking…</p>`;
  const { check, done } = here;
  const differs = done && check !== null && (data.length !== check.length || data.head_hash !== check.headHash || data.valid !== (check.firstBad === null));
  return html`<p><strong class="status ${data.valid ? "good" : "bad"}">${data.valid ? `${counted(data.length, "row")}: the chain is valid` : `Broken at row ${data.first_bad.position} of ${data.length}`}</strong></p>
    ${data.first_bad && html`<p>Row <code>${data.first_bad.sequence}</code>: ${data.first_bad.reason}.</p>`}
    <p>${data.valid ? "Head" : "Last valid"} hash <code>${data.head_hash}</code></p>
    ${differs && html`<p role="alert" class="invalid">This browser found something else: ${counted(check.length, "row")}, hash ${check.headHash.slice(0, 12)}…. If the resource is being changed, verify again.</p>`}`;
}

function Row({ row, record, holds, bad }) {
  const said = record ?? row;
  const tone = holds ? "good" : holds === false ? "bad" : "";
  const link = holds ? "✓ hash and link verified" : holds === false ? `✗ broken link: ${bad?.reason}` : "not verified: after the broken link";
  return html`<li class=${tone}><details open=${holds === false}><summary><strong>${words(said.action)}</strong> ${time(said.timestamp)} by ${said.user_id}
      <br /><span class=${holds === false ? "invalid" : "note"}>${link}</span></summary>
    <${Changes} row=${said} />
    <${Facts} facts=${[
      ["Sequence", html`<code>${said.sequence}</code>`], ["Version", String(said.version)], ["Cause", said.cause && html`<${Id} id=${said.cause} />`],
      ["Request", said.request_id.startsWith("req_") ? html`<a href=${href("audit", [], { request_id: said.request_id })}><code>${said.request_id}</code></a>` : html`<code>${said.request_id}</code>`],
      ["From", `${said.ip_address} ${said.user_agent}`], ["Hash", html`<code>${row.hash}</code>`], ["Hash of the row before", html`<code>${said.prev_hash}</code>`],
      ["Hash of the whole resource", html`<code>${said.image_hash}</code>`],
    ]} /></details></li>`;
}

export const audit = { name: "audit", title: "Audit", needs: "reports", Screen: Audit, DetailScreen: History };
