// Reads the text of server-sent events (WHATWG HTML, 9.2). Pure: bytes come from live.ts.

export interface SseEvent {
  event: string;
  data: string;
  id: string;
}

/** A message longer than this is not one of ours; the connection is then given up. */
const kMessageCharsMax = 32 * 1024 * 1024;

export class SseParser {
  /** The last id seen, to be sent back as Last-Event-ID. */
  last_event_id = "";
  /** What the server asked for with `retry:`, in ms. */
  retry_ms: number | null = null;

  private rest_ = "";
  private data_: string[] = [];
  private data_chars_ = 0;
  private event_ = "";
  private id_: string | null = null;
  private first_ = true;

  /** Takes the next piece of the stream, cut anywhere, and gives the messages it completes. */
  push(chunk: string): SseEvent[] {
    let text = this.rest_ + chunk;
    if (this.first_ && text.length > 0) {
      this.first_ = false;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    const out: SseEvent[] = [];
    let start = 0;
    for (let at = 0; at < text.length; ++at) {
      const c = text.charCodeAt(at);
      if (c !== 10 && c !== 13) continue;
      // A CR at the very end may be half of a CRLF: wait for what follows.
      if (c === 13 && at + 1 === text.length) break;
      this.line(text.slice(start, at), out);
      if (c === 13 && text.charCodeAt(at + 1) === 10) ++at;
      start = at + 1;
    }
    this.rest_ = text.slice(start);
    if (this.rest_.length + this.data_chars_ > kMessageCharsMax) {
      throw new Error("a live message is too long");
    }
    return out;
  }

  private line(line: string, out: SseEvent[]): void {
    if (line === "") {
      this.dispatch(out);
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // A comment: the server's heartbeat.
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    switch (field) {
      case "data":
        this.data_.push(value);
        this.data_chars_ += value.length;
        break;
      case "event":
        this.event_ = value;
        break;
      case "id":
        if (!value.includes("\0")) this.id_ = value;
        break;
      case "retry":
        if (/^\d+$/.test(value)) this.retry_ms = Number(value);
        break;
      default:
        break; // Unknown fields are ignored, as the standard says.
    }
  }

  private dispatch(out: SseEvent[]): void {
    if (this.id_ !== null) this.last_event_id = this.id_;
    if (this.data_.length > 0) {
      out.push({
        event: this.event_ || "message",
        data: this.data_.join("\n"),
        id: this.last_event_id,
      });
    }
    this.data_ = [];
    this.data_chars_ = 0;
    this.event_ = "";
    this.id_ = null;
  }
}
