// One object, an array, or a line each: how the events of a JSON body are found, and which line of
// a file they are known by.
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

StreamOptions small() {
  StreamOptions o;
  o.name = "s";
  o.time = "t";
  o.fields = {field("a", "int")};
  return o;
}

/// "taken/refused of events": which of the events became rows ("+") and which did not (reason).
std::string outline(std::string_view body, Format format = Format::json) {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(small()), sources);
  EventBatch batch;
  std::string first;
  // Twice: the second time the shapes of the first are known.
  for (int round = 0; round < 2; ++round) {
    decoder.decode(block(body, format), batch);
    std::vector<std::string> events(batch.events, "?");
    for (const auto i : batch.event_index) events.at(i) = "+";
    for (const DeadLetter& d : batch.dead_letters) {
      CHECK(events.at(d.event_index) == "?");
      events.at(d.event_index) = d.reason;
    }
    std::string out;
    for (const std::string& e : events) out += (out.empty() ? "" : " ") + e;
    if (round == 0) first = out;
    CHECK(out == first);
  }
  return first;
}

}  // namespace

TEST_CASE("one object, on one line or on many") {
  CHECK(outline(R"({"t":1})") == "+");
  CHECK(outline("  {\"t\":1}  \r\n") == "+");
  CHECK(outline("{\n  \"t\": 1,\n  \"a\": 2\n}\n") == "+");
  CHECK(outline("{\"t\":1,\"x\":{}\n,\"a\":5}") == "+");
  CHECK(outline("\xef\xbb\xbf{\"t\":1}") == "+");
  CHECK(outline("\xef\xbb\xbf\n{\n\"t\":1}") == "+");
  CHECK(outline("{\n\"t\":1\n}", Format::ndjson) == "not_json not_json not_json");
}

TEST_CASE("a line each") {
  CHECK(outline("{\"t\":1}\n{\"t\":2}\n{\"t\":3}") == "+ + +");
  CHECK(outline("{\"t\":1}\r\n{\"t\":2}\r\n") == "+ +");
  CHECK(outline("\n\n{\"t\":1}\n \t\r\n{\"t\":2}\n\n") == "+ +");
  CHECK(outline("{\"t\":1}\nrubbish\n{\"t\":2}") == "+ not_json +");
  CHECK(outline("{\"t\":1,\n{\"t\":2}\n") == "not_json +");
  CHECK(outline("{\"t\":1,\"x\":[1,\n2]}\n{\"t\":2}\n") == "not_json not_json +");
  CHECK(outline("{\"t\":1}\n{\"t\":1,\"x\":[1,\n2]}\n{\"t\":2}\n") == "+ not_json not_json +");
  CHECK(outline("{\"t\":1,\"x\":[1]}\n{\"t\":1,\"x\":[1,\n2]}\n{\"t\":2}\n") ==
        "+ not_json not_json +");
  CHECK(outline("{\"t\":1}{\"t\":2}\n{\"t\":3}\n") == "not_json +");
  CHECK(outline("{\"t\":1} {\"t\":2}") == "not_json");
  CHECK(outline("[{\"t\":1}]\n", Format::ndjson) == "not_json");
  CHECK(outline("{\"t\":1}\r{\"t\":2}\n") == "not_json");
  CHECK(outline("{\"t\":1}\n[{\"t\":1}]\n") == "+ not_json");
}

TEST_CASE("an array of objects") {
  CHECK(outline("[]").empty());
  CHECK(outline(" [ ] \n").empty());
  CHECK(outline("[{\"t\":1}]") == "+");
  CHECK(outline("[{\"t\":1}, {\"t\":2}\n,\n{\"t\":3}]\n") == "+ + +");
  CHECK(outline("[\n  {\n    \"t\": 1\n  },\n  {\n    \"t\": 2\n  }\n]") == "+ +");
  CHECK(outline("[{\"t\":1},5,\"x\",[{\"t\":2}],null,{\"t\":3}]") ==
        "+ not_json not_json not_json not_json +");
  CHECK(outline("[{\"t\":1},{\"a\":1},{\"t\":2,\"a\":\"x\"},{\"t\":3}]") ==
        "+ missing_field wrong_type +");
}

TEST_CASE("in an array each element is judged by itself as long as its end can be seen") {
  CHECK(outline("[{\"t\":NaN},{\"t\":1}]") == "not_json +");
  CHECK(outline("[{\"t\":1,},{\"t\":1}]") == "not_json +");
  CHECK(outline("[{\"t\":1}x,{\"t\":1}]") == "+ not_json");
  CHECK(outline("[{\"t\":1},{\"t\":2") == "+ not_json");
  CHECK(outline("[{\"t\":1}") == "+ not_json");
  CHECK(outline("[{\"t\":1},") == "+ not_json");
  CHECK(outline("[{\"t\":1},]") == "+ not_json");
  CHECK(outline("[,{\"t\":1}]") == "not_json +");
  CHECK(outline("[{\"t\":1}] x") == "+ not_json");
  CHECK(outline("[{\"t\":1}]]") == "+ not_json");
  CHECK(outline("[{\"x\":\"},{\"t\":1}]") == "not_json");
  CHECK(outline("[") == "not_json");
  CHECK(outline("[{\"t\":1,\"x\":\"a\nb\"},{\"t\":1}]") == "not_json +");
}

TEST_CASE("bodies without events") {
  for (const char* body : {"", " ", "\n\n\r\n", "\xef\xbb\xbf"}) {
    CHECK(outline(body).empty());
    CHECK(outline(body, Format::ndjson).empty());
  }
}

TEST_CASE("the rest of a broken array is kept as one dead letter") {
  const std::string out = decode_text(small(), "[{\"t\":1},{\"a\":\"x},{\"t\":2},{\"t\":3}]");
  CHECK(out.find("!1 not_json") != std::string::npos);
  CHECK(out.find("the rest of the array is refused with it") != std::string::npos);
  CHECK(out.find("{\"a\":\"x},{\"t\":2},{\"t\":3}]\n") != std::string::npos);
}

TEST_CASE("the same event gives the same row however it is sent") {
  const std::string event = R"({"t":"2024-01-09T12:00:00Z","a":5,"x":{"y":[1,{}]}})";
  const std::string row =
      "events 1 rows 1 time_max 2024-01-09T12:00:00Z\n"
      "#0 2024-01-09T12:00:00Z 5 \"2024-01-09T12:00:00Z\"\n";
  for (const std::string& body :
       {event, "[" + event + "]", event + "\n", "\n" + event + "\r\n", " [ " + event + " ] "}) {
    INFO(body);
    CHECK(decode_text(small(), body) == row);
  }
}

TEST_CASE("an event of a file is known by its line whatever stands between") {
  const std::vector<std::string> sources = {"zero"};
  std::mt19937_64 random(1);
  for (const Format format : {Format::ndjson, Format::csv}) {
    Decoder decoder(compile(services()), sources);
    EventBatch batch;
    for (int round = 0; round < 200; ++round) {
      // What the events are known by is the line at which they begin.
      std::string text;
      std::uint64_t line = 1 + random() % 1000;
      Block b = block("", format);
      b.origin.first_line = line;
      if (format == Format::csv) {
        b.header = std::make_shared<const std::string>("latency_ms,event_time,service\n");
      }
      const std::size_t rare = 2 + random() % 20;
      for (std::size_t i = 0; i < 60; ++i) {
        while (random() % rare == 0) {
          text += "\n";
          ++line;
        }
        if (random() % 7 == 0) {
          text += "rubbish\n";
        } else if (format == Format::ndjson) {
          text +=
              fmt::format("{{\"event_time\":\"2024-01-09T00:00:00Z\",\"latency_ms\":{}}}\n", line);
        } else if (random() % rare == 0) {
          text += fmt::format("{},2024-01-09T00:00:00Z,\"a\n\nb\"\n", line);
          line += 2;
        } else {
          text += fmt::format("{},2024-01-09T00:00:00Z,a\n", line);
        }
        ++line;
      }
      b.bytes->append(text);
      decoder.decode(b, batch);
      REQUIRE(batch.rows > 10);
      std::size_t column = 0;
      while (batch.schema->fields[column].name != "latency_ms") ++column;
      for (std::size_t row = 0; row < batch.rows; ++row) {
        const std::uint32_t event = batch.event_index[row];
        REQUIRE(static_cast<double>(position_of(batch.origin, event, event)) ==
                batch.columns[column].floats[row]);
      }
    }
  }
}
