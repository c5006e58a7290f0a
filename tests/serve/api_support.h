// The API over fakes: a store that says what a test gives it, and one of each thing to be shown.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <simdjson.h>

#include "serve/api.h"
#include "serve/assets.h"
#include "support/catch.h"
#include "support/http_fixture.h"

namespace streamobs::test {

constexpr Timestamp kNoon = 1'704'801'600 * kSecond;  // 2024-01-09T12:00:00Z

inline std::shared_ptr<const WindowSchema> make_schema() {
  WindowSchema schema;
  schema.window = "service_metrics";
  schema.stream = "requests";
  schema.size = kMinute;
  schema.keys = {{"service", {Kind::string, 0}}};
  schema.metrics = {{"request_count", {Kind::integer, 0}},
                    {"error_rate", {Kind::floating, 0}},
                    {"total", {Kind::decimal, 2}}};
  return std::make_shared<const WindowSchema>(std::move(schema));
}

inline WindowRow row(Timestamp start, const std::string& service, std::int64_t count, bool closed) {
  WindowRow out;
  out.start = start;
  out.end = start + kMinute;
  out.closed = closed;
  out.keys = {Value::of_string(service)};
  out.metrics = {Value::of_int(count), Value::of_null({Kind::floating, 0}),
                 Value::of_decimal(1234, 2)};
  return out;
}

inline Anomaly make_anomaly() {
  Anomaly a;
  a.id = "a1";
  a.rule = "error_surge";
  a.window = "service_metrics";
  a.severity = Severity::high;
  a.detected_at = kNoon + kMinute;
  a.window_start = kNoon;
  a.window_end = kNoon + kMinute;
  a.keys = {{"service", Value::of_string("checkout")}};
  a.metric_name = "error_rate";
  a.metric_value = 0.5;
  a.threshold_value = 0.25;
  a.description = "much \"too\" many";
  return a;
}

inline Incident make_incident() {
  Incident i;
  i.id = "i1";
  i.keys = {{"service", Value::of_string("checkout")}};
  i.severity = Severity::critical;
  i.started_at = kNoon;
  i.last_seen_at = kNoon + kMinute;
  i.title = "title";
  i.explanation = "words";
  i.evidence = {"one", "two"};
  i.anomaly_ids = {"a1"};
  i.anomaly_count = 1;
  i.revision = 2;
  return i;
}

class FakeQueries final : public serve::Queries {
 public:
  asio::awaitable<Result<std::vector<WindowRow>>> window_rows(store::WindowQuery query) override {
    window_query = std::move(query);
    Result<std::vector<WindowRow>> out = rows;
    if (fails) out = fail(ErrorCode::unavailable, "the store is busy; try again");
    co_return out;
  }
  asio::awaitable<Result<std::vector<Timestamp>>> window_starts(store::WindowQuery) override {
    std::set<Timestamp, std::greater<>> starts;
    for (const WindowRow& row : rows) starts.insert(row.start);
    Result<std::vector<Timestamp>> out = std::vector<Timestamp>(starts.begin(), starts.end());
    co_return out;
  }
  asio::awaitable<Result<serve::MergedRows>> merged_rows(serve::MergeQuery query) override {
    merge_query = std::move(query);
    serve::MergedRows merged;
    merged.rows = rows;
    merged.resolutions = {store::Resolution::raw, store::Resolution::hourly};
    Result<serve::MergedRows> out = std::move(merged);
    co_return out;
  }
  Duration step_for(const store::WindowQuery&) const override { return step; }
  asio::awaitable<Result<std::vector<Anomaly>>> anomalies(store::ListQuery query) override {
    list_query = std::move(query);
    Result<std::vector<Anomaly>> out = std::vector<Anomaly>{make_anomaly()};
    co_return out;
  }
  asio::awaitable<Result<std::vector<Incident>>> incidents(store::ListQuery query) override {
    list_query = std::move(query);
    Result<std::vector<Incident>> out = std::vector<Incident>{make_incident()};
    co_return out;
  }
  asio::awaitable<Result<std::vector<store::StoredDeadLetter>>> dead_letters(
      store::DeadLetterQuery query) override {
    list_query = query.list;
    dead_letter_query = std::move(query);
    store::StoredDeadLetter stored;
    stored.id = 9;
    stored.letter.reason = "bad_utf8";
    stored.letter.stream = "requests";
    stored.letter.received_at = kNoon;
    stored.letter.payload = "{\"a\":\"\xff\"}";
    Result<std::vector<store::StoredDeadLetter>> out = std::vector<store::StoredDeadLetter>{stored};
    co_return out;
  }
  asio::awaitable<Result<std::vector<store::DeadLetterCount>>> dead_letter_counts() override {
    store::DeadLetterCount count;
    count.stream = "requests";
    count.reason = "bad_utf8";
    count.count = 3;
    Result<std::vector<store::DeadLetterCount>> out = std::vector<store::DeadLetterCount>{count};
    co_return out;
  }

  bool fails = false;
  Duration step = 0;
  std::vector<WindowRow> rows;
  store::WindowQuery window_query;
  serve::MergeQuery merge_query;
  store::ListQuery list_query;
  store::DeadLetterQuery dead_letter_query;
};

class FakeReplay final : public serve::LetterReplay {
 public:
  asio::awaitable<Result<serve::ReplayReport>> replay(std::size_t,
                                                      store::DeadLetterQuery which) override {
    query = std::move(which);
    serve::ReplayReport report;
    report.accepted = 3;
    report.rejected = 1;
    report.repeated = 2;
    report.passed_over = 1;
    report.more = true;
    report.stopped = "the disk is full";
    report.failures = {{4, "late", "too late"}, {5, "", "cut"}};
    Result<serve::ReplayReport> out = std::move(report);
    if (busy) out = fail(ErrorCode::unavailable, "another one is under way");
    co_return out;
  }

  bool busy = false;
  store::DeadLetterQuery query;
};

class FakeReload final : public serve::ConfigReload {
 public:
  asio::awaitable<std::optional<Refusal>> prepare() override { co_return refusal; }
  void take_over(std::shared_ptr<http::LateAnswer> answer) override {
    answer->send(serve::taken_over(now), kNoon);
  }
  serve::ConfigState state() const override { return now; }

  std::optional<Refusal> refusal;
  serve::ConfigState now{
      "obs.toml", kNoon, 2, {{"added", "window", "w"}, {"changed", "http", ""}}, std::nullopt};
};

class FakeHealth final : public serve::HealthChecks {
 public:
  health::Report report() override {
    health::Report report;
    report.state = health::State::failing;
    report.quick_at = kNoon;
    health::CheckResult stale;
    stale.check = "freshness";
    stale.of = "requests";
    stale.state = health::State::failing;
    stale.value = 301;
    stale.bound = 300;
    stale.unit = "seconds";
    stale.detail = "old";
    stale.advice = "see";
    stale.since = kNoon;
    stale.checked_at = kNoon + kSecond;
    report.checks = {stale};
    health::StreamQuality quality;
    quality.stream = "requests";
    quality.to = kSecond;
    quality.events = 1'000;
    quality.fields.resize(1);
    quality.fields[0].field = "latency_ms";
    quality.fields[0].null_share = 0.5;
    report.quality = {quality};
    return report;
  }
  asio::awaitable<health::Report> check_now() override {
    ++checked;
    health::Report now = report();
    now.deep_at = kNoon;
    co_return now;
  }

  int checked = 0;
};

constexpr std::string_view kPage = "<!doctype html><title>t</title>";
inline constexpr serve::Asset kAssets[] = {
    {"/index.html", "text/html; charset=utf-8", kPage, false},
    {"/assets/app-1.js", "text/javascript; charset=utf-8", "let a = 1;", true},
};

/// In a group.
inline serve::SourceState source_of_topics() {
  serve::SourceState source{
      "orders", "kafka", "requests", "waiting", 8, "", {1, "gone", "", kNoon}};
  source.topics.emplace();
  source.topics->messages = 8;
  source.topics->lag = 5;
  source.topics->brokers_up = 1;
  source.topics->partitions = {{"t", 0, 8, 5, true, 1.5},
                               {"t", 1, 0, std::nullopt, false, std::nullopt}};
  source.topics->group = serve::GroupState{"g", "a", "joining", std::nullopt, 1, 2, 3, 4, 5};
  return source;
}

inline serve::SinkState sink_with_trouble() {
  serve::SinkState sink{"out", "kafka", "service_metrics", "results", "waiting", 9, 0, 2,
                        300,   kNoon};
  sink.outbox_bytes_max = 1000;
  sink.required = true;
  sink.refused = 1;
  sink.brokers_up = 2;
  sink.transaction_seconds = 0.25;
  sink.trouble = {3, "away", "wait", kNoon};
  return sink;
}

/// The API and its page behind a server of their own, over what the fakes say.
struct ApiApp {
  explicit ApiApp(http::HttpOptions options = {})
      : open_windows(clock), live(clock, registry, nullptr, {}) {
    serve::ApiContext context;
    context.version = "0.1.0";
    context.started_at = kNoon;
    context.clock = &clock;
    context.registry = &registry;
    context.queries = &queries;
    context.letter_replay = &letter_replay;
    context.health = &health_checks;
    context.reload = &reload;
    context.open_windows = &open_windows;
    context.live = &live;
    serve::StreamInfo stream;
    stream.stream = "requests";
    stream.time_field = "event_time";
    Field field;
    field.name = field.path = "latency_ms";
    field.type = {Kind::floating, 0};
    field.required = true;
    stream.fields = {field};
    stream.paths = {"/v1/extra"};
    context.streams = {stream};
    serve::WindowInfo window;
    window.schema = schema;
    window.allowed_lateness = 10 * kSecond;
    window.emit_every = 2 * kSecond;
    window.aggregates = {"count", "", "sum"};
    context.windows = {window};
    // That both are the same window is enough to see what becomes of two.
    context.views = {{"sizes", {{schema, "1m"}, {schema, "2m"}}, true}};
    serve::EndpointOptions endpoint;
    endpoint.path = "/v1/extra";
    endpoint.window = SourceText("service_metrics");
    endpoint.parameters = {{SourceText("svc"), SourceText("service"), true},
                           {SourceText("last"), SourceText("windows"), false},
                           {SourceText("format"), SourceText("format"), false}};
    endpoint.shape = serve::EndpointOptions::Shape::list;
    endpoint.windows = 60;
    context.endpoints.push_back(endpoint);
    endpoint.path = "/v1/latest";
    endpoint.parameters.clear();
    endpoint.shape = serve::EndpointOptions::Shape::object;
    endpoint.order = serve::EndpointOptions::Order::oldest_first;
    context.endpoints.push_back(endpoint);
    context.stream_states = [] {
      serve::StreamState state;
      state.stream = "requests";
      state.received = 5;
      state.accepted = 4;
      state.rejected = {{"bad_time", 1}};
      state.watermark = kNoon;
      state.newest_event_at = kNoon + kSecond;
      return std::vector<serve::StreamState>{state};
    };
    context.pipeline = [] {
      serve::PipelineState state;
      state.threads = 2;
      state.lanes = 2;
      state.stages = {{"decode", 7, "events", 0.5, 1}};
      state.sources = {{"demo", "demo", "requests", "running", 7, ""}, source_of_topics()};
      state.sinks = {sink_with_trouble()};
      state.lookups = {{"prices", "prices.csv", 3, "00ff", kNoon, ""}};
      state.joins = {{"calls", "asked", "answered", 5, 2, 1, 0, 4, 900}};
      state.rules = {{"error_surge", "service_metrics", "checkout", "ok", 9, 5, kNoon}};
      state.rules_configured = 3;
      state.config = {"obs.toml", kNoon, 0, {}, serve::ConfigState::Refused{kNoon, "a mistake"}};
      state.store.path = "x.db";
      state.store.archives = {{"service_metrics", "raw", "/d/old", 2, "no room", kNoon}};
      return state;
    };
    context.not_ready = [this] { return reason; };
    add_api_routes(router, std::move(context));
    serve::add_asset_routes(router, kAssets);
    server.emplace(router, std::move(options));
  }
  HttpResponse ask(const std::string& request) {
    HttpClient client = server->connect();
    const auto response = client.ask(request);
    REQUIRE(response);
    if (response->header("content-type").find("/json") != std::string::npos) {
      simdjson::dom::parser parser;
      INFO(response->body);
      CHECK(parser.parse(response->body).error() == simdjson::SUCCESS);
    }
    return *response;
  }
  HttpResponse fetch(const std::string& path) { return ask(get(path)); }
  HttpResponse post(const std::string& path) {
    return ask("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  }

  ManualClock clock{kNoon + 90 * kSecond};
  telemetry::Registry registry;
  FakeQueries queries;
  FakeReplay letter_replay;
  FakeHealth health_checks;
  FakeReload reload;
  serve::OpenWindows open_windows;
  serve::LiveHub live;
  std::optional<std::string> reason;
  const std::shared_ptr<const WindowSchema> schema = make_schema();
  http::Router router;
  std::optional<TestServer> server;
};

}  // namespace streamobs::test
