// Light or dark. The reader's system decides until the reader does; that choice is kept.
// `data-theme` on <html> always says which one it is; style.css has the colours for both.

export type Theme = "light" | "dark";

const kKey = "streamobs.theme";

/** What the reader chose before, or null: follow the system. */
function kept_theme(): Theme | null {
  try {
    const text = localStorage.getItem(kKey);
    return text === "light" || text === "dark" ? text : null;
  } catch {
    return null; // Storage is switched off: the choice then lasts as long as the page.
  }
}

function system(): MediaQueryList {
  return matchMedia("(prefers-color-scheme: dark)");
}

/** Sets the theme of the page from the reader's choice or the system's. */
export function apply_theme(): void {
  document.documentElement.dataset["theme"] = kept_theme() ?? (system().matches ? "dark" : "light");
}

/** The theme on the screen now. */
export function current_theme(): Theme {
  return document.documentElement.dataset["theme"] === "dark" ? "dark" : "light";
}

export function toggle_theme(): void {
  const next: Theme = current_theme() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = next;
  try {
    localStorage.setItem(kKey, next);
  } catch {
    // As above.
  }
}

/** Follows the system's preference while the reader has not chosen; calls `changed` when it does. */
export function follow_system(changed: () => void): void {
  system().addEventListener("change", () => {
    if (kept_theme() !== null) return;
    apply_theme();
    changed();
  });
}

/** A colour of style.css by the name of its custom property, e.g. "--text". */
export function css_color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";
}
