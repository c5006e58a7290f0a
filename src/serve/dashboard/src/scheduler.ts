// When to draw: at most four times a second, in an animation frame, and never while hidden.

const kIntervalMs = 250;

export class Scheduler {
  private readonly dirty_ = new Set<string>();
  private last_ms_ = -kIntervalMs;
  private waiting_ = false;

  constructor(private readonly draw_: (dirty: ReadonlySet<string>) => void) {
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** Says that a part of the page should be drawn again. */
  mark(...parts: string[]): void {
    for (const part of parts) this.dirty_.add(part);
    this.wake();
  }

  private wake(): void {
    if (this.waiting_ || this.dirty_.size === 0 || document.hidden) return;
    this.waiting_ = true;
    const wait = Math.max(0, this.last_ms_ + kIntervalMs - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
  }

  private draw(): void {
    this.waiting_ = false;
    if (document.hidden) return;
    this.last_ms_ = performance.now();
    const dirty = new Set(this.dirty_);
    this.dirty_.clear();
    this.draw_(dirty);
  }
}
