// Routes live in the fragment: #/payments/pay_…?status=succeeded. No server rule is needed.
import { signal } from "./html.js";

/** Where the user is: {screen, parts, query}. `parts` are the path's segments after the screen. */
export const route = signal(parse(location.hash));

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) return;
  route.value = parse(location.hash);
});

/** The link of a screen. Empty values of the query are left out. */
export function href(screen, parts = [], query = {}) {
  const path = [screen, ...parts].map(encodeURIComponent).join("/");
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(given).toString();
  return `#/${path}${search === "" ? "" : `?${search}`}`;
}

export function go(link) {
  location.hash = link;
}

/** Replace the query of the current route, without a new entry in the browser's history. */
export function setQuery(query) {
  const { screen, parts } = route.value;
  replaceAddress(href(screen, parts, query));
}

/** Replace the address, and with it its entry in the browser's history, and go where it leads. */
export function replaceAddress(url) {
  history.replaceState(null, "", url);
  route.value = parse(location.hash);
}

function parse(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [screen, ...parts] = path.split("/").filter(Boolean).map(decoded);
  return { screen: screen ?? "home", parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** The part without its percent-encoding; as it is, if that is malformed. */
export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
