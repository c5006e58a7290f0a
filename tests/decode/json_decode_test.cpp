// What JSON events are taken for, and why others are refused.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <simdjson.h>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

/// A stream with a field of each type.
StreamOptions all_types() {
  StreamOptions o;
  o.name = "all";
  o.time = "t";
  o.fields = {field("s", "string"),     field("i", "int"),        field("f", "float"),
              field("b", "bool"),       field("d", "decimal(2)"), field("m", "map"),
              field("at", "timestamp"), field("n.x", "int")};
  return o;
}

/// The one event's values ("4 5 null …"), or "!reason".
std::string decode_one(const StreamOptions& options, const std::string& members) {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(options), sources);
  EventBatch batch;
  decoder.decode(block("{\"t\":1704803696" + members + "}"), batch);
  REQUIRE(batch.events == 1);
  if (batch.rows == 0) {
    REQUIRE(batch.dead_letters.size() == 1);
    return "!" + batch.dead_letters[0].reason;
  }
  std::string out;
  for (const Column& column : batch.columns) {
    if (column.type.kind == Kind::timestamp && &column == &batch.columns.back()) continue;
    JsonWriter json(out);
    Value::from(column.view(), 0).write_json(json);
    out += ' ';
  }
  out.pop_back();
  return out;
}

std::string value_of(const char* name, const std::string& json) {
  StreamOptions o = all_types();
  std::erase_if(o.fields, [&](const FieldOptions& f) { return f.name.text != name; });
  const std::string key = std::string(name) == "n.x" ? "\"n\":{\"x\":" + json + "}"
                                                     : "\"" + std::string(name) + "\":" + json;
  return decode_one(o, "," + key);
}

/// Why the plain reader refuses a line, or "taken".
std::string reason_of(std::string_view event) {
  static const std::vector<std::string> sources = {"test"};
  static Decoder decoder(
      [] {
        StreamOptions o = services();
        o.fields[0].required = true;
        return compile(o);
      }(),
      sources, DecoderOptions{false});
  EventBatch batch;
  decoder.decode(block(event, Format::ndjson), batch);
  if (batch.dead_letters.empty()) return batch.rows == 1 ? "taken" : "nothing";
  return batch.dead_letters[0].reason;
}

std::string nested(int depth) {
  return R"({"event_time":1704803696,"service":"a","x":)" + std::string(depth - 1, '[') +
         std::string(depth - 1, ']') + "}";
}

}  // namespace

TEST_CASE("values of each type") {
  CHECK(value_of("s", R"("a\u00e9\n\"\\\/\ud83d\ude00")") == "\"aé\\n\\\"\\\\/😀\"");
  CHECK(value_of("s", R"("")") == "\"\"");
  CHECK(value_of("s", "5") == "!wrong_type");
  CHECK(value_of("s", "{}") == "!wrong_type");
  CHECK(value_of("i", "-5") == "-5");
  CHECK(value_of("i", "1.0") == "1");
  CHECK(value_of("i", "1e3") == "1000");
  CHECK(value_of("i", "1.5") == "!wrong_type");
  CHECK(value_of("i", "\"1\"") == "!wrong_type");
  CHECK(value_of("i", "9223372036854775807") == "9223372036854775807");
  CHECK(value_of("i", "9223372036854775808") == "!out_of_range");
  CHECK(value_of("f", "5") == "5");
  CHECK(value_of("f", "0.30000000000000004") == "0.30000000000000004");
  CHECK(value_of("f", "1e400") == "!out_of_range");
  CHECK(value_of("f", "true") == "!wrong_type");
  CHECK(value_of("f", "NaN") == "!not_json");
  CHECK(value_of("b", "true") == "true");
  CHECK(value_of("b", "false") == "false");
  CHECK(value_of("b", "1") == "!wrong_type");
  CHECK(value_of("d", "12.3") == "12.30");
  CHECK(value_of("d", "\"12.30\"") == "12.30");
  CHECK(value_of("d", "12.300") == "12.30");
  CHECK(value_of("d", "0.1e1") == "1.00");
  CHECK(value_of("d", "12.345") == "!out_of_range");
  CHECK(value_of("d", "\"abc\"") == "!wrong_type");
  CHECK(value_of("m", R"({"a":1, "b":{"c":[1,2]}})") == R"({"a":1, "b":{"c":[1,2]}})");
  CHECK(value_of("m", R"({"a":1,"a":2})") == "!duplicate_key");
  CHECK(value_of("m", "[]") == "!wrong_type");
  CHECK(value_of("at", "\"2024-01-09T12:34:56+01:00\"") == "\"2024-01-09T11:34:56Z\"");
  CHECK(value_of("at", "\"2024\\u002d01-09\"") == "\"2024-01-09T00:00:00Z\"");
  CHECK(value_of("at", "1704803696123") == "\"2024-01-09T12:34:56.123Z\"");
  CHECK(value_of("at", "\"soon\"") == "!bad_time");
  CHECK(value_of("at", "true") == "!wrong_type");
  CHECK(value_of("n.x", "7") == "7");
  for (const char* name : {"s", "i", "f", "b", "d", "m", "at", "n.x"}) {
    INFO(name);
    CHECK(value_of(name, "null") == "null");
  }
}

TEST_CASE("a NUL is refused in a declared string and taken elsewhere") {
  CHECK(value_of("s", "\"a\\u0000b\"") == "!bad_utf8");
  CHECK(decode_one(services(), "") == "!missing_field");  // Its time is called event_time.
  StreamOptions o = all_types();
  o.fields.resize(1);
  CHECK(decode_one(o, ",\"other\":\"\\u0000\"") == "null");
  CHECK(reason_of(std::string("{\"event_time\":1,\"service\":\"a\0\"}", 31)) == "not_json");
}

TEST_CASE("a letter of a key that is there twice keeps what its source had put in front") {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(services()), sources);
  Block lines = block(R"({"service":"own","event_time":1,"service":"own"}
{"service":"k","event_time":1,"service":"own"}
{"service":"k","event_time":1}
{"service":"k","event_time":"soon"}
"service":"k","event_time":1
{"service":"key","service":1}
{"service":1,"service":2}
)",
                      Format::ndjson);
  lines.given = {{1, 13}, {5, 15}, {6, 0}};
  EventBatch batch;
  decoder.decode(lines, batch);
  std::vector<std::string> kept;
  for (const DeadLetter& letter : batch.dead_letters) {
    kept.push_back(fmt::format("{} {} {}", letter.event_index, letter.reason,
                               letter.header == nullptr ? "-" : *letter.header));
  }
  CHECK((kept == std::vector<std::string>{
                     "0 duplicate_key -", R"(1 duplicate_key "service":"k")", "3 bad_time -",
                     "4 not_json -", R"(5 duplicate_key "service":"key")", "6 duplicate_key -"}));
}

TEST_CASE("bytes that are no UTF-8 are told as such wherever they stand") {
  const std::string good = R"({"event_time":1704803696,"service":"a"})";
  CHECK(reason_of("\xff" + good) == "bad_utf8");
  CHECK(reason_of("\xff\xfe{\0") == "bad_utf8");  // UTF-16.
  CHECK(reason_of("\x80" + good) == "bad_utf8");
  CHECK(reason_of("\xc3" + good) == "bad_utf8");
  CHECK(reason_of("\xc3") == "bad_utf8");
  CHECK(reason_of("\xf0\x9f\x98") == "bad_utf8");
  CHECK(reason_of("{\"event_time\":\xff}") == "bad_utf8");
  CHECK(reason_of("{\xe9\":1}") == "bad_utf8");
  CHECK(reason_of("{\"event_time\":1\xe9}") == "bad_utf8");
  CHECK(reason_of("{\"event_time\":1,\"service\":\"\xe9\"}") == "bad_utf8");
  // Characters in the wrong place are no JSON.
  CHECK(reason_of("\xc3\xa9" + good) == "not_json");
  CHECK(reason_of("\xe2\x80\x9cquoted\xe2\x80\x9d") == "not_json");
  CHECK(reason_of("\xf0\x9f\x98\x80") == "not_json");
  CHECK(reason_of(good + "\xff") == "not_json");  // Something follows the object.
}

TEST_CASE("nested fields by path, by dotted key, by alias") {
  StreamOptions o;
  o.name = "s";
  o.time = "t";
  o.fields = {field("metadata.traceId", "string"), field("tokens", "int")};
  o.fields[1].path = "usage.input";
  o.fields[1].aliases = {"gen_ai.usage.input_tokens", "prompt_tokens"};
  CHECK(decode_one(o, R"(,"metadata":{"traceId":"x"},"usage":{"input":1})") == "\"x\" 1");
  CHECK(decode_one(o, R"(,"metadata.traceId":"x","gen_ai.usage.input_tokens":2)") == "\"x\" 2");
  CHECK(decode_one(o, R"(,"gen_ai":{"usage":{"input_tokens":3}})") == "null 3");
  CHECK(decode_one(o, R"(,"gen_ai":{"usage.input_tokens":3},"prompt_tokens":9)") == "null 3");
  CHECK(decode_one(o, R"(,"prompt_tokens":4,"usage":{"input":null})") == "null 4");
  CHECK(decode_one(o, R"(,"prompt_tokens":4,"usage":{"input":5})") == "null 5");
  CHECK(decode_one(o, R"(,"metadata":null,"usage":7)") == "null null");
  CHECK(decode_one(o, R"(,"metadata":{"traceId":"x"},"metadata.traceId":"y")") == "!duplicate_key");
}

TEST_CASE("an object is looked into where a further path leads into it") {
  StreamOptions o;
  o.name = "s";
  o.time = "t";
  o.fields = {field("error", "string"), field("tags", "map")};
  o.fields[0].aliases = {"error.type", "error.message", "failure"};
  o.fields[1].aliases = {"tags.all"};
  CHECK(decode_one(o, R"(,"error":"timeout")") == "\"timeout\" null");
  CHECK(decode_one(o, R"(,"error":null)") == "null null");
  CHECK(decode_one(o, R"(,"error.type":"timeout")") == "\"timeout\" null");
  CHECK(decode_one(o, R"(,"error":null,"error.type":"timeout")") == "\"timeout\" null");
  CHECK(decode_one(o, R"(,"error":{"type":"overloaded","message":"m","code":529})") ==
        "\"overloaded\" null");
  CHECK(decode_one(o, R"(,"error":{"type":null,"message":"m"})") == "\"m\" null");
  CHECK(decode_one(o, R"(,"error":{"type":{},"message":"m"},"failure":"f")") == "\"m\" null");
  CHECK(decode_one(o, R"(,"failure":"f","error":{"code":1})") == "\"f\" null");
  // Where there is nothing to take, nothing is taken for the absence of one.
  CHECK(decode_one(o, R"(,"error":{})") == "!wrong_type");
  CHECK(decode_one(o, R"(,"error":{"type":null})") == "!wrong_type");
  CHECK(decode_one(o, R"(,"error":{"code":1})") == "!wrong_type");
  CHECK(decode_one(o, R"(,"error":["timeout"],"failure":"f")") == "!wrong_type");
  CHECK(decode_one(o, R"(,"tags":{"all":{"a":"b"}})") == R"(null {"all":{"a":"b"}})");

  o.fields[0].required = true;
  CHECK(decode_one(o, R"(,"error":null)") == "!missing_field");
  CHECK(decode_one(o, R"(,"error":{"message":"m"})") == "\"m\" null");

  EventBatch batch;
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(o), sources);
  decoder.decode(block(R"({"t":1704803696,"error":{"status":5}})"), batch);
  REQUIRE(batch.dead_letters.size() == 1);
  CHECK(
      batch.dead_letters[0].detail ==
      R"(error: expected string, got {"status":5}; to take what is in it, name its place by path )"
      "or aliases, with dots into the object");
}

TEST_CASE("the time field may be declared too and keeps its column") {
  StreamOptions o;
  o.name = "s";
  o.time = "t";
  o.fields = {field("t", "int")};
  CHECK(decode_text(o, R"({"t":1704803696123})") ==
        "events 1 rows 1 time_max 2024-01-09T12:34:56.123Z\n"
        "#0 2024-01-09T12:34:56.123Z 1704803696123\n");
  o.fields = {field("t", "string")};
  CHECK(decode_text(o, R"({"t":"2024-01-09 12:00:00"})") ==
        "events 1 rows 1 time_max 2024-01-09T12:00:00Z\n"
        "#0 2024-01-09T12:00:00Z \"2024-01-09 12:00:00\"\n");
  o.fields = {field("t", "timestamp"), field("also", "string")};
  o.fields[1].path = "t";
  CHECK(decode_text(o, R"({"t":"2024-01-09 12:00:00"})") ==
        "events 1 rows 1 time_max 2024-01-09T12:00:00Z\n"
        "#0 2024-01-09T12:00:00Z \"2024-01-09T12:00:00Z\" \"2024-01-09 12:00:00\"\n");
}

TEST_CASE("each reason for which an event is refused") {
  const std::string good = R"({"event_time":1704803696,"service":"a"})";
  CHECK(reason_of(good) == "taken");
  CHECK(reason_of("   " + good + " \t\r\n") == "taken");
  CHECK(reason_of(good + good) == "not_json");
  CHECK(reason_of("[" + good + "]") == "not_json");
  CHECK(reason_of("5") == "not_json");
  CHECK(reason_of(good.substr(0, good.size() - 1)) == "not_json");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"a",})") == "not_json");
  CHECK(reason_of(R"({"event_time":1704803696})") == "missing_field");
  CHECK(reason_of(R"({"event_time":1704803696,"service":null})") == "missing_field");
  CHECK(reason_of(R"({"service":"a"})") == "missing_field");
  CHECK(reason_of(R"({"event_time":true,"service":"a"})") == "wrong_type");
  CHECK(reason_of(R"({"event_time":"soon","service":"a"})") == "bad_time");
  CHECK(reason_of(R"({"event_time":"2024-02-30","service":"a"})") == "bad_time");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"a","latency_ms":"fast"})") ==
        "wrong_type");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"a","status_code":1e30})") ==
        "out_of_range");
  CHECK(reason_of("{\"event_time\":1704803696,\"service\":\"\xff\"}") == "bad_utf8");
  CHECK(reason_of("{\"event_time\":1704803696,\"service\":\"a\",\"x\":\"\xc0\xaf\"}") ==
        "bad_utf8");
  CHECK(reason_of("{\"event_time\":1704803696,\"service\":\"a\",\"\xed\xa0\x80\":1}") ==
        "bad_utf8");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"\ud800"})") == "bad_utf8");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"a","service":"a"})") == "duplicate_key");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"a","s\u0065rvice":"a"})") ==
        "duplicate_key");
  CHECK(reason_of(R"({"event_time":1704803696,"service":"a","x":[{"y":1,"y":1}]})") ==
        "duplicate_key");
  CHECK(reason_of(nested(32)) == "taken");
  CHECK(reason_of(nested(33)) == "too_deep");
  CHECK(reason_of(nested(100'000)) == "too_deep");
  CHECK(reason_of(R"({"event_time":"2027-01-15T08:10:00Z","service":"a"})") == "taken");
  CHECK(reason_of(R"({"event_time":"2027-01-15T08:10:00.000001Z","service":"a"})") == "future");
}

TEST_CASE("many keys: a duplicate among thousands is found") {
  std::string event = R"({"event_time":1704803696,"service":"a")";
  for (int i = 0; i < 5000; ++i) event += ",\"key_number_" + std::to_string(i) + "\":1";
  CHECK(reason_of(event + "}") == "taken");
  CHECK(reason_of(event + ",\"key_number_17\":1}") == "duplicate_key");
  CHECK(reason_of(event + ",\"service\":1}") == "duplicate_key");
}

TEST_CASE("a line over the limit is refused and the payload is cut") {
  StreamOptions o = services();
  o.max_event_bytes = 100'000;
  const std::string event = R"({"event_time":1704803696,"x":")" + std::string(100'000, 'a') + "\"}";
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(o), sources);
  EventBatch batch;
  decoder.decode(block(event + "\n{\"event_time\":1704803696}\n" + event), batch);
  CHECK(batch.events == 3);
  CHECK(batch.rows == 1);
  REQUIRE(batch.dead_letters.size() == 2);
  CHECK(batch.dead_letters[0].reason == "too_long");
  CHECK(batch.dead_letters[0].payload.size() == DeadLetter::kMaxPayload);
  CHECK(batch.dead_letters[1].event_index == 2);
}

TEST_CASE("a dead letter says everything about its event") {
  StreamOptions o = services();
  const std::string bad =
      "{\"event_time\":\"2024-01-09T00:00:00Z\",\"latency_ms\":\"fast\",\"x\":\"\xc3\xa9\"}";
  const std::vector<std::string> sources = {"zero", "one"};
  Decoder decoder(compile(o), sources);
  EventBatch batch;
  Block b = block("{\"event_time\":1}\n\n" + bad + "\nrubbish\xff\n", Format::ndjson);
  b.origin.source_id = 1;
  b.origin.first_line = 100;
  decoder.decode(b, batch);
  REQUIRE(batch.dead_letters.size() == 2);
  const DeadLetter& d = batch.dead_letters[0];
  CHECK(d.reason == "wrong_type");
  CHECK(d.detail == "latency_ms: expected float, got \"fast\"");
  CHECK(d.stream == "requests");
  CHECK(d.source == "one");
  CHECK(d.origin == "here");
  CHECK(d.position == 102);  // The third line of a block that starts at line 100.
  CHECK(d.event_index == 1);
  CHECK(d.received_at == kNow);
  CHECK(d.payload == bad);
  CHECK(batch.dead_letters[1].position == 103);
  CHECK(batch.dead_letters[1].payload == "rubbish\xff");
  b.origin.first_line = 0;
  decoder.decode(b, batch);
  CHECK(batch.dead_letters[0].position == 1);
  CHECK(batch.origin.messages.empty());
}

TEST_CASE("a long value is cut in the detail, between characters") {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "é";
  const std::string out =
      decode_text(services(), R"({"event_time":1,"latency_ms":")" + text + "\"}");
  const std::size_t from = out.find("got \"");
  REQUIRE(from != std::string::npos);
  const std::string detail = out.substr(from, out.find(" | requests") - from);
  CHECK(detail.ends_with("é…\""));
  CHECK(simdjson::validate_utf8(detail));
  CHECK(detail.size() < 100);
}

TEST_CASE("checks refuse under their own name and the batch closes up") {
  StreamOptions o = services();
  o.checks = {{"positive", "latency_ms >= 0"}, {"known_status", "status_code between 100 and 599"}};
  std::string body;
  for (int i = 0; i < 3000; ++i) {
    body += fmt::format(R"({{"event_time":{},"service":"s{}","latency_ms":{},"status_code":{}}})"
                        "\n",
                        1704803696 + i, i % 7, i % 100 == 0 ? -1 : i, i % 250 == 5 ? 5 : 200);
  }
  body += "not json\n";
  body += R"({"event_time":1704903696,"latency_ms":1})";
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(o), sources);
  EventBatch batch;
  decoder.decode(block(body), batch);
  CHECK(batch.events == 3002);
  CHECK(batch.rows == 3000 - 30 - 12);
  REQUIRE(batch.dead_letters.size() == 30 + 12 + 2);
  CHECK(batch.dead_letters[0].reason == "positive");
  CHECK(batch.dead_letters[0].detail == "latency_ms >= 0 is false");
  CHECK(batch.dead_letters[1].reason == "known_status");
  CHECK(batch.dead_letters[1].event_index == 5);
  CHECK(batch.dead_letters[1].payload.ends_with("\"status_code\":5}"));
  CHECK(batch.dead_letters[42].reason == "not_json");
  CHECK(batch.dead_letters[43].detail == "status_code between 100 and 599 is null");
  CHECK(batch.time_max == (1704803696 + 2999) * kSecond);
  CHECK(std::is_sorted(batch.dead_letters.begin(), batch.dead_letters.end(),
                       [](const auto& a, const auto& b) { return a.event_index < b.event_index; }));
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const auto i = batch.event_index[row];
    REQUIRE(batch.time[row] == (1704803696 + static_cast<Timestamp>(i)) * kSecond);
    REQUIRE(batch.columns[0].view().string_at(row) == fmt::format("s{}", i % 7));
    REQUIRE(batch.columns[2].floats[row] == i);
  }
}

TEST_CASE("a string column of many different values falls back to plain strings") {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(services()), sources);
  EventBatch batch;
  std::string body;
  for (int i = 0; i < 6000; ++i) {
    body += fmt::format(
        "{{\"event_time\":1,\"service\":\"service-{}\",\"endpoint\":\"e\\u00e9{}\"}}\n", i, i % 3);
  }
  for (int round = 0; round < 3; ++round) {
    decoder.decode(block(body), batch);
    REQUIRE(batch.rows == 6000);
    CHECK(batch.columns[0].dictionary == nullptr);
    CHECK(batch.columns[1].dictionary != nullptr);
    for (std::size_t row = 0; row < batch.rows; ++row) {
      REQUIRE(batch.columns[0].view().string_at(row) == fmt::format("service-{}", row));
      REQUIRE(batch.columns[1].view().string_at(row) == fmt::format("eé{}", row % 3));
    }
  }
}

TEST_CASE("JSONTestSuite: what must be refused is refused, what must be taken is taken") {
  const std::filesystem::path folder =
      std::filesystem::path(STREAMOBS_SOURCE_DIR) / "../shared/data/json";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: no " << folder.string());
    return;
  }
  const std::vector<std::string> sources = {"test"};
  StreamOptions o;
  o.name = "s";
  o.time = "time";
  Decoder decoder(compile(o), sources);
  EventBatch batch;
  int taken = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    // As one member of an array, so that line ends within it stay what they are.
    const std::string body = "[{\"time\":1,\"x\":" + text + "}]";
    decoder.decode(block(body), batch);
    const bool ok = batch.rows == 1 && batch.events == 1;
    INFO(name);
    if (name.starts_with("y_")) {
      // Valid JSON, but we promise to refuse these two things as well.
      const bool duplicate = name.find("duplicated_key") != std::string::npos;
      CHECK(ok == !duplicate);
      if (duplicate) CHECK(batch.dead_letters.at(0).reason == "duplicate_key");
      ++taken;
    } else if (name.starts_with("n_")) {
      // A comma and a closed brace can make a good event of a broken document: as it stands, then.
      const bool closes = text.find('}') != std::string::npos || text.empty();
      if (!closes) CHECK_FALSE(ok);
      ++refused;
    }
    decoder.decode(block(text), batch);  // By itself: no time, so never taken, and no crash.
    CHECK(batch.rows == 0);
    decoder.decode(block(text, Format::ndjson), batch);
    CHECK(batch.rows == 0);
  }
  CHECK(taken > 90);
  CHECK(refused > 180);
}

TEST_CASE("the plain reader takes what simdjson's DOM takes, and never more") {
  // Documents made of pieces that go wrong in every way; the oracle does not know our further
  // rules, so events refused for those are left out.
  const char* const pieces[] = {"{",
                                "}",
                                "[",
                                "]",
                                ",",
                                ":",
                                "\"a\"",
                                "\"b\"",
                                "1",
                                "-2.5",
                                "true",
                                "null",
                                " ",
                                "\"\\u00e9\"",
                                "\"\\x\"",
                                "01",
                                "\"\xc3\xa9\"",
                                "\"\xff\"",
                                "tru",
                                "\"\\ud83d\\ude00\"",
                                "\"\\ud83d\"",
                                "1."};
  simdjson::dom::parser oracle;
  std::uint64_t state = 9;
  int agreed_taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string inner;
    const auto next = [&] {
      return (state = state * 6364136223846793005ULL + 1442695040888963407ULL) >> 33;
    };
    const std::size_t count = next() % 9 + 1;
    for (std::size_t k = 0; k < count; ++k) inner += pieces[next() % std::size(pieces)];
    const std::string event = "{\"event_time\":1,\"service\":\"s\",\"x\":" + inner + "}";
    const std::string reason = reason_of(event);
    if (reason == "duplicate_key") continue;
    const simdjson::padded_string padded(event);
    const bool valid = oracle.parse(padded).error() == simdjson::SUCCESS;
    INFO(event << " " << reason);
    REQUIRE((reason == "taken") == valid);
    agreed_taken += valid ? 1 : 0;
  }
  CHECK(agreed_taken > 500);
}
