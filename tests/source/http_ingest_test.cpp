#include "source/http_ingest.h"

#include <mutex>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/hash.h"
#include "support/catch.h"
#include "support/http_fixture.h"

namespace {

using namespace streamobs;  // NOLINT
using source::IngestOutcome;
using source::RefusedEvent;
using source::StreamRoute;
using test::get;
using test::HttpClient;
using test::HttpResponse;
using test::post;
using test::TestServer;

/// Answers what it is told to, and keeps what it was given.
class FakePort final : public source::IngestPort {
 public:
  asio::awaitable<IngestOutcome> submit(std::size_t lane, Block block) override {
    const std::lock_guard lock(mutex);
    lanes.push_back(lane);
    blocks.push_back(std::move(block));
    co_return outcome;
  }
  std::mutex mutex;
  IngestOutcome outcome;
  std::vector<std::size_t> lanes;
  std::vector<Block> blocks;
};

struct App {
  App() {
    StreamRoute requests;
    requests.stream = "requests";
    requests.stream_id = 3;
    requests.source_id = 7;
    StreamRoute llm;
    llm.stream = "llm_request";
    llm.stream_id = 4;
    llm.source_id = 8;
    llm.paths = {"/v1/llm/request", "/v1/llm/other"};
    StreamRoute logs;
    logs.stream = "logs";
    logs.stream_id = 5;
    logs.source_id = 9;
    logs.format = Format::syslog;
    add_ingest_routes(router, {requests, llm, logs}, port);
  }
  FakePort port;
  http::Router router;
};

IngestOutcome taken(std::uint64_t accepted, std::uint64_t rejected,
                    std::vector<RefusedEvent> errors = {}) {
  IngestOutcome outcome;
  outcome.accepted = accepted;
  outcome.rejected = rejected;
  outcome.errors = std::move(errors);
  return outcome;
}

}  // namespace

TEST_CASE("a posted body becomes a block of its stream", "[source]") {
  App app;
  app.port.outcome = taken(2, 0);
  TestServer server(app.router);
  HttpClient client = server.connect();
  const Timestamp before = SystemClock().now();
  const auto response = client.ask(post("/v1/events/requests", "{}\n{}"));
  REQUIRE(response);
  CHECK(response->status == 200);
  CHECK(response->header("content-type") == "application/json");
  CHECK(response->body == R"({"accepted": 2, "rejected": 0, "errors": []})");
  CHECK(client.ask(post("/v1/llm/request", "[1]"))->status == 200);
  CHECK(client.ask(post("/v1/llm/other", "[2]"))->status == 200);
  CHECK(client.ask(post("/v1/events/llm_request", "[3]"))->status == 200);

  const std::lock_guard lock(app.port.mutex);
  REQUIRE(app.port.blocks.size() == 4);
  const Block& first = app.port.blocks[0];
  CHECK(first.stream_id == 3);
  CHECK(first.format == Format::json);
  CHECK(first.bytes->view() == "{}\n{}");
  CHECK(first.origin.source_id == 7);
  CHECK(first.origin.number == 0);
  CHECK(first.origin.name == "127.0.0.1");
  CHECK(first.origin.received_at >= before);
  CHECK(first.origin.received_at <= SystemClock().now());
  // The parser may look behind the end.
  CHECK(first.bytes->capacity() >= first.bytes->size());
  for (std::size_t i = 1; i < 4; ++i) CHECK(app.port.blocks[i].stream_id == 4);
  // A connection stays on its lane.
  for (const std::size_t lane : app.port.lanes) CHECK(lane == app.port.lanes[0]);
}

TEST_CASE("a stream of lines takes lines, and JSON where the request says so", "[source]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto ask = [&](std::string path, std::string type) {
    const auto response = client.ask(fmt::format(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: 2\r\n\r\n{{}}",
        path, type));
    REQUIRE(response);
    return response->status;
  };
  app.port.outcome = taken(1, 0);
  const auto format_of = [&](std::string type) {
    REQUIRE(ask("/v1/events/logs", std::move(type)) == 200);
    return app.port.blocks.back().format;
  };
  CHECK(format_of("text/plain") == Format::syslog);
  CHECK(format_of("Text/Plain; charset=utf-8") == Format::syslog);
  CHECK(format_of("application/json") == Format::json);
  CHECK(format_of("application/x-ndjson; charset=utf-8") == Format::json);
  CHECK(ask("/v1/events/requests", "application/json") == 200);
  CHECK(ask("/v1/events/requests", "text/plain") == 415);
  CHECK(app.port.blocks.size() == 5);
}

TEST_CASE("a type that nobody takes is refused before the body is read", "[source]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto response = client.ask(
      "POST /v1/events/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/html\r\n"
      "Content-Length: 2\r\n\r\n{}");
  REQUIRE(response);
  CHECK(response->status == 415);
  CHECK(response->body.find("text/plain for lines") != std::string::npos);
  CHECK(app.port.blocks.empty());
}

TEST_CASE("the client is told what became of its events", "[source]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto ask = [&](IngestOutcome outcome) {
    app.port.outcome = std::move(outcome);
    const auto response = client.ask(post("/v1/events/requests", "{}"));
    REQUIRE(response);
    return *response;
  };
  const HttpResponse some =
      ask(taken(2, 1, {{1, "wrong_type", "latency_ms: expected float, got \"fast\""}}));
  CHECK(some.status == 200);
  CHECK(some.body ==
        R"({"accepted": 2, "rejected": 1, "errors": [{"index": 1, "reason": "wrong_type", )"
        R"("detail": "latency_ms: expected float, got \"fast\""}]})");
  const HttpResponse none = ask(taken(0, 2, {{0, "not_json", "a"}, {1, "a\"b", "c"}}));
  CHECK(none.status == 400);
  CHECK(none.body ==
        R"({"accepted": 0, "rejected": 2, "errors": [{"index": 0, "reason": )"
        R"("not_json", "detail": "a"}, {"index": 1, "reason": "a\"b", "detail": "c"}]})");
  const HttpResponse full = ask({IngestOutcome::Status::overloaded, ""});
  CHECK(full.status == 429);
  CHECK(full.header("retry-after") == "1");
  CHECK(full.header("content-type") == "application/problem+json");
  const HttpResponse held = ask({IngestOutcome::Status::overloaded, "an outbox is full"});
  CHECK(held.status == 429);
  CHECK(held.body.find("an outbox is full") != std::string::npos);
  const HttpResponse stopping = ask({IngestOutcome::Status::stopping, ""});
  CHECK(stopping.status == 503);
  CHECK_FALSE(stopping.header("retry-after").empty());
  const HttpResponse failed = ask({IngestOutcome::Status::failed, "the disk is gone"});
  CHECK(failed.status == 503);
  CHECK(failed.body.find("the disk is gone") != std::string::npos);
}

TEST_CASE("what a log may have to say is told in words", "[source]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto ask = [&](const IngestOutcome& outcome) {
    app.port.outcome = outcome;
    const auto response = client.ask(post("/v1/events/requests", "{}"));
    REQUIRE(response);
    return *response;
  };
  IngestOutcome again = taken(2, 1, {{1, "future", "a year"}});
  const HttpResponse first = ask(again);
  CHECK(first.header("idempotency-replayed").empty());
  again.repeated = true;
  const HttpResponse second = ask(again);
  CHECK(second.status == first.status);
  CHECK(second.body == first.body);
  CHECK(second.header("idempotency-replayed") == "true");
  IngestOutcome refused = taken(0, 1, {{0, "future", "a year"}});
  refused.repeated = true;
  CHECK(ask(refused).status == 400);

  const HttpResponse reused = ask({IngestOutcome::Status::key_reused, ""});
  CHECK(reused.status == 422);
  CHECK(reused.body.find("another body") != std::string::npos);
  const HttpResponse full = ask({IngestOutcome::Status::no_space, ""});
  CHECK(full.status == 507);
  CHECK(full.header("retry-after") == "10");
  CHECK(full.body.find("the disk is full: nothing was taken") != std::string::npos);
  const HttpResponse unsure = ask({IngestOutcome::Status::not_durable, ""});
  CHECK(unsure.status == 503);
  CHECK(unsure.body.find("may or may not have been taken") != std::string::npos);
  CHECK(reused.body.find("Unprocessable Content") != std::string::npos);
  for (const HttpResponse& problem : {reused, full, unsure}) {
    CHECK(problem.header("content-type") == "application/problem+json");
  }
}

TEST_CASE("an Idempotency-Key goes along with a digest of the body", "[source]") {
  App app;
  app.port.outcome = taken(1, 0);
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto status = [&](const std::string& headers, const std::string& body = "{}") {
    const auto response = client.ask(post("/v1/events/requests", body, headers));
    REQUIRE(response);
    return response->status;
  };
  const std::string json = "Content-Type: application/json\r\n";
  CHECK(status(json + "Idempotency-Key: \"8e03978e-40d5\"\r\n") == 200);
  CHECK(status(json + "idempotency-key:   a b~!  \r\n", "[1]") == 200);
  CHECK(status(json + "Idempotency-Key: " + std::string(255, 'k') + "\r\n") == 200);
  CHECK(status(json) == 200);
  CHECK(status(json + "Idempotency-Key: " + std::string(256, 'k') + "\r\n") == 400);
  CHECK(status(json + "Idempotency-Key: \r\n") == 400);
  CHECK(status(json + "Idempotency-Key: k\xC3\xA9y\r\n") == 400);
  CHECK(status(json + "Idempotency-Key: a\r\nIdempotency-Key: a\r\n") == 400);

  const std::lock_guard lock(app.port.mutex);
  REQUIRE(app.port.blocks.size() == 4);
  const auto& blocks = app.port.blocks;
  CHECK(blocks[0].origin.request_key == "\"8e03978e-40d5\"");
  CHECK(blocks[1].origin.request_key == "a b~!");
  CHECK(blocks[2].origin.request_key == std::string(255, 'k'));
  CHECK(blocks[3].origin.request_key.empty());
  CHECK(blocks[0].origin.request_digest == hash_bytes("{}"));
  CHECK(blocks[1].origin.request_digest == hash_bytes("[1]"));
  CHECK(blocks[3].origin.request_digest == 0);
}

TEST_CASE("what is no stream, or no body, is said so", "[source]") {
  App app;
  app.port.outcome = taken(1, 0);
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto unknown = client.ask(post("/v1/events/request", "{}"));
  REQUIRE(unknown);
  CHECK(unknown->status == 404);
  CHECK(unknown->body.find("requests, llm_request") != std::string::npos);
  CHECK(client.ask(post("/v1/events/requests", ""))->status == 400);
  CHECK(client.ask(post("/v1/events/a%20%22b", "{}"))->status == 404);
  CHECK(client.ask(get("/v1/events/requests"))->status == 405);
  CHECK(client.ask(post("/v1/events/requests", "{}", "Content-Type: text/csv\r\n"))->status == 415);
  const std::lock_guard lock(app.port.mutex);
  CHECK(app.port.blocks.empty());
}
