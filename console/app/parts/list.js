// A list of the API: filters, pages, rows that the keyboard walks through, and its states.
import { html, useEffect, useState } from "../core/html.js";
import { list } from "../core/api.js";
import { words } from "../core/format.js";
import { moveAmongRows, onKey } from "../core/keyboard.js";
import { href, route, setQuery } from "../core/router.js";
import { shownMerchant } from "../core/session.js";
import { Empty, Failed, useLoad } from "./load.js";

/**
 * A list.
 *
 * `path` and `query`: what is asked of the API; the filters in the address are added.
 * `columns`: [{title, cell(row), number?}]. The first column's cell is the row's link, to `link(row)`.
 * `filters`: [{name, label, options?, type?, hint?, value?}], shown above and kept in the address. A filter with a `value`
 * always has one: this, until another is chosen. `ask(chosen)` makes the API's query of them, or throws a readable Error.
 * `empty`: [title, what to do]. `select`: {chosen: Set of keys, toggle(key)} shows a box per row; `keyOf(row)` is its key.
 * `reloadOn`: a value whose change loads the page again.
 */
export function List({ path, query = {}, columns, link, filters = [], empty, caption, select, keyOf = (row) => row.id, reloadOn, ask = (chosen) => chosen }) {
  const chosen = Object.fromEntries(filters.map(({ name, value }) => [name, route.value.query[name] || value]));
  const question = JSON.stringify([path, query, chosen, shownMerchant.value]);
  const [place, setPlace] = useState({ question, cursors: [] });
  const cursors = place.question === question ? place.cursors : [];
  const loaded = useLoad(
    async () => list(path, { ...query, ...ask(chosen), cursor: cursors.at(-1) }), [question, cursors.at(-1), reloadOn],
  );
  useEffect(() => {
    const ends = [onKey("j", () => moveAmongRows(1)), onKey("k", () => moveAmongRows(-1))];
    return () => ends.forEach((end) => end());
  }, []);
  const turn = (next) => setPlace({ question, cursors: next });
  return html`
    ${filters.length > 0 && html`<${Filters} filters=${filters} chosen=${chosen} />`}
    ${loaded.error ? html`<${Failed} error=${loaded.error} retry=${loaded.reload} />`
      : loaded.data === null ? html`<p class="note" role="status">Loading…</p>`
      : html`<${Rows} rows=${loaded.data.data} ...${{ columns, link, caption, select, keyOf }} busy=${loaded.loading}
          empty=${loaded.data.next_cursor ? ["Nothing found so far.", "The next page searches on."] : empty} />
        <nav class="pager" aria-label="Pages of ${caption}">
          <button type="button" disabled=${cursors.length === 0} onClick=${() => turn(cursors.slice(0, -1))}>Previous page</button>
          <span class="note">Page ${cursors.length + 1}</span>
          <button type="button" disabled=${!loaded.data.next_cursor} onClick=${() => turn([...cursors, loaded.data.next_cursor])}>Next page</button>
          <button type="button" onClick=${loaded.reload}>Refresh</button>
        </nav>`}`;
}

/** The rows of a table, also for lists that are not asked page by page. */
export function Rows({ rows, columns, link, empty, caption, select, keyOf = (row) => row.id, busy = false }) {
  if (rows.length === 0) return html`<${Empty} title=${empty[0]}>${empty[1]}<//>`;
  return html`<table aria-busy=${busy} class="rows">
    <caption class="hidden">${caption}</caption>
    <thead><tr>${select && html`<th scope="col"><input type="checkbox" aria-label="Select all rows shown" checked=${rows.every((row) => select.chosen.has(keyOf(row)))}
        onChange=${(event) => rows.filter((row) => select.chosen.has(keyOf(row)) !== event.target.checked).forEach((row) => select.toggle(keyOf(row), row))} /></th>`}
      ${columns.map(({ title, number }) => html`<th scope="col" class=${number ? "number" : ""}>${title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${keyOf(row)}>
      ${select && html`<td data-label="Select"><input type="checkbox" aria-label="Select ${keyOf(row)}"
        checked=${select.chosen.has(keyOf(row))} onChange=${() => select.toggle(keyOf(row), row)} /></td>`}
      ${columns.map(({ title, cell, number }, index) => html`<td data-label=${title} class=${number ? "number" : ""}><div>
        ${index === 0 && link ? html`<a class="row-link" href=${link(row)}>${cell(row)}</a>` : cell(row)}</div></td>`)}
    </tr>`)}</tbody>
  </table>`;
}

function Filters({ filters, chosen }) {
  const apply = (event) => {
    event.preventDefault();
    setQuery({ ...route.value.query, ...Object.fromEntries(new FormData(event.currentTarget)) });
  };
  const clear = () => setQuery(Object.fromEntries(Object.entries(route.value.query).filter(([name]) => !(name in chosen))));
  return html`<form class="filters" onSubmit=${apply} key=${href(route.value.screen, [], chosen)}>
    ${filters.map(({ name, label, options, type = "text", hint, value }) => html`<label>${label}
      ${options
        ? html`<select name=${name}>${value === undefined && html`<option value="">Any</option>`}
            ${options.map((option) => html`<option value=${option} selected=${option === chosen[name]}>${words(option)}</option>`)}</select>`
        : html`<input name=${name} type=${type} defaultValue=${chosen[name] ?? ""} placeholder=${hint ?? ""} />`}
    </label>`)}
    <button type="submit">Apply</button>
    ${filters.some(({ name }) => route.value.query[name]) && html`<button type="button" onClick=${clear}>Clear</button>`}
  </form>`;
}
