// Making and changing elements. Text only ever goes in as text: nothing here parses HTML, so data
// from events cannot become markup.

type Child = Node | string | null | undefined;

export interface Attributes {
  class?: string | null;
  [name: string]: string | number | boolean | null | undefined;
}

/** An element with attributes and children. `false`, null and undefined leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set_attribute(element, name, value);
  for (const child of children) if (child != null) element.append(child);
  return element;
}

export function svg(tag: string, attributes: Record<string, string | number> = {}): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** Sets, or for `false`, null and undefined removes; leaves the page alone when nothing changed. */
export function set_attribute(
  element: Element,
  name: string,
  value: string | number | boolean | null | undefined,
): void {
  if (value === false || value == null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets the text when it differs: an unchanged page costs no layout and keeps its selection. */
export function set_text(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function by_id<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element as T;
}

/**
 * Makes the children of `parent` be those of `items`, in order. An element stays the same element
 * for the same key, so focus, open <details> and scroll positions survive an update.
 */
export function reconcile<T, E extends HTMLElement>(
  parent: Element,
  items: readonly T[],
  key: (item: T) => string,
  create: (item: T) => E,
  update: (element: E, item: T) => void,
): void {
  const old = new Map<string, E>();
  for (const child of Array.from(parent.children)) {
    old.set((child as HTMLElement).dataset["key"] ?? "", child as E);
  }
  let place: Element | null = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = old.get(name);
    if (element) {
      old.delete(name);
    } else {
      element = create(item);
      element.dataset["key"] = name;
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const left of old.values()) left.remove();
}

/** A <time> in the reader's zone with UTC in its title. */
export function time_element(): HTMLTimeElement {
  return h("time");
}

export function set_time(element: HTMLTimeElement, text: string, utc: string, iso: string): void {
  set_text(element, text);
  set_attribute(element, "title", utc);
  set_attribute(element, "datetime", iso);
}
