import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser, type SseEvent } from "../src/sse";

function parse(...chunks: string[]): SseEvent[] {
  const parser = new SseParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
}

test("a message has its event, data and id", () => {
  assert.deepEqual(parse('id: 7\nevent: window\ndata: {"a":1}\n\n'), [
    { event: "window", data: '{"a":1}', id: "7" },
  ]);
});

test("the stream may be cut anywhere and end its lines in any way", () => {
  const text =
    "\ufeffretry: 2000\n\n: heartbeat\nid: 1\nevent: a\ndata: one\ndata: two\n\nevent: b\ndata:x\n\ndata\n\n";
  const expected = [
    { event: "a", data: "one\ntwo", id: "1" },
    { event: "b", data: "x", id: "1" },
    { event: "message", data: "", id: "1" },
  ];
  for (const ending of ["\n", "\r\n", "\r"]) {
    // A lone CR at the very end could be half a CRLF, so it only counts once something follows.
    const stream = text.replaceAll("\n", ending) + (ending === "\r" ? ":" : "");
    assert.deepEqual(parse(stream), expected);
    for (let cut = 1; cut < stream.length; ++cut) {
      assert.deepEqual(parse(stream.slice(0, cut), stream.slice(cut)), expected, `cut at ${cut}`);
    }
    assert.deepEqual(parse(...stream), expected, "one character at a time");
  }
});

test("retry and the last id are kept; an id with NUL and an unfinished message are not", () => {
  const parser = new SseParser();
  assert.deepEqual(
    parser.push("retry: 1500\nretry: soon\nid: 3\ndata: a\n\nid: 4\0\ndata: b\n\nid: 5\ndata: c\n")
      .length,
    2,
  );
  assert.equal(parser.retry_ms, 1500);
  assert.equal(parser.last_event_id, "3");
  parser.push("\n");
  assert.equal(parser.last_event_id, "5");
});

test("a message without end is refused, not collected for ever", () => {
  const parser = new SseParser();
  const block = "x".repeat(1 << 20);
  assert.throws(() => {
    for (let at = 0; at < 64; ++at) parser.push(at === 0 ? `data: ${block}` : block);
  }, /too long/);
});
