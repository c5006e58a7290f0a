// Which groups of a window are drawn: chips for those shown, a list with search when there are more
// than fit. At most kSeriesMax at a time; the store says which have the most volume.

import { h, reconcile, set_attribute, set_text } from "./dom";
import { format_count, plural } from "./format";
import { kSeriesMax, type Group } from "./store";

const kListMax = 60;

/** Shown groups and their colours. A group keeps its colour for as long as it is shown. */
export class Selection {
  /** True until the reader chooses: the groups with the most volume are shown. */
  automatic = true;
  private readonly slots_ = new Map<string, number>();

  get ids(): string[] {
    return [...this.slots_.keys()];
  }

  has(id: string): boolean {
    return this.slots_.has(id);
  }

  slot(id: string): number {
    return this.slots_.get(id) ?? 0;
  }

  get full(): boolean {
    return this.slots_.size >= kSeriesMax;
  }

  /** Shows exactly these, of which the first kSeriesMax count. */
  set(ids: readonly string[]): void {
    const wanted = new Set(ids.slice(0, kSeriesMax));
    for (const id of this.ids) if (!wanted.has(id)) this.slots_.delete(id);
    for (const id of wanted) this.add(id);
  }

  add(id: string): boolean {
    if (this.slots_.has(id)) return true;
    if (this.full) return false;
    const used = new Set(this.slots_.values());
    let slot = 0;
    while (used.has(slot)) ++slot;
    this.slots_.set(id, slot);
    return true;
  }

  remove(id: string): void {
    this.slots_.delete(id);
  }

  clear(): void {
    this.slots_.clear();
    this.automatic = true;
  }
}

export interface GroupFilterHandler {
  toggle(id: string): void;
  automatic(): void;
}

export class GroupFilter {
  private readonly chips_ = h("ul", { class: "chips", "aria-label": "Groups shown" });
  private readonly note_ = h("p", { class: "muted small", "data-part": "group-note" });
  private readonly reset_ = h("button", { type: "button", class: "link" });
  private readonly picker_ = h("details", { class: "picker" });
  private readonly summary_ = h("summary", { class: "button" });
  private readonly search_ = h("input", {
    type: "search",
    placeholder: "Search groups",
    "aria-label": "Search groups",
    autocomplete: "off",
    spellcheck: "false",
  });
  private readonly list_ = h("ul", { class: "picker-list" });
  private readonly more_ = h("p", { class: "muted small" });
  private groups_: Group[] = [];
  private selection_: Selection | null = null;

  constructor(
    root: HTMLElement,
    private readonly handler_: GroupFilterHandler,
  ) {
    this.picker_.append(
      this.summary_,
      h("div", { class: "card picker-panel" }, this.search_, this.list_, this.more_),
    );
    root.append(this.chips_, this.picker_, this.reset_, this.note_);
    this.reset_.addEventListener("click", () => handler_.automatic());
    this.search_.addEventListener("input", () => this.show_list());
    this.picker_.addEventListener("toggle", () => {
      if (!this.picker_.open) return;
      this.show_list();
      this.search_.focus();
    });
    this.picker_.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.picker_.open = false;
      this.summary_.focus();
    });
    document.addEventListener("click", (event) => {
      if (
        this.picker_.open &&
        event.target instanceof Node &&
        !this.picker_.contains(event.target)
      ) {
        this.picker_.open = false;
      }
    });
  }

  /** `groups` by volume. */
  show(groups: Group[], selection: Selection, color: (slot: number) => string): void {
    this.groups_ = groups;
    this.selection_ = selection;
    const few = groups.length <= kSeriesMax;
    const chips = groups.filter((group) => few || selection.has(group.id));
    this.chips_.hidden = groups.length < 2;
    reconcile(
      this.chips_,
      this.chips_.hidden ? [] : chips,
      (group) => group.id,
      (group) => {
        const chip = h(
          "button",
          { type: "button", class: "chip" },
          h("span", { class: "swatch", "aria-hidden": "true" }),
          h("span", { class: "name" }, group.label),
        );
        chip.addEventListener("click", () => this.handler_.toggle(group.id));
        return h("li", {}, chip);
      },
      (item, group) => {
        const on = selection.has(group.id);
        const chip = item.firstElementChild as HTMLElement;
        set_attribute(chip, "aria-pressed", String(on));
        set_attribute(chip, "title", on ? `Hide ${group.label}` : `Show ${group.label}`);
        (chip.firstElementChild as HTMLElement).style.background = on
          ? color(selection.slot(group.id))
          : "";
      },
    );
    this.picker_.hidden = few;
    if (few) this.picker_.open = false;
    set_text(this.summary_, `Choose from ${format_count(groups.length)}`);
    this.reset_.hidden = selection.automatic;
    set_text(this.reset_, few ? "Show all" : `Top ${kSeriesMax}`);
    const hidden = groups.length - groups.filter((group) => selection.has(group.id)).length;
    set_text(
      this.note_,
      groups.length > 0 && hidden === groups.length
        ? "No group is chosen."
        : few || hidden === 0
          ? ""
          : `${plural(hidden, "group")} not drawn${selection.automatic ? ": these have the most volume" : ""}`,
    );
    if (this.picker_.open) this.show_list();
  }

  private show_list(): void {
    const selection = this.selection_;
    if (!selection) return;
    const text = this.search_.value.trim().toLowerCase();
    const found = text
      ? this.groups_.filter((group) => group.label.toLowerCase().includes(text))
      : this.groups_;
    reconcile(
      this.list_,
      found.slice(0, kListMax),
      (group) => group.id,
      (group) => {
        const box = h("input", { type: "checkbox" });
        box.addEventListener("change", () => this.handler_.toggle(group.id));
        return h("li", {}, h("label", {}, box, h("span", {}, group.label)));
      },
      (item, group) => {
        const box = item.querySelector("input")!;
        box.checked = selection.has(group.id);
        box.disabled = selection.full && !box.checked;
      },
    );
    const limit = selection.full
      ? ` ${kSeriesMax} are shown, which is the most; take one out to add another.`
      : "";
    set_text(
      this.more_,
      found.length === 0
        ? "No group has this in its name."
        : found.length > kListMax
          ? `${kListMax} of ${format_count(found.length)}: type to narrow the list.${limit}`
          : limit.trim(),
    );
  }
}
