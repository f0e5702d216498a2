// The hash chain of an entity's audit rows, verified as runtime/audit/chain.py does, without trusting the API.
import { canonical, exact } from "./json.js";

export const GENESIS = "0".repeat(64);
const OUTSIDE = "#";
const OUT_OF_BAND = "out_of_band";
const VERSION_DIGITS = 12;

/** SHA-256 of a text's UTF-8, in hex. */
export async function sha256(text) {
  if (!crypto.subtle) throw new Error("Browsers compute hashes only on pages loaded over https or from localhost.");
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Verifies the rows of one entity, one by one, oldest first. A row is one of GET /v1/audit with include=record. */
export class ChainCheck {
  length = 0;
  headHash = GENESIS;
  /** The first broken link: {sequence, position (from 1), reason}; rows after it are only counted. */
  firstBad = null;
  #entityId;
  #before = null;
  #newest = 0n;

  constructor(entityId) {
    this.#entityId = entityId;
  }

  /** Check the next row: {holds, record}. `record` is what its hashed text says; null if that cannot be read. */
  async look(row) {
    this.length += 1;
    const record = recordOf(row.record);
    if (this.firstBad !== null) return { holds: null, record };
    const reason = record === null ? "its hashed text is not canonical JSON of an audit row" : await this.#fault(row, record);
    if (reason !== null) {
      this.firstBad = { sequence: row.sequence, position: this.length, reason };
    } else {
      this.#before = record;
      this.headHash = row.hash;
      const placed = isOutside(record) ? 0n : BigInt(placeOf(record));
      this.#newest = [this.#newest, BigInt(record.version), placed].reduce((a, b) => (a > b ? a : b));
    }
    return { holds: reason === null, record };
  }

  async #fault(row, record) {
    if (record.entity_id !== this.#entityId) return `it is a row of ${record.entity_id}`;
    const other = differing(row, record);
    if (other !== undefined) return `the API shows another ${other} than the text that is hashed`;
    if ((await sha256(row.record)) !== row.hash) return "the row does not match its hash: it was changed";
    if (record.prev_hash !== this.headHash) {
      return `its prev_hash ${record.prev_hash.slice(0, 12)}… is not the hash ${this.headHash.slice(0, 12)}… of the row ` +
        "before: a row was changed, removed, inserted or moved";
    }
    return this.#faultOfSequence(record);
  }

  #faultOfSequence(record) {
    const version = BigInt(record.version);
    const place = placeOf(record);
    if (isOutside(record)) {
      // A balance shard only has rows of out-of-band changes: entries record its versions.
      const missing = place > versionKey(this.#newest) && !this.#entityId.includes(OUTSIDE);
      return missing ? `it follows version ${place}, which has no row` : null;
    }
    if (this.#before === null && place === versionKey(1n) && record.action === OUT_OF_BAND) return null;
    if (place !== versionKey(version)) return `its version ${version} does not match its sequence`;
    const known = this.#before === null ? 0n : BigInt(this.#before.version);
    const jumped = this.#before !== null && isOutside(this.#before);
    const follows = jumped ? version <= this.#newest + 1n : version === known + 1n;
    return follows ? null : `version ${known} is followed by version ${version}`;
  }
}

/** The first attribute that the row shows with another value than its record has; undefined if all agree. */
function differing(row, record) {
  return Object.keys(row).find((name) => name !== "record" && name !== "hash" && !same(row[name], record[name]));
}

function same(one, other) {
  try {
    return canonical(one) === canonical(other);
  } catch {
    return false;
  }
}

function recordOf(text) {
  try {
    const record = exact(text);
    const readable = ["entity_id", "sequence", "action", "prev_hash"].every((name) => typeof record[name] === "string") &&
      (typeof record.version === "bigint" || Number.isSafeInteger(record.version));
    return readable && canonical(record) === text ? record : null;
  } catch {
    return null;
  }
}

function isOutside({ sequence }) {
  return sequence.includes(OUTSIDE);
}

function placeOf({ sequence }) {
  return sequence.split(OUTSIDE)[0];
}

function versionKey(version) {
  return String(version).padStart(VERSION_DIGITS, "0");
}
