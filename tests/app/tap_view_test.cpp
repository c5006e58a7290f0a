#include "app/tap_view.h"

#include <limits>
#include <string>

#include "support/catch.h"

using namespace streamobs::app;

namespace {

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

std::string rows(const std::string& list) {
  return R"({"window":"w","rows":[)" + list + "]}";
}
std::string row(const std::string& service, const std::string& n, bool closed = true,
                int revision = 0) {
  return R"({"window_start":"2026-01-09T12:34:00Z","window_end":"2026-01-09T12:35:00Z","closed":)" +
         std::string(closed ? "true" : "false") + R"(,"revision":)" + std::to_string(revision) +
         R"(,"service":")" + service + R"(","n":)" + n + "}";
}

const std::string kAnomaly =
    R"({"id":"a","rule":"error_surge","anomaly_type":"error_surge","window":"w","severity":"high",
"detected_at":"2026-01-09T12:35:00.5Z","window_start":"2026-01-09T12:34:00Z",
"window_end":"2026-01-09T12:35:00Z","keys":{"service":"checkout"},"service":"checkout",
"metric_name":"error_rate","metric_value":0.2,"baseline_value":null,"threshold_value":0.1,
"description":"six times its usual","resolved":false,"resolved_at":null})";

}  // namespace

TEST_CASE("tap: rows of a window stand in columns under their names", "[app]") {
  TapView view(TapSubject::window, {}, {});
  CHECK(view.show(rows(row("checkout", "7", false) + "," + row("search", "0.123456789")), kAll) ==
        "        window_start    service          n\n"
        "open    01-09 12:34:00  checkout         7\n"
        "closed  01-09 12:34:00  search    0.123457\n");
  // The header comes again only when a column gets wider, or has left the screen.
  CHECK(view.show(rows(row("search", "null")), kAll) ==
        "closed  01-09 12:34:00  search           -\n");
  CHECK(view.show(rows(row("recommendations", "1")), kAll) ==
        "        window_start    service                 n\n"
        "closed  01-09 12:34:00  recommendations         1\n");
  std::string much;
  for (int i = 0; i < 100; ++i) much += view.show(rows(row("search", std::to_string(i))), kAll);
  std::size_t headers = 0;
  for (std::size_t at = 0; (at = much.find("window_start", at)) != std::string::npos; ++at)
    ++headers;
  CHECK(headers == 2);
  CHECK(view.shown() == 104);
}

TEST_CASE("tap: a row that comes again says its revision", "[app]") {
  TapView view(TapSubject::window, {}, {});
  CHECK(view.show(rows(row("search", "7") + "," + row("search", "8", true, 1)), kAll) ==
        "        window_start    service  n\n"
        "closed  01-09 12:34:00  search   7\n"
        "rev 1   01-09 12:34:00  search   8\n");
}

TEST_CASE("tap: a row ends where the terminal does", "[app]") {
  TapStyle style;
  style.width = 30;
  TapView view(TapSubject::window, style, {});
  CHECK(view.show(rows(row("größer", "7")), kAll) ==
        "        window_start    servi…\n"
        "closed  01-09 12:34:00  größer\n");
  CHECK(columns_of("größer") == 6);
}

TEST_CASE("tap: colours tell what is open, what is closed, and how bad it is", "[app]") {
  TapStyle style;
  style.colour = true;
  TapView windows(TapSubject::window, style, {});
  const std::string shown = windows.show(rows(row("a", "1") + "," + row("a", "1", false)), kAll);
  CHECK(shown.find("\x1b[32mclosed\x1b[0m") != std::string::npos);
  CHECK(shown.find("\x1b[2mopen ") != std::string::npos);
  TapView anomalies(TapSubject::anomalies, style, {});
  CHECK(anomalies.show(kAnomaly, kAll).find("\x1b[31mhigh") != std::string::npos);
}

TEST_CASE("tap: anomalies and incidents in words", "[app]") {
  TapView anomalies(TapSubject::anomalies, {}, {});
  CHECK(anomalies.show(kAnomaly, kAll) ==
        "          detected_at     severity  rule         keys              description\n"
        "open      01-09 12:35:00  high      error_surge  service=checkout  six times its usual\n");
  TapView incidents(TapSubject::incidents, {}, {});
  const std::string incident =
      R"({"id":"i","keys":{"service":"checkout"},"severity":"critical","status":"resolved",
"started_at":"2026-01-09T12:34:00Z","last_seen_at":"2026-01-09T12:40:00Z",
"resolved_at":"2026-01-09T12:41:00Z","title":"checkout fails","explanation":
"a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9","evidence":[],
"anomaly_count":1,"anomaly_ids":["a"],"narrated_by":"template","revision":2})";
  CHECK(incidents.show(incident, kAll) ==
        "          last_seen_at    severity  keys              title\n"
        "resolved  01-09 12:40:00  critical  service=checkout  checkout fails\n"
        "    a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1\n"
        "    2 3 4 5 6 7 8 9\n");
}

TEST_CASE("tap: only what has the values asked for, and no more than asked for", "[app]") {
  TapView view(TapSubject::window, {.json = true}, {{"service", "b"}, {"closed", "true"}});
  const std::string list = row("a", "1") + "," + row("b", "2", false) + "," + row("b", "3") + "," +
                           row("b", "4") + "," + row("b", "5");
  CHECK(view.show(rows(list), 2) == row("b", "3") + "\n" + row("b", "4") + "\n");
  CHECK(view.shown() == 2);
  CHECK(view.show(rows(list), 0).empty());
  TapView numbers(TapSubject::window, {.json = true}, {{"n", "0.5"}});
  CHECK(numbers.show(rows(row("a", "0.5") + "," + row("a", "5")), kAll) == row("a", "0.5") + "\n");
  // Keys of anomalies and incidents, which need not stand flat.
  CHECK_FALSE(
      TapView(TapSubject::anomalies, {}, {{"service", "checkout"}}).show(kAnomaly, kAll).empty());
  CHECK(TapView(TapSubject::anomalies, {}, {{"service", "search"}}).show(kAnomaly, kAll).empty());
  CHECK(TapView(TapSubject::anomalies, {}, {{"region", "eu"}}).show(kAnomaly, kAll).empty());
}

TEST_CASE("tap: what comes from outside cannot steer the terminal", "[app]") {
  CHECK(printable("a\x1b[2Jb\r\n\tc\x7f") == "a [2Jb   c ");
  CHECK(printable("\xc2\x9b"
                  "31m") == "  31m");
  CHECK(printable("naïve £ …") == "naïve £ …");
  CHECK(printable("\xff") == "\xef\xbf\xbd");
  TapView view(TapSubject::window, {}, {});
  CHECK(view.show(rows(row(R"(\u001b]0;x\u0007\n)", "1")), kAll).find('\x1b') == std::string::npos);
  CHECK(view.show("no JSON", kAll).empty());
  CHECK(view.show("[1,2]", kAll).empty());
}

TEST_CASE("tap: events of a stream, whatever members they have", "[app]") {
  TapView view(TapSubject::stream, {}, {});
  const std::string events =
      R"({"stream":"s","events":[{"at":"2026-01-09T12:34:00Z","tags":{"region":"eu"},"ms":1.5},)"
      R"({"at":"2026-01-09T12:34:01Z","closed":true,"ms":12}],"left_out":1234})";
  CHECK(view.show(events, kAll) ==
        "at              tags.region   ms  closed\n"
        "01-09 12:34:00  eu           1.5\n"
        "01-09 12:34:01                12  true\n");
  CHECK(view.take_left_out() == 1234);
  CHECK(view.take_left_out() == 0);
  CHECK(view.show(R"({"stream":"s","events":[],"left_out":7})", kAll).empty());
  CHECK(view.take_left_out() == 7);
  CHECK(view.shown() == 2);
  TapView eu(TapSubject::stream, {.json = true}, {{"tags.region", "eu"}});
  CHECK(eu.show(events, kAll) == R"({"at":"2026-01-09T12:34:00Z","tags":{"region":"eu"},"ms":1.5})"
                                 "\n");
}

TEST_CASE("tap: events with ever new members do not get ever new columns", "[app]") {
  TapView view(TapSubject::stream, {}, {});
  std::string out;
  for (int i = 0; i < 300; ++i) {
    const std::string event =
        R"({"n":1,"m)" + std::to_string(i) + R"(":2,"o)" + std::to_string(i) + R"(":3})";
    out = view.show(R"({"stream":"s","events":[)" + event + "]}", kAll);
  }
  CHECK(out.starts_with("1 "));
  CHECK(out.ends_with("  +2\n"));
  CHECK(columns_of(out) < 700);
  out.clear();
  for (int i = 0; i < 50; ++i) out += view.show(R"({"stream":"s","events":[{"n":1}]})", kAll);
  const std::size_t header = out.find("n  m0  o0  m1  o1  ");
  REQUIRE(header != std::string::npos);
  CHECK(out.substr(header, out.find('\n', header) - header).ends_with("  m49  (others)"));
}

TEST_CASE("tap: what an engine tells again after a crash is shown once", "[app]") {
  TapView view(TapSubject::window, {}, {});
  CHECK_FALSE(view.show(rows(row("a", "1") + "," + row("a", "2", false)), kAll).empty());
  // The same row is a repeat; another figure of it, and what is open, are none.
  CHECK(view.show(rows(row("a", "1")), kAll).empty());
  CHECK_FALSE(view.show(rows(row("a", "3")), kAll).empty());
  CHECK_FALSE(view.show(rows(row("a", "2", false)), kAll).empty());
  CHECK(view.shown() == 4);
  TapView anomalies(TapSubject::anomalies, {}, {});
  CHECK_FALSE(anomalies.show(kAnomaly, kAll).empty());
  CHECK(anomalies.show(kAnomaly, kAll).empty());
  // Bounded: of very many the oldest are forgotten.
  TapView many(TapSubject::window, {}, {});
  for (int i = 0; i <= 10'000; ++i) many.show(rows(row("a", std::to_string(i))), kAll);
  CHECK(many.show(rows(row("a", "10000")), kAll).empty());
  CHECK_FALSE(many.show(rows(row("a", "0")), kAll).empty());
  // Of a stream two events may be the same.
  TapView events(TapSubject::stream, {}, {});
  const std::string two = R"({"stream":"s","events":[{"n":1},{"n":1}],"left_out":0})";
  CHECK(events.show(two, kAll) == "n\n1\n1\n");
}
