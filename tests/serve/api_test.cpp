#include "serve/api.h"

#include <set>
#include <string>
#include <vector>

#include <simdjson.h>

#include "api_support.h"

namespace {

using namespace streamobs;  // NOLINT
using test::ApiApp;
using test::get;
using test::HttpResponse;
using test::kNoon;
using test::kPage;
using test::row;

}  // namespace

TEST_CASE("streams and windows are listed", "[serve]") {
  ApiApp app;
  CHECK(
      app.fetch("/api/v1/streams").body ==
      R"({"rows":[{"stream":"requests","time_field":"event_time","fields":[{"name":"latency_ms",)"
      R"("path":"latency_ms","type":"float","required":true}],"paths":["/v1/extra"],"format":"json","received":5,"accepted":4,)"
      R"("rejected":{"bad_time":1},"watermark":"2024-01-09T12:00:00Z","newest_event_at":"2024-01-09T12:00:01Z","idle":false}]})");
  CHECK(
      app.fetch("/api/v1/windows").body ==
      R"({"rows":[{"window":"service_metrics","stream":"requests","size":"1m","size_seconds":60,)"
      R"("hop":null,"gap":null,"allowed_lateness":"10s","correct_for":null,"emit_every":"2s","keys":[{"name":"service","type":"string"}],)"
      R"("metrics":[{"name":"request_count","type":"int","aggregate":"count"},)"
      R"({"name":"error_rate","type":"float","aggregate":null},)"
      R"j({"name":"total","type":"decimal(2)","aggregate":"sum"}],"sketches":[]}],"views":[{"view":"sizes",)j"
      R"("stream":"requests","windows":[{"window":"service_metrics","window_size":"1m"},)"
      R"({"window":"service_metrics","window_size":"2m"}],"keys":[{"name":"service",)"
      R"("type":"string"}],"metrics":[{"name":"request_count","type":"int"},)"
      R"j({"name":"error_rate","type":"float"},{"name":"total","type":"decimal(2)"}]}]})j");
  CHECK(app.fetch("/api/v1/streams?x=1").status == 400);
}

TEST_CASE("window rows come from the store, with open ones beside them", "[serve]") {
  ApiApp app;
  app.queries.rows = {row(kNoon, "checkout", 10, true)};
  WindowBatch batch;
  batch.schema = app.schema;
  batch.rows = {row(kNoon + kMinute, "checkout", 3, false), row(kNoon, "checkout", 9, false)};
  app.open_windows.process(std::make_shared<const WindowBatch>(batch));
  const HttpResponse response = app.fetch(
      "/api/v1/windows/"
      "service_metrics?from=2024-01-09T11:00:00%2B00:00&windows=5&service=checkout");
  CHECK(response.status == 200);
  CHECK(response.header("content-type") == "application/json");
  CHECK(
      response.body ==
      R"({"window":"service_metrics","rows":[{"window_start":"2024-01-09T12:01:00Z",)"
      R"("window_end":"2024-01-09T12:02:00Z","closed":false,"revision":0,"service":"checkout",)"
      R"("request_count":3,"error_rate":null,"total":12.34},{"window_start":)"
      R"("2024-01-09T12:00:00Z","window_end":"2024-01-09T12:01:00Z","closed":true,"revision":0,)"
      R"("service":"checkout","request_count":10,"error_rate":null,"total":12.34}],"resolution":["raw"]})");
  CHECK(app.queries.window_query.from == kNoon - kHour);
  CHECK(app.queries.window_query.windows == 5);
  CHECK(app.queries.window_query.keys[0].second == "checkout");

  // Where the rows themselves have gone, by what they were merged to.
  app.queries.step = kHour;
  const HttpResponse old = app.fetch("/api/v1/windows/service_metrics?from=2024-01-09&limit=3");
  CHECK(old.body.ends_with("\"resolution\":[\"raw\",\"hourly\"]}"));
  CHECK(app.queries.merge_query.step == kHour);
  CHECK(app.queries.merge_query.by == std::vector<std::size_t>{0});
  CHECK(app.queries.merge_query.rows.limit == 3);
  CHECK(app.fetch("/api/v1/windows/service_metrics?format=csv").header("streamobs-resolution") ==
        "raw, hourly");
  app.queries.step = 0;

  const HttpResponse unknown = app.fetch("/api/v1/windows/nope");
  CHECK(unknown.status == 404);
  CHECK(unknown.body.find("service_metrics") != std::string::npos);
  CHECK(app.fetch("/api/v1/windows/service_metrics?servce=a").status == 400);
  CHECK(app.fetch("/api/v1/windows/service_metrics?limit=0").status == 400);
  app.queries.fails = true;
  CHECK(app.fetch("/api/v1/windows/service_metrics").status == 503);
}

TEST_CASE("anomalies, incidents and dead letters are listed", "[serve]") {
  ApiApp app;
  // Not within CHECK: g++ mistakes quotes in a raw string there.
  const std::string one =
      R"({"rows":[{"id":"a1","rule":"error_surge","anomaly_type":"error_surge","window":)"
      R"("service_metrics","severity":"high","detected_at":"2024-01-09T12:01:00Z","window_start":)"
      R"("2024-01-09T12:00:00Z","window_end":"2024-01-09T12:01:00Z","keys":{"service":"checkout"},"service":"checkout",)"
      R"("metric_name":"error_rate","metric_value":0.5,"baseline_value":null,"threshold_value":0.25,)"
      R"("description":"much \"too\" many","resolved":false,"resolved_at":null,"revision":0,)"
      R"("withdrawn":false}]})";
  CHECK(app.fetch("/api/v1/anomalies?severity=high&service=checkout&limit=7").body == one);
  CHECK(app.queries.list_query.limit == 7);
  CHECK(app.queries.list_query.equal == std::vector<std::pair<std::string, std::string>>{
                                            {"severity", "high"}, {"service", "checkout"}});
  CHECK(app.fetch("/api/v1/anomalies?severity=bad").status == 400);
  CHECK(app.fetch("/api/v1/anomalies?status=open").status == 400);
  CHECK(
      app.fetch("/api/v1/incidents?status=open").body ==
      R"({"rows":[{"id":"i1","keys":{"service":"checkout"},"severity":"critical","status":"open",)"
      R"("started_at":"2024-01-09T12:00:00Z","last_seen_at":"2024-01-09T12:01:00Z",)"
      R"("resolved_at":null,"title":"title","explanation":"words","evidence":["one","two"],)"
      R"("anomaly_count":1,"anomaly_ids":["a1"],"narrated_by":"template","revision":2}]})");
  CHECK(app.fetch("/api/v1/incidents?status=shut").status == 400);
  CHECK(app.fetch("/api/v1/dead-letters?reason=bad_utf8").body ==
        "{\"rows\":[{\"id\":9,\"reason\":\"bad_utf8\",\"detail\":\"\",\"stream\":\"requests\","
        "\"source\":\"\",\"origin\":\"\",\"position\":0,\"place\":\"\",\"window\":null,\"received_"
        "at\":"
        "\"2024-01-09T12:00:00Z\",\"payload\":\"{\\\"a\\\":"
        "\\\"\xef\xbf\xbd\\\"}\",\"replayed_at\":null}],\"counts\":"
        "[{\"stream\":\"requests\",\"reason\":\"bad_utf8\",\"count\":3}]}");
}

TEST_CASE("health is told as it was found, and looked at anew by POST", "[serve]") {
  ApiApp app;
  CHECK(app.fetch("/api/v1/health").body ==
        R"({"state":"failing","quick_at":"2024-01-09T12:00:00Z","deep_at":null,"rows":[{)"
        R"("check":"freshness","of":"requests","state":"failing","value":301,"bound":300,)"
        R"("unit":"seconds","detail":"old","advice":"see","since":"2024-01-09T12:00:00Z",)"
        R"("checked_at":"2024-01-09T12:00:01Z"}],"quality":[{"stream":"requests",)"
        R"("from":"1970-01-01T00:00:00Z","to":"1970-01-01T00:00:01Z","events":1000,"fields":[{)"
        R"("field":"latency_ms","null_share":0.5,"null_share_before":null,"outlier_share":null,)"
        R"("usual_from":null,"usual_to":null}]}]})");
  CHECK(app.health_checks.checked == 0);
  CHECK(app.post("/api/v1/health").body.find(R"("deep_at":"2024-01-09T12:00:00Z")") !=
        std::string::npos);
  CHECK(app.health_checks.checked == 1);
  CHECK(app.fetch("/api/v1/health?all=1").status == 400);
  CHECK(app.post("/api/v1/health?all=1").status == 400);
  CHECK(app.health_checks.checked == 1);
}

TEST_CASE("the API's description and its routes are the same", "[serve]") {
  ApiApp app;
  simdjson::dom::parser parser;
  const HttpResponse answer = app.fetch("/api/v1/openapi.json");
  REQUIRE(answer.status == 200);
  const simdjson::dom::element description = parser.parse(answer.body);
  std::set<std::string> described;
  for (const auto path : simdjson::dom::object(description["paths"])) {
    for (const auto method : simdjson::dom::object(path.value)) {
      described.insert(std::string(method.key) + " " + std::string(path.key));
    }
  }
  std::set<std::string> routed;
  for (const http::Route& route : app.router.routes()) {
    const bool is_page = route.pattern == "/" || route.pattern.find("index.html") < 2 ||
                         route.pattern.starts_with("/assets/");
    if (!is_page) routed.insert((route.method == "GET" ? "get " : "post ") + route.pattern);
  }
  // What takes events is added by source, and tried over the running engine.
  routed.insert("post /v1/events/{stream}");
  routed.insert("post /v1/extra");
  CHECK(described == routed);
  CHECK(answer.body.find("\"enum\":[\"service_metrics\",\"sizes\"]") != std::string::npos);
  // The parameters of an endpoint, with what they are required to be.
  std::vector<std::string> parameters;
  for (const auto parameter :
       simdjson::dom::array(description["paths"]["/v1/extra"]["get"]["parameters"])) {
    bool required = false;
    [[maybe_unused]] const auto absent = parameter["required"].get(required);
    parameters.push_back(std::string(std::string_view(parameter["name"])) + (required ? "!" : "") +
                         " " + std::string(std::string_view(parameter["schema"]["type"])));
  }
  CHECK(parameters == std::vector<std::string>{"svc! string", "last integer", "format string"});
}

TEST_CASE("the rows of a view are those of its windows, the newest first", "[serve]") {
  ApiApp app;
  app.queries.rows = {row(kNoon + kMinute, "b", 4, true), row(kNoon, "a", 1, true)};
  app.queries.rows[1].overflow = true;
  const HttpResponse csv =
      app.fetch("/api/v1/windows/sizes?format=csv&limit=3&metrics=request_count");
  CHECK(csv.status == 200);
  CHECK(csv.body ==
        "window_start,window_end,closed,revision,service,window_size,request_count\r\n"
        "2024-01-09T12:01:00Z,2024-01-09T12:02:00Z,true,0,b,1m,4\r\n"
        "2024-01-09T12:01:00Z,2024-01-09T12:02:00Z,true,0,b,2m,4\r\n"
        "2024-01-09T12:00:00Z,2024-01-09T12:01:00Z,true,0,__overflow__,1m,1\r\n");
  const HttpResponse one = app.fetch("/api/v1/windows/sizes?window_size=2m&service=b");
  CHECK(one.body.starts_with(R"({"window":"sizes","rows":[{)"));
  CHECK(one.body.find("\"window_size\":\"2m\"") != std::string::npos);
  CHECK(one.body.find("\"window_size\":\"1m\"") == std::string::npos);
  app.queries.step = kHour;
  CHECK(app.fetch("/api/v1/windows/sizes?from=2024-01-09")
            .body.ends_with("\"resolution\":[\"raw\",\"hourly\"]}"));
  app.queries.step = 0;
  app.queries.fails = true;
  CHECK(app.fetch("/api/v1/windows/sizes").status == 503);
  CHECK(app.fetch("/api/v1/windows/sises").body.find("service_metrics and sizes") !=
        std::string::npos);
  CHECK(app.fetch("/api/v1/live?windows=sizes").status == 400);
}

TEST_CASE("endpoints that the config declares answer with a window's rows", "[serve]") {
  ApiApp app;
  app.queries.rows = {row(kNoon + kMinute, "checkout", 11, true), row(kNoon, "a", 1, true),
                      row(kNoon, "b", 2, true)};
  const HttpResponse list = app.fetch("/v1/extra?svc=checkout");
  CHECK(list.status == 200);
  CHECK(list.body.starts_with(
      R"([{"window_start":"2024-01-09T12:01:00Z","window_end":"2024-01-09T12:02:00Z",)"));
  CHECK(list.body.ends_with("}]"));
  CHECK(list.header("streamobs-resolution") == "raw");
  CHECK(app.queries.window_query.windows == 60);
  CHECK(app.queries.window_query.keys[0].first == "service");
  CHECK(app.fetch("/v1/extra?svc=checkout&last=3").status == 200);
  CHECK(app.queries.window_query.windows == 3);
  CHECK(app.fetch("/v1/extra?svc=checkout&format=csv").body.starts_with("window_start,"));
  CHECK(app.fetch("/v1/extra").status == 400);
  CHECK(app.fetch("/v1/extra?svc=checkout&last=x").status == 400);

  // The oldest window first; within one, the order stays.
  const std::string body = app.fetch("/v1/latest").body;
  CHECK(
      body.starts_with(R"({"window":"service_metrics","rows":[{"window_start":"2024-01-09T12:00)"));
  CHECK(body.find("\"service\":\"a\"") < body.find("\"service\":\"b\""));
  CHECK(body.find("\"service\":\"b\"") < body.find("\"service\":\"checkout\""));
  app.queries.fails = true;
  CHECK(app.fetch("/v1/latest").status == 503);
}

TEST_CASE("dead letters are asked for by page, downloaded and replayed", "[serve]") {
  ApiApp app;
  const HttpResponse lines =
      app.fetch("/api/v1/dead-letters?format=ndjson&below_id=12&replayed=false&source=http");
  CHECK(lines.body.ends_with("}\n"));
  CHECK(lines.body.find("\"counts\"") == std::string::npos);
  CHECK(app.queries.dead_letter_query.below == 12);
  CHECK(app.queries.dead_letter_query.replayed == false);
  CHECK(app.queries.list_query.equal ==
        std::vector<std::pair<std::string, std::string>>{{"source", "http"}});
  for (const char* bad : {"id=x", "id=1x", "below_id=", "replayed=1", "format=csv", "payload=x"}) {
    CHECK(app.fetch(std::string("/api/v1/dead-letters?") + bad).status == 400);
  }

  const std::string replay = "/api/v1/dead-letters/replay";
  CHECK(app.post(replay + "?stream=requests").body ==
        R"({"accepted":3,"rejected":1,"repeated":2,"passed_over":1,"more":true,)"
        R"("stopped":"the disk is full","errors":[{"id":4,"reason":"late","detail":"too late"},)"
        R"({"id":5,"reason":null,"detail":"cut"}]})");
  CHECK(app.letter_replay.query.list.limit == 10'000);
  CHECK_FALSE(app.letter_replay.query.late);
  // Late ones only where they must be meant.
  for (const char* meant : {"?reason=late&limit=7", "?id=4", "?window=minutes"}) {
    CHECK(app.post(replay + meant).status == 200);
    CHECK(app.letter_replay.query.late);
  }
  CHECK(app.post(replay + "?below_id=4").status == 400);
  CHECK(app.post(replay + "?reason=late&limit=7").status == 200);
  CHECK(app.letter_replay.query.list.limit == 7);
  app.letter_replay.busy = true;
  CHECK(app.post(replay).status == 503);
}

TEST_CASE("the pipeline is shown", "[serve]") {
  ApiApp app;
  CHECK(
      app.fetch("/api/v1/pipeline").body ==
      R"({"version":"0.1.0","started_at":"2024-01-09T12:00:00Z","uptime_seconds":90,)"
      R"("config":{"file":"obs.toml","since":"2024-01-09T12:00:00Z","reloads":0,"changes":[],)"
      R"("refused":{"at":"2024-01-09T12:00:00Z","error":"a mistake"}},"threads":2,)"
      R"("lanes":2,"rows":[{"stage":"decode","items":7,"unit":"events","fill":0.5,"errors":1}],)"
      R"("sources":[{"source":"demo","type":"demo","stream":"requests","state":"running",)"
      R"("events":7,"detail":"","errors":0,"last_error":null,"topics":null},)"
      R"({"source":"orders","type":"kafka","stream":"requests","state":"waiting","events":8,)"
      R"("detail":"","errors":1,"last_error":{"at":"2024-01-09T12:00:00Z","error":"gone",)"
      R"("advice":""},"topics":{"messages":8,"lag":5,"brokers_up":1,"round_trip_seconds":null,)"
      R"("partitions":[{"topic":"t","partition":0,"next":8,"lag":5,"held":true,)"
      R"("ahead_seconds":1.5},{"topic":"t","partition":1,"next":0,"lag":null,"held":false,)"
      R"("ahead_seconds":null}],"group":{"group":"g","instance":"a","state":"joining",)"
      R"("generation":null,"rebalances":1,"proposed_ranges":2,"discarded_ranges":3,)"
      R"("discarded_events":4,"refused_commits":5}}}],)"
      R"("sinks":[{"sink":"out","type":"kafka","from":"service_metrics",)"
      R"("topic":"results","state":"waiting","sent":9,"dropped":0,"outbox_rows":2,)"
      R"("outbox_bytes":300,"oldest_at":"2024-01-09T12:00:00Z","outbox_bytes_max":1000,)"
      R"("required":true,"refused":1,"brokers_up":2,"transaction_seconds":0.25,"errors":3,)"
      R"("last_error":{"at":"2024-01-09T12:00:00Z","error":"away","advice":"wait"}}],)"
      R"("lookups":[{"lookup":"prices",)"
      R"("file":"prices.csv","rows":3,"version":"00ff","since":"2024-01-09T12:00:00Z",)"
      R"("error":""}],"joins":[{"join":"calls","left":"asked","right":"answered","rows":5,)"
      R"("unmatched_left":2,"unmatched_right":1,"pushed_out":0,"pending":4,"pending_bytes":900}],)"
      R"("rules":[{"rule":"error_surge","window":"service_metrics",)"
      R"("key":"checkout","phase":"ok","history_windows":9,"warmup_windows":5,)"
      R"("last_window_end":"2024-01-09T12:00:00Z"}],"rules_configured":3,"store":{"path":"x.db","bytes":0,)"
      R"("rows_written":0,"outbox":0,"last_commit_at":null,"archives":[{"window":"service_metrics",)"
      R"("resolution":"raw","directory":"/d/old","failures":2,"error":"no room",)"
      R"("since":"2024-01-09T12:00:00Z"}]}})");
}

TEST_CASE("a reload is answered when it is over", "[serve]") {
  ApiApp app;
  const HttpResponse done = app.post("/-/reload");
  CHECK(done.status == 200);
  CHECK(done.header("connection") == "close");
  CHECK(done.body == R"({"file":"obs.toml","since":"2024-01-09T12:00:00Z","reloads":2,"changes":[)"
                     R"({"what":"added","section":"window","name":"w"},)"
                     R"({"what":"changed","section":"http","name":null}],"refused":null})");
  app.reload.refusal = {400, "obs.toml:3:1: error"};
  CHECK(app.post("/-/reload").status == 400);
  CHECK(app.post("/-/reload").body.find("obs.toml:3:1: error") != std::string::npos);
  app.reload.refusal = {409, "another one"};
  CHECK(app.post("/-/reload").header("retry-after") == "1");
  CHECK(app.post("/-/reload?now=1").status == 400);
  CHECK(app.fetch("/-/reload").status == 405);
}

TEST_CASE("health, metrics and version", "[serve]") {
  http::HttpOptions options;
  options.token = "t";
  ApiApp app(options);
  for (const char* path : {"/livez", "/healthz", "/health", "/-/healthy", "/readyz", "/-/ready"}) {
    CHECK(app.fetch(path).status == 200);
  }
  app.reason = "the store is not open yet";
  const HttpResponse not_ready = app.fetch("/readyz");
  CHECK(not_ready.status == 503);
  CHECK(not_ready.body.find("the store is not open yet") != std::string::npos);
  CHECK(app.fetch("/livez").status == 200);
  CHECK(app.fetch("/metrics").status == 401);
  CHECK(app.fetch("/version").status == 401);
  CHECK(app.fetch("/api/v1/live").status == 401);
  const std::string token = "Authorization: Bearer t\r\n";
  CHECK(app.ask(get("/version", token)).body == R"({"version":"0.1.0"})");
  app.registry.counter("test_things_total", "Things.").add(3);
  const HttpResponse text = app.ask(get("/metrics", token));
  CHECK(text.header("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(text.body.find("test_things_total 3\n") != std::string::npos);
  const HttpResponse open =
      app.ask(get("/metrics", token + "Accept: application/openmetrics-text; version=1.0.0\r\n"));
  CHECK(open.header("content-type").rfind("application/openmetrics-text", 0) == 0);
  CHECK(open.body.find("# EOF") != std::string::npos);
}

TEST_CASE("the page is served, without a token, and kept as long as it may be", "[serve]") {
  http::HttpOptions options;
  options.token = "t";
  ApiApp app(options);
  const HttpResponse page = app.fetch("/");
  CHECK(page.status == 200);
  CHECK(page.body == kPage);
  CHECK(page.header("content-type") == "text/html; charset=utf-8");
  CHECK(page.header("cache-control") == "no-cache");
  CHECK(page.header("content-security-policy").find("default-src 'none'") == 0);
  CHECK(app.fetch("/index.html").body == kPage);
  const HttpResponse script = app.fetch("/assets/app-1.js");
  CHECK(script.body == "let a = 1;");
  CHECK(script.header("cache-control") == "public, max-age=31536000, immutable");
  const std::string etag = page.header("etag");
  REQUIRE(etag.size() == 18);
  CHECK(etag != script.header("etag"));
  for (const std::string& known : {etag, "W/" + etag, "\"x\", " + etag, std::string("*")}) {
    const HttpResponse same = app.ask(get("/", "If-None-Match: " + known + "\r\n"));
    CHECK(same.status == 304);
    CHECK(same.header("content-length").empty());
  }
  CHECK(app.ask(get("/", "If-None-Match: \"other\"\r\n")).status == 200);
  CHECK(app.fetch("/assets/..%2f..%2fetc%2fpasswd").status == 401);
  CHECK(app.ask(get("/assets/../index.html", "Authorization: Bearer t\r\n")).status == 404);
}
