// The live stream: server-sent events read over fetch(), since EventSource cannot send a token.
// Comes back by itself with Last-Event-ID, waiting longer after each failure. One for the page.

import type { Api } from "./api";
import { parse_json } from "./json";
import { SseParser } from "./sse";

export type LiveState = "connecting" | "live" | "stale" | "reconnecting" | "paused";

/** The engine speaks every second; this long a silence on an open connection means trouble. */
const kStaleAfterMs = 6_000;
/** After this long the connection is taken for dead and opened again. */
const kDeadAfterMs = 20_000;
const kRetryMaxMs = 30_000;

export interface LiveHandler {
  message(event: string, data: unknown): void;
  state(state: LiveState): void;
  /** A connection is up; `again` when there was one before, so that something may be missing. */
  open(again: boolean): void;
  /** The engine is there and does not know what is asked of it: it may have another config now. */
  unknown(): void;
}

export class LiveClient {
  private windows_: string[] = [];
  private abort_: AbortController | null = null;
  private state_: LiveState = "connecting";
  private last_event_id_ = "";
  private retry_ms_ = 2_000;
  private failures_ = 0;
  private was_open_ = false;
  private last_heard_ = 0;
  private timer_ = 0;
  private watch_ = 0;

  constructor(
    private readonly api_: Api,
    private readonly handler_: LiveHandler,
  ) {}

  /**
   * Opens the stream for the `window` events of these windows. Replaces what was open; whoever calls
   * it loads what went before.
   */
  start(windows: string[]): void {
    this.close();
    this.windows_ = windows;
    this.failures_ = 0;
    this.was_open_ = false;
    this.watch_ = setInterval(() => this.watch(), 1_000);
    void this.run();
  }

  /** Closes the stream until start(): nobody is looking. */
  pause(): void {
    this.close();
    this.set_state("paused");
  }

  private close(): void {
    clearTimeout(this.timer_);
    clearInterval(this.watch_);
    this.abort_?.abort();
    this.abort_ = null;
  }

  private async run(): Promise<void> {
    const abort = new AbortController();
    this.abort_ = abort;
    this.last_heard_ = performance.now();
    try {
      await this.read(abort);
    } catch (error) {
      if (abort.signal.aborted && this.abort_ !== abort) return; // Closed or replaced by us.
      console.info("live stream:", error instanceof Error ? error.message : error);
    }
    if (this.abort_ !== abort) return;
    abort.abort(); // Whatever went wrong, nothing of this connection may stay open.
    this.set_state("reconnecting");
    const wait = Math.min(kRetryMaxMs, this.retry_ms_ * 2 ** Math.min(this.failures_, 5));
    ++this.failures_;
    // Some randomness, so that many open pages do not all come back in the same instant.
    this.timer_ = setTimeout(() => void this.run(), wait * (0.75 + Math.random() / 2));
  }

  private async read(abort: AbortController): Promise<void> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.last_event_id_) headers["Last-Event-ID"] = this.last_event_id_;
    const windows = this.windows_.length > 0 ? this.windows_.join(",") : null;
    const response = await this.api_.request(
      "api/v1/live",
      { windows },
      {
        headers,
        signal: abort.signal,
      },
      null,
    );
    if (response.status === 400) this.handler_.unknown();
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    parser.last_event_id = this.last_event_id_;
    this.failures_ = 0;
    this.heard();
    this.handler_.open(this.was_open_);
    this.was_open_ = true;
    for (;;) {
      const { done, value } = await reader.read();
      if (this.abort_ !== abort) return;
      if (done) throw new Error("the server closed it");
      this.heard();
      for (const message of parser.push(value)) {
        this.deliver(message.event, message.data);
      }
      this.last_event_id_ = parser.last_event_id;
      if (parser.retry_ms !== null) this.retry_ms_ = Math.max(250, parser.retry_ms);
    }
  }

  private deliver(event: string, text: string): void {
    let data: unknown;
    try {
      data = parse_json(text);
    } catch {
      console.warn(`live stream: a ${event} message is not JSON`);
      return;
    }
    this.handler_.message(event, data);
  }

  private heard(): void {
    this.last_heard_ = performance.now();
    this.set_state("live");
  }

  private watch(): void {
    const silence = performance.now() - this.last_heard_;
    if (this.state_ === "live" && silence > kStaleAfterMs) this.set_state("stale");
    if (silence > kDeadAfterMs) this.abort_?.abort();
  }

  private set_state(state: LiveState): void {
    if (this.state_ === state) return;
    this.state_ = state;
    this.handler_.state(state);
  }
}
