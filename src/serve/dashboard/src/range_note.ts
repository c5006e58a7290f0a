// What is said above the charts where they show something else than the range that was chosen. Pure.

import { format_count, format_duration, format_time } from "./format";
import type { State } from "./state";
import { kWindowsMax } from "./store";

/** "" where there is nothing to say. */
export function range_note(state: State): string {
  const { store } = state;
  if (!store) return "";
  if (!store.has_closed)
    return "The first windows are still open: hollow dots, whose numbers grow until they close.";
  const view = state.view();
  if (view.past) {
    const end = format_time(view.to, state.now());
    return `No data in ${state.range.text}. Shown is the end of what there is, up to ${end}.`;
  }
  const notes: string[] = [];
  if (view.widened) {
    const reach = format_duration(view.to - view.range_from);
    notes.push(
      store.info.gap === null
        ? `The windows are ${store.info.size} long, so the charts reach back ${reach}.`
        : `Sessions are drawn where they began. Some that go on in ${state.range.text} began before it, so the charts reach back ${reach}.`,
    );
  }
  if (store.merged) {
    const length = format_duration(store.info.size_seconds * 1000);
    notes.push(
      `What is old is kept only in windows of ${length}, so all is shown in such ones, without what has not closed yet.`,
    );
  }
  if (state.cut()) {
    const { window } = store.info;
    notes.push(
      `There may be more: the page has room for ${format_count(kWindowsMax)} windows, or fewer of many groups. GET /api/v1/windows/${window}, with a step, has the rest.`,
    );
  }
  return notes.join(" ");
}
