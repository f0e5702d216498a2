// The frame around every screen: search, merchant, navigation, and the screen of the current route.
import { html, useEffect, useErrorBoundary, useRef, useState } from "./core/html.js";
import { read } from "./core/api.js";
import { end } from "./core/oidc.js";
import { SHORTCUTS, onKey, setShortcuts, shortcutsOn } from "./core/keyboard.js";
import { go, href, route } from "./core/router.js";
import { chosenMerchant, claims, config, isOperator, may, shownMerchant, signOut } from "./core/session.js";
import { Empty, Failed, Loaded, useLoad } from "./parts/load.js";
import { Page } from "./parts/page.js";
import { NAVIGATION, screenOf } from "./screens/index.js";

export function Shell() {
  const merchants = useLoad(async () => {
    if (!isOperator.value) return [];
    const { data } = await read("merchants", { limit: 100 });
    chosenMerchant.value ??= route.value.query.merchant ?? data[0]?.id ?? null;
    return data;
  }, []);
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header class="top">
      <strong class="brand">Payments</strong>
      ${config.value.stage && html`<span class="stage">${config.value.stage}</span>`}
      <${Search} />
      ${isOperator.value ? html`<${MerchantChoice} merchants=${merchants.data ?? []} />` : html`<code>${shownMerchant.value}</code>`}
      <${Shortcuts} />
      <button type="button" onClick=${() => { signOut(); end(config.value.sign_in); }} title=${`Signed in as ${claims.value.sub}`}>Sign out</button>
    </header>
    <div class="body">
      <nav class="screens" aria-label="Screens">
        ${NAVIGATION.filter((screen) => !screen.operatorsOnly || isOperator.value).map((screen) => html`<a
          href=${href(screen.name)} aria-current=${route.value.screen === screen.name ? "page" : undefined}>${screen.title}</a>`)}
      </nav>
      <main id="main" tabindex="-1"><${Loaded} loaded=${merchants}>${() => html`<${Screen} />`}<//></main>
    </div>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Screen() {
  const [error, reset] = useErrorBoundary();
  const { screen: name, parts, query } = route.value;
  const screen = screenOf(name, parts);
  const place = [name, ...parts, shownMerchant.value].join("/");
  useEffect(() => reset(), [place]);
  if (error) return html`<${Failed} error=${error} retry=${reset} />`;
  if (!screen) return html`<${Page} title="No such screen"><${Empty} title="The address is wrong.">Choose a screen on the left.<//><//>`;
  if (screen.needsMerchant && shownMerchant.value === null) {
    return html`<${Page} title=${screen.title}><${Empty} title="This stage has no merchant yet.">
      Create one with POST /v1/merchants; on the local stage, make seed does it.<//><//>`;
  }
  if (screen.needs && !may(screen.needs)) {
    return html`<${Page} title=${screen.title}><${Empty} title="Your sign-in does not allow this.">It needs the permission ${screen.needs}.<//><//>`;
  }
  return html`<${screen.Screen} key=${place} id=${parts[0]} parts=${parts} query=${query} />`;
}

function Search() {
  const field = useRef(null);
  useEffect(() => onKey("/", () => field.current.focus()), []);
  const search = (event) => {
    event.preventDefault();
    const wanted = field.current.value.trim();
    if (wanted !== "") go(href("search", [wanted]));
  };
  return html`<form role="search" onSubmit=${search}>
    <input ref=${field} type="search" aria-label="Search by any id" placeholder="Search by any id  ( / )" /></form>`;
}

function MerchantChoice({ merchants }) {
  const chosen = chosenMerchant.value;
  const known = merchants.some(({ id }) => id === chosen);
  return html`<label class="merchant">Merchant
    <select value=${chosen ?? ""} onChange=${(event) => { chosenMerchant.value = event.target.value; }} disabled=${chosen === null}>
      ${chosen === null && html`<option value="">none yet</option>`}
      ${!known && chosen && html`<option value=${chosen}>${chosen}</option>`}
      ${merchants.map(({ id, name }) => html`<option value=${id}>${name} · ${id}</option>`)}
    </select></label>`;
}

function Shortcuts() {
  const dialog = useRef(null);
  const [open, setOpen] = useState(false);
  const show = () => {
    setOpen(true);
    dialog.current.showModal();
  };
  useEffect(() => onKey("?", show), []);
  return html`<button type="button" onClick=${show} aria-label="Keyboard shortcuts">?</button>
    <dialog ref=${dialog} aria-label="Keyboard shortcuts" onClose=${() => setOpen(false)}>${open && html`
      <h2>Keyboard shortcuts</h2>
      <dl class="facts">${SHORTCUTS.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
      <label class="check"><input type="checkbox" checked=${shortcutsOn.value} onChange=${(event) => setShortcuts(event.target.checked)} /> Shortcuts of one key are on</label>
      <div class="actions"><button type="button" onClick=${() => dialog.current.close()}>Close</button></div>`}
    </dialog>`;
}
