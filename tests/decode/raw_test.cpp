// keep = "raw": each row's text as it came, whichever way it was read.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

StreamOptions raw_services() {
  StreamOptions o = services();
  o.keep_raw = true;
  return o;
}

std::vector<std::string> raw_of(const EventBatch& batch) {
  return {batch.raw.begin(), batch.raw.end()};
}

/// The raw texts of a block's rows, which must be the same with all short cuts and without, in a
/// decoder's first batch and when it knows the shapes.
std::vector<std::string> raw_texts(const StreamOptions& options, std::string_view text,
                                   Format format = Format::json,
                                   std::shared_ptr<const std::string> header = nullptr) {
  const std::vector<std::string> sources = {"test"};
  const Block b = block(text, format, std::move(header));
  std::vector<std::string> texts;
  bool first = true;
  for (const DecoderOptions how :
       {DecoderOptions{.shapes = false}, DecoderOptions{}, DecoderOptions{.wide_loops = false}}) {
    Decoder decoder(compile(options), sources, how);
    EventBatch batch;
    for (int round = 0; round < 3; ++round) {
      decoder.decode(b, batch);
      CHECK(batch.raw.size() == batch.rows);
      if (first) texts = raw_of(batch);
      CHECK(raw_of(batch) == texts);
      first = false;
    }
  }
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the text of each line is kept without its end and the blanks around it") {
  const std::string a =
      R"({"event_time":"2024-01-09T12:34:56Z","service":"a","undeclared":[1, 2]})";
  const std::string b = R"({ "service" : "\u00e9", "event_time" : 1704803696123 })";
  CHECK(raw_texts(raw_services(), a + "\n" + b + "\n", Format::ndjson) == Texts{a, b});
  CHECK(raw_texts(raw_services(), a + "\r\n\r\n" + b + "\r\n", Format::ndjson) == Texts{a, b});
  CHECK(raw_texts(raw_services(), "\n \t\n" + a + "\n" + b, Format::ndjson) == Texts{a, b});
  CHECK(raw_texts(raw_services(), "\xef\xbb\xbf  " + a + " \t\r\n" + b + " ") == Texts{a, b});
  CHECK(raw_texts(raw_services(), a + "\nrubbish\n{}\n" + b) == Texts{a, b});
  CHECK(raw_texts(raw_services(), a + "\n" + b + "\r") == Texts{a, b});
  CHECK(raw_texts(raw_services(), "").empty());
  CHECK(raw_texts(raw_services(), "{}\n").empty());
}

TEST_CASE("the text of an array's element, and of a body that is one event") {
  const std::string a = R"({"event_time":1704803696,"service":"a","x":{"y":["]},{",null]}})";
  const std::string b = "{\n  \"event_time\": 1704803697,\r\n  \"service\": \"b\"\n}";
  CHECK(raw_texts(raw_services(), "[" + a + "," + b + "]") == Texts{a, b});
  CHECK(raw_texts(raw_services(), " [ " + a + "\n,\t{},\n" + b + "\n ]\n") == Texts{a, b});
  CHECK(raw_texts(raw_services(), "[" + a + ", 7, " + a + ", {\"event_time\":\"soon\"}]") ==
        Texts{a, a});
  CHECK(raw_texts(raw_services(), "[" + a + ", {" + a) == Texts{a});
  CHECK(raw_texts(raw_services(), b) == Texts{b});
  CHECK(raw_texts(raw_services(), "  " + b + "\r\n ") == Texts{b});
  CHECK(raw_texts(raw_services(), a) == Texts{a});
}

TEST_CASE("the text of a CSV record, quotes and line ends within it included") {
  const auto header = std::make_shared<const std::string>("event_time,service,who\r\n");
  CHECK(raw_texts(raw_services(),
                  "2024-01-09,a,x\r\n\r\n2024-01-09,\"b \"\"c\"\"\",\"two\r\nlines\"\r\n"
                  "soon,d,y\r\n2024-01-09,,\n2024-01-09, e ,z",
                  Format::csv,
                  header) == Texts{"2024-01-09,a,x", "2024-01-09,\"b \"\"c\"\"\",\"two\r\nlines\"",
                                   "2024-01-09,,", "2024-01-09, e ,z"});
  // The block's own header is no event.
  CHECK(raw_texts(raw_services(), "event_time,service\n2024-01-09,a\n", Format::csv) ==
        Texts{"2024-01-09,a"});
}

TEST_CASE("the text of an access log's line, with what follows the fields") {
  StreamOptions o;
  o.name = "web";
  o.time = "time_local";
  o.fields = {field("status", "int"), field("path", "string")};
  o.keep_raw = true;
  const std::string a = R"(1.2.3.4 - - [17/May/2015:10:05:03 +0200] "GET /a HTTP/1.1" 200 5)";
  const std::string b =
      R"(::1 - "-" [17/May/2015:10:05:04 +0200] "GET \"b\" HTTP/1.1" 200 - "-" "X \"y\"" 0.5 )";
  const std::string c =
      R"(::1 - - [17/May/2015:10:05:04 +0200] "GET \"b\" HTTP/1.1" 200 - "-" "X \"y\"" 0.5 )";
  CHECK(raw_texts(o, a + "\nrubbish\n \n" + b + "\r\n" + c + "\r\n", Format::access_log) ==
        Texts{a, b, c});
}

TEST_CASE("rows that a check refuses take their texts with them") {
  StreamOptions o = raw_services();
  o.checks = {{"short", "latency_ms < 100"}};
  std::string body;
  Texts kept;
  Texts refused;
  for (int i = 0; i < 3000; ++i) {
    const std::string event =
        fmt::format(R"({{"event_time":{},"latency_ms":{},"n":{}}})", 1704803696 + i,
                    i % 7 == 0   ? "null"
                    : i % 5 == 0 ? "250"
                                 : "12.5",
                    i);
    body += event + "\n";
    (i % 7 == 0 || i % 5 == 0 ? refused : kept).push_back(event);
  }
  CHECK(raw_texts(o, body, Format::ndjson) == kept);

  const std::vector<std::string> sources = {"test"};
  EventBatch batch;
  Decoder decoder(compile(o), sources);
  decoder.decode(block(body), batch);
  REQUIRE(batch.dead_letters.size() == refused.size());
  for (std::size_t i = 0; i < refused.size(); ++i) {
    REQUIRE(batch.dead_letters[i].payload == refused[i]);
    REQUIRE(batch.dead_letters[i].detail.starts_with("latency_ms < 100 is "));
  }

  // The checks look at the texts too, but they stay only where they are to be kept.
  o.keep_raw = false;
  Decoder other(compile(o), sources);
  other.decode(block(body), batch);
  CHECK(batch.rows == kept.size());
  CHECK(batch.dead_letters.size() == refused.size());
  CHECK(batch.raw.empty());
}

TEST_CASE("a batch holds raw texts only while its stream keeps them") {
  const std::vector<std::string> sources = {"test"};
  const std::string body = "{\"event_time\":1704803696}\n";
  Decoder with(compile(raw_services()), sources);
  Decoder without(compile(services()), sources);
  EventBatch batch;
  with.decode(block(body), batch);
  CHECK(raw_of(batch) == Texts{"{\"event_time\":1704803696}"});
  without.decode(block(body), batch);
  CHECK(batch.rows == 1);
  CHECK(batch.raw.empty());
  with.decode(block(body + body), batch);
  CHECK(batch.raw.size() == 2);
  batch.clear();
  CHECK(batch.raw.empty());
}

TEST_CASE("raw texts lie in the block, which the batch keeps") {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(raw_services()), sources);
  EventBatch batch;
  {
    const Block b = block("{\"event_time\":1704803696}\n{\"event_time\":1704803697}\n");
    decoder.decode(b, batch);
  }
  REQUIRE(batch.raw.size() == 2);
  for (const std::string_view text : batch.raw) {
    CHECK(text.data() >= batch.block->data());
    CHECK(text.data() + text.size() <= batch.block->data() + batch.block->size());
  }
}

TEST_CASE("the raw texts of accepted rows are the lines of those rows, whatever the lines are") {
  std::mt19937_64 random(41);
  const auto below = [&random](std::uint64_t n) { return random() % n; };
  StreamOptions checked = raw_services();
  checked.checks = {{"in_time", "latency_ms is null or latency_ms < 900"}};
  StreamOptions narrow = raw_services();
  narrow.max_event_bytes = 110;
  const std::vector<std::string> sources = {"test"};
  for (const StreamOptions& options : {raw_services(), checked, narrow}) {
    Decoder decoder(compile(options), sources);
    EventBatch batch;
    std::size_t rows = 0;
    std::size_t refused = 0;
    for (int round = 0; round < 120; ++round) {
      const std::size_t rarity = round % 2 == 0 ? 8 : 300;
      std::string body;
      Texts events;  // By index, as anyone would cut them out of the body.
      for (std::uint64_t n = 1 + below(500); n > 0; --n) {
        const std::uint64_t form = below(rarity) == 0 ? 3 + below(6) : below(3);
        const std::uint64_t time = 1704803696000 + below(1'000'000);
        const std::uint64_t value = below(1000);
        std::string event;
        if (form == 0) {
          event = fmt::format(R"({{"event_time":{},"service":"s{}","latency_ms":{}}})", time,
                              value % 9, value);
        } else if (form == 1) {
          event = fmt::format(R"({{"service":"s{}","extra":"{}","event_time":{}}})", value % 9,
                              std::string(value % 60, 'x'), time);
        } else if (form == 2) {
          event = fmt::format(R"({{"event_time":{},"status_code":{},"endpoint":"/{}"}})", time,
                              value, value % 5);
        } else if (form == 3) {
          event = fmt::format(R"({{"event_time":{},"service":{}}})", time, value);  // No string.
        } else if (form == 4) {
          event = "rubbish";
        } else if (form == 5) {
          event = fmt::format(R"({{"event_time":{},"service":null,"é":"\u00e9\n"}})", time);
        } else if (form == 6) {
          event = fmt::format(R"({{ "latency_ms" : {}, "event_time" : {} }})", value, time);
        } else if (form == 7) {
          event = fmt::format(R"({{"event_time":{},"event_time":{}}})", time, time);
        }
        const bool blank = event.empty();
        if (!blank) events.push_back(event);
        const std::uint64_t dressing = below(rarity) == 0 ? below(3) : 3;
        if (dressing == 0) event = "  " + event;
        if (dressing == 1) event += " \t";
        body += event + (dressing == 2 ? "\r\n" : "\n");
      }
      if (below(2) == 0) body.pop_back();
      decoder.decode(block(body, Format::ndjson), batch);
      REQUIRE(batch.events == events.size());
      REQUIRE(batch.raw.size() == batch.rows);
      for (std::size_t row = 0; row < batch.rows; ++row) {
        REQUIRE(batch.raw[row] == events[batch.event_index[row]]);
      }
      rows += batch.rows;
      refused += batch.refused;
    }
    CHECK(rows > 10'000);
    CHECK(refused > 500);
  }
}
