// Which text of a window is a name of its keys, as `last(template)` is of `template_id`. Pure.
//
// `last(bus)` looks the same, and is none: a key's total is not that of the bus that came last. So a
// text counts as a name only where that has been seen: of all rows that are here each value of some
// key has one text, hardly any two have the same one, and they have had it again and again.

import { group_id, key_label, type Group, type WindowStore } from "./store";

/** As often at least, and once for each value on average, a text must have come again. */
const kRepeatsMin = 8;
/** Of the values, so many must have a name that no other has: a region is no name of its shops. */
const kDistinctMin = 0.9;
/** What the engine's templates have for what varies; a text may come to have more of them. */
const kWildcard = "<*>";

export interface Naming {
  metric: string;
  /** What of the keys it names: one of them, or (all) the group. */
  keys: number[];
  /** Groups of one name are one thing, `id` one of its values; null: this group has no name. */
  part_of(group: Group): { id: string; name: string } | null;
}

/** The last answer, for as long as the store has not changed: rows are many, and drawn often. */
const known = new WeakMap<WindowStore, { version: number; naming: Naming | null }>();

/** The first text that is a name, of as few keys as it is one of; null: none is. */
export function naming_of(store: WindowStore): Naming | null {
  const before = known.get(store);
  if (before?.version === store.version) return before.naming;
  const naming = find_naming(store);
  known.set(store, { version: store.version, naming });
  return naming;
}

function find_naming(store: WindowStore): Naming | null {
  const count = store.info.keys.length;
  if (count === 0) return null;
  const all = store.info.keys.map((_, at) => at);
  const choices = count === 1 ? [all] : [...all.map((at) => [at]), all];
  for (const [at, { name, aggregate }] of store.text_metrics.entries()) {
    if (aggregate !== "first" && aggregate !== "last") continue;
    for (const keys of choices) {
      const names = names_by(store, at, keys);
      if (names === null) continue;
      const part_of = (group: Group): { id: string; name: string } | null => {
        if (group.overflow) return null;
        const id = id_by(group, keys);
        const text = names.get(id);
        return text === undefined ? null : { id, name: key_label(text) };
      };
      return { metric: name, keys, part_of };
    }
  }
  return null;
}

function id_by(group: Group, keys: readonly number[]): string {
  return group_id(keys.map((at) => group.keys[at] ?? null));
}

/** The newest text of each value of these keys; null where one has had several, or few are known. */
function names_by(
  store: WindowStore,
  text: number,
  keys: readonly number[],
): Map<string, string> | null {
  const names = new Map<string, { name: string; start: number }>();
  let repeats = 0;
  for (const group of store.groups.values()) {
    if (group.overflow) continue; // It has all the texts there are.
    const id = id_by(group, keys);
    let known = names.get(id);
    for (const row of group.rows.values()) {
      const name = row.texts[text] ?? null;
      if (name === null) continue;
      if (known === undefined) {
        known = { name, start: row.start };
        names.set(id, known);
        continue;
      }
      if (!same_name(known.name, name)) return null;
      ++repeats;
      if (row.start > known.start) Object.assign(known, { name, start: row.start });
    }
  }
  if (repeats < Math.max(kRepeatsMin, names.size)) return null;
  const found = new Map([...names].map(([id, { name }]) => [id, name]));
  return new Set(found.values()).size < kDistinctMin * found.size ? null : found;
}

/** Whether two texts are the same but for what varies in one of them. */
export function same_name(a: string, b: string): boolean {
  return a === b || covers(a, b) || covers(b, a);
}

/** Whether `text` is `pattern` with something for each of its wildcards. */
function covers(pattern: string, text: string): boolean {
  const parts = pattern.split(kWildcard);
  const [first, last] = [parts.shift()!, parts.pop()];
  if (last === undefined || !text.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
