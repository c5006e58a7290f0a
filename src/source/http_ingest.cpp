#include "source/http_ingest.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/json_writer.h"

namespace streamobs::source {

namespace {

constexpr std::size_t kKeyBytesMax = 255;

/// What the routes share; lives in their handlers.
struct Ingest {
  std::vector<StreamRoute> streams;
  IngestPort* port;
};

const StreamRoute* find(const Ingest& ingest, std::string_view name) {
  for (const StreamRoute& route : ingest.streams) {
    if (route.stream == name) return &route;
  }
  return nullptr;
}

http::Response no_such_stream(const Ingest& ingest, std::string_view name) {
  std::string detail = "there is no stream \"" + std::string(name) + "\"; there ";
  detail += ingest.streams.size() == 1 ? "is" : "are";
  if (ingest.streams.empty()) detail += " none: declare one as [stream.NAME]";
  for (std::size_t i = 0; i < ingest.streams.size(); ++i) {
    detail += (i == 0 ? " " : ", ") + ingest.streams[i].stream;
  }
  return http::problem(404, detail);
}

/// Nothing was taken, and the client shall come back after `seconds`.
http::Response later(int status, std::string_view detail, std::string seconds) {
  http::Response response = http::problem(status, detail);
  response.headers.emplace_back("Retry-After", std::move(seconds));
  return response;
}

http::Response answer(const IngestOutcome& outcome) {
  http::Response response;
  switch (outcome.status) {
    case IngestOutcome::Status::taken:
      response.status = outcome.accepted == 0 && outcome.rejected != 0 ? 400 : 200;
      response.body = ingest_answer(outcome);
      if (outcome.repeated) response.headers.emplace_back("Idempotency-Replayed", "true");
      return response;
    case IngestOutcome::Status::overloaded:
      return later(429,
                   outcome.message.empty()
                       ? "the pipeline is full; send it again after Retry-After seconds"
                       : "the pipeline is full: " + outcome.message,
                   "1");
    case IngestOutcome::Status::starting:
      return later(503, "the engine is recovering (/readyz says how far it is); send it again",
                   "1");
    case IngestOutcome::Status::stopping:
      return later(503, "the engine is shutting down; send it again", "5");
    case IngestOutcome::Status::key_reused:
      return http::problem(422,
                           "this Idempotency-Key came before with another body; nothing was taken. "
                           "Use a key of its own for each request, and the same one only to repeat "
                           "it unchanged");
    case IngestOutcome::Status::no_space:
      return later(507,
                   "the disk is full: nothing was taken, queries and the dashboard go on. Make "
                   "room where data_dir is; then send it again",
                   "10");
    case IngestOutcome::Status::not_durable:
      return later(
          503,
          "the log could not be written to disk, the engine is ending: these events may or "
          "may not have been taken. Send them again after its restart, under the same "
          "Idempotency-Key or with the same ids if they shall count once",
          "5");
    case IngestOutcome::Status::failed:
      break;
  }
  return http::problem(503, outcome.message.empty()
                                ? "the events could not be taken; the log says why"
                                : outcome.message);
}

/// The request's Idempotency-Key into `key`, empty where it has none. What is wrong with it
/// otherwise, for the client.
std::optional<std::string_view> read_key(const http::Request& request, std::string& key) {
  bool found = false;
  for (const http::HeaderField& field : request.head.fields) {
    if (!http::equals_ignoring_case(field.name, "idempotency-key")) continue;
    if (std::exchange(found, true)) return "there are two Idempotency-Keys; send one";
    key = field.value;
  }
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (!found) return std::nullopt;
  if (key.empty() || key.size() > kKeyBytesMax ||
      !std::all_of(key.begin(), key.end(), is_printable)) {
    return "an Idempotency-Key is 1 to 255 printable ASCII characters";
  }
  return std::nullopt;
}

/// Whether the body is lines (text/plain); all else that is let in is JSON.
bool is_plain_text(const http::Request& request) {
  constexpr std::string_view kType = "text/plain";
  const std::string_view type = request.head.find("content-type").value_or("");
  return http::equals_ignoring_case(type.substr(0, kType.size()), kType);
}

asio::awaitable<void> take(const Ingest& ingest, const StreamRoute* stream,
                           http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (stream == nullptr) {
    exchange.respond(no_such_stream(ingest, request.parameter("stream")));
    co_return;
  }
  if (!request.body || request.body->empty()) {
    exchange.respond(http::problem(
        400, is_line_format(stream->format)
                 ? "the body is empty; send lines as text/plain, or JSON as application/json"
                 : "the body is empty; send a JSON object, an array of objects, or NDJSON"));
    co_return;
  }
  const bool lines = is_plain_text(request);
  if (lines && !is_line_format(stream->format)) {
    exchange.respond(http::problem(
        415, "stream " + stream->stream +
                 " takes no lines: send JSON as application/json or application/x-ndjson, or give "
                 "[stream." +
                 stream->stream + "] a format such as \"syslog\""));
    co_return;
  }
  Block block;
  if (const auto wrong = read_key(request, block.origin.request_key)) {
    exchange.respond(http::problem(400, *wrong));
    co_return;
  }
  if (!block.origin.request_key.empty()) {
    block.origin.request_digest = hash_bytes(request.body->view());
  }
  block.stream_id = stream->stream_id;
  block.format = lines ? stream->format : Format::json;
  block.bytes = request.body;
  block.origin.source_id = stream->source_id;
  block.origin.received_at = request.received_at;
  block.origin.name = request.remote;
  const IngestOutcome outcome = co_await ingest.port->submit(request.lane, std::move(block));
  exchange.respond(answer(outcome));
}

void append_number(std::string& out, std::uint64_t number) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

}  // namespace

std::string ingest_answer(const IngestOutcome& outcome) {
  std::string out;
  out.reserve(64);
  out += R"({"accepted": )";
  append_number(out, outcome.accepted);
  out += R"(, "rejected": )";
  append_number(out, outcome.rejected);
  out += R"(, "errors": [)";
  bool first = true;
  for (const RefusedEvent& refused : outcome.errors) {
    if (!first) out += ", ";
    first = false;
    out += R"({"index": )";
    append_number(out, refused.index);
    out += R"(, "reason": ")";
    append_json_escaped(out, refused.reason);
    out += R"(", "detail": ")";
    append_json_escaped(out, refused.detail);
    out += R"("})";
  }
  out += "]}";
  return out;
}

void add_ingest_routes(http::Router& router, std::vector<StreamRoute> streams, IngestPort& port) {
  const auto ingest = std::make_shared<const Ingest>(Ingest{std::move(streams), &port});
  http::RouteFlags flags;
  flags.ingest = true;
  flags.plain_text = true;
  router.add("POST", "/v1/events/{stream}", flags, [ingest](http::Exchange& exchange) {
    return take(*ingest, find(*ingest, exchange.request().parameter("stream")), exchange);
  });
  for (const StreamRoute& stream : ingest->streams) {
    for (const std::string& path : stream.paths) {
      router.add("POST", path, flags, [ingest, &stream](http::Exchange& exchange) {
        return take(*ingest, &stream, exchange);
      });
    }
  }
}

}  // namespace streamobs::source
