// JSON whose whole numbers stay exact, and its one canonical text, as runtime/core/canonical_json.py writes it.

/** A text with its quotes, or a number; everything else in JSON is punctuation or a word. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The value of a JSON text. A whole number beyond 2^53 is a BigInt. Throws SyntaxError if it is not JSON. */
export function exact(text) {
  // Each token becomes a text with its kind in front, so that JSON.parse rounds no number. Not every browser gives a
  // reviver the source of a number.
  return plain(JSON.parse(text.replace(TOKEN, (token) => (token[0] === '"' ? `"s${token.slice(1)}` : `"n${token}"`))));
}

function plain(marked) {
  if (typeof marked === "string") return marked[0] === "s" ? marked.slice(1) : number(marked.slice(1));
  if (Array.isArray(marked)) return marked.map(plain);
  if (marked === null || typeof marked !== "object") return marked;
  return Object.fromEntries(Object.entries(marked).map(([name, member]) => [name.slice(1), plain(member)]));
}

function number(text) {
  const rounded = Number(text);
  return Number.isSafeInteger(rounded) || !/^-?\d+$/.test(text) ? rounded : BigInt(text);
}

/**
 * The canonical JSON of a value (RFC 8785): no spaces, names sorted by UTF-16 code units, whole numbers in full.
 * Throws TypeError for what has no canonical form, such as a fraction.
 */
export function canonical(value) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return String(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object") throw new TypeError(`${String(value)} has no canonical form.`);
  // sort() without a comparison is by UTF-16 code units.
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}
