// The newest rows of a window as a table: the same numbers as the charts, to be read.

import type { ChartData } from "./charts";
import { h, reconcile } from "./dom";
import { format_time, format_utc, format_value, guess_unit } from "./format";
import type { Group } from "./store";

/** At most `limit` rows of the groups shown, newest first. */
export function show_table(table: HTMLTableElement, data: ChartData, limit: number): void {
  const { store, now } = data;
  const texts = store.info.keys.length + store.text_metrics.length;
  const head = table.tHead ?? table.createTHead();
  const columns = [
    "Window",
    ...store.info.keys.map((key) => key.name),
    ...store.text_metrics.map((m) => m.name),
    ...store.metrics.map((m) => m.name),
  ];
  if (head.textContent !== columns.join("")) {
    head.replaceChildren(
      h(
        "tr",
        {},
        ...columns.map((name, at) =>
          h("th", { scope: "col", class: at > texts ? "num" : null }, name),
        ),
      ),
    );
  }
  const body = table.tBodies[0] ?? table.createTBody();
  const groups = data.groups.filter((group): group is Group => group !== undefined);
  const rows = store.newest_rows(groups, limit);
  const units = store.metrics.map((m, at) => guess_unit(m.name, m.type, store.largest(at)));
  reconcile(
    body,
    rows,
    ({ group, row }) => `${row.start} ${group.id}`,
    () => h("tr"),
    (line, { group, row }) => {
      const state = `${row.revision} ${row.closed} ${row.values.join()} ${JSON.stringify(row.texts)}`;
      if (line.dataset["state"] === state) return;
      line.dataset["state"] = state;
      line.classList.toggle("open", !row.closed);
      const start = h("td", { title: format_utc(row.start) }, format_time(row.start, now));
      if (!row.closed) start.append(h("span", { class: "muted" }, " open"));
      line.replaceChildren(
        start,
        ...group.keys.map((key) => h("td", {}, key === null ? "–" : String(key))),
        ...row.texts.map((text) => h("td", {}, text ?? "–")),
        ...row.values.map((value, at) =>
          h("td", { class: "num" }, format_value(value, units[at]!)),
        ),
      );
    },
  );
}
