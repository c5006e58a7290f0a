// The short cut and the plain reader, held against one another: every batch must be the same.
#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

using Random = std::mt19937_64;

StreamOptions metrics() {
  StreamOptions o;
  o.name = "metrics";
  o.time = "timestamp";
  o.fields = {field("eventId", "string"),
              field("serviceId", "string", true),
              field("value", "float"),
              field("amount", "decimal(2)"),
              field("count", "int"),
              field("ok", "bool"),
              field("tags", "map"),
              field("metadata.traceId", "string"),
              field("metadata.at", "timestamp"),
              field("price", "decimal(12)"),
              field("tokens", "int"),
              field("unit", "string")};
  o.fields[10].path = "usage.tokens";
  o.fields[10].aliases = {"tokens", "usage.total"};
  o.fields[11].aliases = {"unit.name", "count.unit"};  // A text, or in an object.
  return o;
}

std::string pick(Random& random, std::initializer_list<const char*> from) {
  return *(from.begin() + random() % from.size());
}

std::string number(Random& random) {
  switch (random() % 12) {
    case 0:
      return std::to_string(static_cast<std::int64_t>(random()));
    case 1:
      return std::to_string(random() % 10);
    case 2:
      return "-" + std::to_string(random() % 1'000'000);
    case 3:
      return fmt::format("{}.{}", random() % 100, random() % 100'000);
    case 4:
      return fmt::format("{}e{}", random() % 100, static_cast<int>(random() % 20) - 10);
    case 5:
      return fmt::format("{}", static_cast<double>(random() % 1'000'000) / 7);
    case 6:
      return std::to_string(random());
    case 7:
      return pick(random, {"0", "-0", "0.0", "1.50", "00", "1.", "-", "1e400", "0.01", "99999999",
                           "12345678", "9999999", "1234567.1234567", "12345678.5", "1.12345678",
                           "123456789012345678"});
    default:
      return std::to_string(random() % 1000);
  }
}

std::string text(Random& random) {
  switch (random() % 10) {
    case 0:
      return "\"\"";
    case 1:
      return "\"" + std::string(random() % 70, 'x') + "\"";
    case 2:
      return pick(random, {"\"é\"", "\"a\\nb\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\u0000\"",
                           "\"\xff\"", "\"tab\there\"", "\"日本語の長い文字列です\"", "\"\\/\"",
                           "\"null\""});
    default:
      return "\"service-" + std::to_string(random() % 20) + "\"";
  }
}

std::string time(Random& random) {
  switch (random() % 8) {
    case 0:
      return std::to_string(1704803696123 + random() % 1'000'000);
    case 1:
      return fmt::format("{}.{}", 1704803696 + random() % 1000, random() % 1000);
    case 2:
      return pick(random, {"\"2024-01-09\"", "\"2024-01-09 10:00\"", "\"soon\"", "null",
                           "\"2024-02-30T00:00:00Z\"", "\"2024-01-09T10:00:00+01:00\"",
                           "\"2024-01-09T10:00:60Z\"", "\"2124-01-09T10:00:00Z\"",
                           "\"2024\\u002d01-09T10:00:00Z\""});
    case 3:
      return fmt::format("\"2024-01-09 12:3{}:{:02}\"", random() % 10, random() % 62);
    default:
      return fmt::format("\"2024-01-09T12:3{}:{:02}.{:03}{}\"", random() % 10, random() % 60,
                         random() % 1000, pick(random, {"Z", "Z", "Z", "+00:00", ""}));
  }
}

std::string any(Random& random) {
  switch (random() % 8) {
    case 0:
      return "null";
    case 1:
      return pick(random, {"true", "false", "{}", "[]", "{ }", "tru"});
    case 2:
      return "[" + number(random) + "," + text(random) + "]";
    case 3:
      return "{\"a\":" + number(random) + ",\"b\":" + text(random) + "}";
    case 4:
      return "{\"a\":{\"b\":{\"c\":" + number(random) + "}}}";
    case 5:
      return number(random);
    default:
      return text(random);
  }
}

/// A member in one of the ways it might be written.
std::string member(Random& random, const std::string& key) {
  const bool odd = random() % 12 == 0;
  if (key == "timestamp") return "\"timestamp\":" + (odd ? any(random) : time(random));
  std::string value;
  if (odd) {
    value = random() % 2 == 0 ? "null" : any(random);
  } else if (key == "unit" && random() % 4 == 0) {
    value = "{\"name\":" + text(random) + (random() % 2 == 0 ? ",\"n\":1}" : "}");
  } else if (key == "eventId" || key == "serviceId" || key == "unit") {
    value = text(random);
  } else if (key == "ok") {
    value = pick(random, {"true", "false"});
  } else if (key == "tags") {
    value = "{\"endpoint\":" + text(random) + ",\"region\":\"eu\"}";
  } else if (key == "metadata") {
    value = "{\"traceId\":" + text(random) + (random() % 3 == 0 ? ",\"at\":" + time(random) : "") +
            (random() % 5 == 0 ? ",\"spanId\":" + any(random) : "") + "}";
  } else if (key == "usage") {
    value = pick(random,
                 {"{\"tokens\":5}", "{\"total\":6}", "{}", "null", "{\"tokens\":7,\"total\":8}"});
  } else if (key == "other") {
    value = any(random);
  } else {
    value = number(random);
  }
  return "\"" + key + "\":" + value;
}

std::string event(Random& random) {
  std::vector<std::string> keys = {"timestamp", "eventId", "serviceId", "value", "amount"};
  for (const char* key : {"count", "ok", "tags", "metadata", "price", "usage", "tokens", "other",
                          "unit", "metadata.traceId", "serviceId"}) {
    if (random() % (std::string(key) == "metadata.traceId" ? 16 : 3) == 0) {
      keys.push_back(key);
    }
  }
  if (random() % 2 == 0) std::shuffle(keys.begin(), keys.end(), random);
  const std::string comma = random() % 8 == 0 ? ", " : ",";
  std::string out = "{";
  for (std::size_t i = 0; i < keys.size(); ++i)
    out += (i == 0 ? "" : comma) + member(random, keys[i]);
  return out + "}";
}

/// Changes, drops, doubles or adds a byte.
void damage(Random& random, std::string& body) {
  static constexpr std::string_view kBytes =
      "{}[],:\"\\ \n\r\t0123456789.-+eE\x01\x7f\xc3\xa9nulltrue";
  const std::size_t at = random() % body.size();
  const char c = kBytes[random() % kBytes.size()];
  switch (random() % 4) {
    case 0:
      body[at] = c;
      break;
    case 1:
      body.erase(at, 1 + random() % 3);
      break;
    case 2:
      body.insert(at, 1, c);
      break;
    default:
      body.insert(at, body.substr(at, random() % 20));
      break;
  }
  if (body.empty()) body = "{";
}

/// Decoders of the same plan that must always agree: with all short cuts, with those for every CPU,
/// and with none.
class Pair {
 public:
  explicit Pair(const StreamOptions& options)
      : quick_(compile(options), sources_),
        portable_(compile(options), sources_, {.wide_loops = false}),
        plain_(compile(options), sources_, {.shapes = false}) {}

  void decode(const std::string& body, Format format = Format::json) {
    const Block b = block(body, format);
    quick_.decode(b, quick_batch_);
    portable_.decode(b, portable_batch_);
    plain_.decode(b, plain_batch_);
    const std::string expected = render(plain_batch_);
    if (render(quick_batch_) == expected && render(portable_batch_) == expected) {
      rows += quick_batch_.rows;
      return;
    }
    INFO(body);
    REQUIRE(render(quick_batch_) == expected);
    REQUIRE(render(portable_batch_) == expected);
  }
  const EventBatch& batch() const { return quick_batch_; }
  std::size_t rows = 0;

 private:
  std::vector<std::string> sources_ = {"test"};
  Decoder quick_;
  Decoder portable_;
  Decoder plain_;
  EventBatch quick_batch_;
  EventBatch portable_batch_;
  EventBatch plain_batch_;
};

/// Blocks of a few shapes mixed, so that many lines are read together; a value is odd in one line
/// of `rarity`.
class Mixture {
 public:
  Mixture(std::uint64_t seed, std::size_t rarity) : random_(seed), rarity_(rarity) {}

  std::string block(std::size_t lines) {
    const std::size_t shapes = 1 + random_() % 5;
    std::string out;
    for (std::size_t i = 0; i < lines; ++i) {
      line(out, random_() % shapes);
      if (i + 1 < lines || random_() % 2 == 0) out += random_() % 200 == 0 ? "\r\n" : "\n";
    }
    return out;
  }
  Random& random() { return random_; }

 private:
  bool odd() { return random_() % rarity_ == 0; }
  std::string string(const char* stem, std::size_t distinct) {
    return odd() ? text(random_) : fmt::format("\"{}{}\"", stem, random_() % distinct);
  }
  std::string time_value() {
    return odd() ? time(random_)
                 : fmt::format("\"2024-01-09T12:{:02}:{:02}.{:03}Z\"", random_() % 12,
                               random_() % 60, random_() % 1000);
  }
  std::string whole() { return odd() ? number(random_) : std::to_string(random_() % 1'000'000); }
  std::string fraction() {
    return odd() ? number(random_) : fmt::format("{}.{}", random_() % 1000, random_() % 1000);
  }
  void line(std::string& out, std::size_t shape) {
    if (random_() % (rarity_ * 10) == 0) {
      out += random_() % 2 == 0 ? event(random_) : pick(random_, {"", " ", "{}", "[]", "nonsense"});
      return;
    }
    if (shape == 0) {
      out += fmt::format(R"({{"timestamp":{},"serviceId":{},"unit":{},"value":{},"count":{}}})",
                         time_value(), string("service-", 40), string("/api/v2/items/", 12),
                         whole(), whole());
    } else if (shape == 1) {
      out += fmt::format(R"({{"serviceId":{},"value":{},"region":"eu-west-1","timestamp":{}}})",
                         string("s", 200), fraction(), time_value());
    } else if (shape == 2) {
      out += fmt::format(
          R"({{"count":{},"amount":{}.25,"ok":{},"serviceId":{},"timestamp":{},"tags":{{"a":"b"}}}})",
          whole(), random_() % 100, pick(random_, {"true", "false"}), string("é", 9), time_value());
    } else if (shape == 3) {
      out += fmt::format(
          R"({{ "timestamp": {}, "serviceId": {}, "a_key_that_nobody_has_declared_or_will": {} }})",
          time_value(), string("x", 3), any(random_));
    } else {
      out += fmt::format(
          R"({{"eventId":{},"serviceId":null,"metadata":{{"traceId":{}}},"timestamp":{}}})",
          string("a long name that fills more than one word ", 20), string("t", 5000),
          time_value());
    }
  }

  Random random_;
  std::size_t rarity_;
};

}  // namespace

TEST_CASE("many lines read together give what each gives alone") {
  StreamOptions optional = metrics();
  optional.fields[1].required = false;
  StreamOptions short_lines = optional;
  short_lines.max_event_bytes = 120;
  StreamOptions berlin = optional;
  berlin.timezone = "Europe/Berlin";
  StreamOptions raw = optional;
  raw.keep_raw = true;
  for (const StreamOptions& options : {metrics(), optional, short_lines, berlin, raw}) {
    for (const std::size_t rarity : {20, 500, 100'000}) {
      Mixture mixture(rarity, rarity);
      Pair pair(options);
      for (int round = 0; round < 60; ++round) {
        std::string body = mixture.block(1 + mixture.random()() % 700);
        if (round % 4 == 3) damage(mixture.random(), body);
        pair.decode(body, Format::ndjson);
      }
      CHECK(pair.rows > 2000);
    }
  }
}

TEST_CASE("a column leaves its dictionary while lines are read together") {
  for (const bool by_number : {true, false}) {
    Pair pair(services());
    std::string body;
    for (int i = 0; i < 9000; ++i) {
      // Too many strings, or one too long for a dictionary, among many that are known.
      const std::string service = by_number ? "s" + std::to_string(i < 4000 ? i % 7 : i)
                                  : i == 700 || i == 3001 ? std::string(2000, 'x')
                                                          : "s" + std::to_string(i % 7);
      body += fmt::format(
          "{{\"event_time\":\"2024-01-09T12:34:{:02}.000Z\",\"service\":\"{}\",\"status_code\":{}}}"
          "\n",
          i % 60, service, i);
    }
    for (int round = 0; round < 3; ++round) pair.decode(body, Format::ndjson);
    CHECK(pair.rows == 27'000);
    CHECK(pair.batch().columns[0].dictionary == nullptr);
  }
}

TEST_CASE("strings that look like known ones up to a quote or a backslash") {
  Pair pair(services());
  const auto lines = [](const char* service) {
    std::string out;
    for (int i = 0; i < 40; ++i) {
      out += fmt::format("{{\"event_time\":{},\"service\":\"{}\",\"latency_ms\":1}}\n", i + 1,
                         service);
    }
    return out;
  };
  // Each as the event has it; what it stands for may be the next one's bytes.
  const char* const forms[] = {"a\\\\",
                               "a\\",
                               "a\\\"b",
                               "a",
                               "a\\u0062",
                               "ab",
                               "tab\\tx",
                               "tab\tx",
                               "0123456789012345678901234567890",
                               "01234567890123456789012345678901",
                               "",
                               "\xc3\xa9",
                               "\\u00e9",
                               "\xff"};
  for (int round = 0; round < 2; ++round) {
    std::string all;
    for (const char* form : forms) pair.decode(lines(form), Format::ndjson);
    for (const char* form : forms) all += lines(form);
    pair.decode(all, Format::ndjson);
  }
  CHECK(pair.rows > 0);
}

TEST_CASE("random events, whole and damaged, decode alike with shapes and without") {
  StreamOptions berlin = metrics();
  berlin.timezone = "Europe/Berlin";
  StreamOptions checked = metrics();
  checked.checks = {{"not_large", "value < 1000"}};
  checked.max_event_bytes = 250;
  StreamOptions raw = metrics();
  raw.keep_raw = true;
  StreamOptions raw_checked = checked;
  raw_checked.keep_raw = true;
  for (const StreamOptions& options : {metrics(), berlin, checked, raw, raw_checked}) {
    Random random(21);
    Pair pair(options);
    for (int round = 0; round < 1500; ++round) {
      std::string body = round % 3 == 0 ? "[" : "";
      const int count = 1 + static_cast<int>(random() % 40);
      for (int i = 0; i < count; ++i) {
        if (i != 0) body += round % 3 == 0 ? (random() % 4 == 0 ? ", " : ",") : "\n";
        body += event(random);
      }
      if (round % 3 == 0) body += "]";
      if (round % 5 < 3) {
        for (std::size_t k = random() % 4 + 1; k > 0; --k) damage(random, body);
      }
      pair.decode(body, round % 4 == 1 ? Format::ndjson : Format::json);
    }
    CHECK(pair.rows > 3000);
  }
}

TEST_CASE("every byte of known events, changed to every other byte") {
  StreamOptions o = metrics();
  Pair pair(o);
  const std::string known[] = {
      R"({"timestamp":"2024-01-09T12:34:56.789Z","serviceId":"a","value":12.5,"count":7})",
      R"({"timestamp":1704803696123,"serviceId":"é","metadata":{"traceId":"t","at":null},"ok":true})",
      R"({"timestamp":"2024-01-09 12:34:56","serviceId":"a","amount":1.25,"tags":{"a":"b"},"x":[1]})"};
  std::string all;
  for (const std::string& e : known) all += e + "\n";
  for (int i = 0; i < 4; ++i) pair.decode(all);
  for (const std::string& e : known) {
    for (std::size_t at = 0; at < e.size(); ++at) {
      std::string body;
      for (int c = 0; c < 256; ++c) {
        std::string changed = e;
        changed[at] = static_cast<char>(c);
        body += changed + "\n" + e + "\n";
      }
      pair.decode(body, Format::ndjson);
    }
    for (std::size_t size = 0; size <= e.size(); ++size) {
      pair.decode(e + "\n" + e.substr(0, size), Format::ndjson);
    }
  }
}

TEST_CASE("an object that was null, empty or a number before is still searched") {
  StreamOptions o = metrics();
  Pair pair(o);
  const auto with = [](const char* metadata) {
    return fmt::format("{{\"timestamp\":1,\"serviceId\":\"a\",\"metadata\":{},\"count\":1}}\n",
                       metadata);
  };
  const char* const forms[] = {"null",
                               "{}",
                               "5",
                               R"({"traceId":"x"})",
                               R"({"other":1})",
                               R"({"traceId":null})",
                               R"({"traceId":"y","other":{"z":1}})"};
  Random random(4);
  for (int i = 0; i < 300; ++i) {
    std::string body;
    for (int k = 0; k < 5; ++k) body += with(forms[random() % std::size(forms)]);
    pair.decode(body);
  }
  pair.decode(with(R"({"traceId":"found"})"));
  CHECK(pair.batch().columns[7].view().string_at(0) == "found");
}

TEST_CASE("more shapes than there is room for") {
  // 16 optional fields in any order and keys that never come again: the graph fills, starts anew,
  // and what it gives stays right.
  StreamOptions o;
  o.name = "wide";
  o.time = "t";
  for (int i = 0; i < 16; ++i) o.fields.push_back(field("f" + std::to_string(i), "int"));
  Pair pair(o);
  Random random(8);
  for (int round = 0; round < 150; ++round) {
    std::string body;
    for (int i = 0; i < 60; ++i) {
      std::vector<std::string> members = {"\"t\":" + std::to_string(1704803696 + i)};
      for (int f = 0; f < 16; ++f) {
        if (random() % 2 == 0) members.push_back(fmt::format("\"f{}\":{}", f, random() % 1000));
      }
      if (random() % 20 == 0) members.push_back(fmt::format("\"k{}\":1", random()));
      if (random() % 30 == 0) members.push_back("\"f3\":1");
      if (random() % 3 == 0) std::shuffle(members.begin(), members.end(), random);
      body += "{";
      for (std::size_t k = 0; k < members.size(); ++k) body += (k == 0 ? "" : ",") + members[k];
      body += "}\n";
    }
    pair.decode(body);
  }
  CHECK(pair.rows > 7000);
}

TEST_CASE("a stream of more fields than a word has bits") {
  StreamOptions o;
  o.name = "very_wide";
  o.time = "t";
  for (int i = 0; i < 70; ++i) o.fields.push_back(field("f" + std::to_string(i), "int"));
  Pair pair(o);
  std::string body = "{\"t\":1";
  for (int i = 0; i < 70; i += 2) body += fmt::format(",\"f{}\":{}", i, i);
  body += "}\n";
  for (int i = 0; i < 5; ++i) pair.decode(body + body);
  CHECK(pair.rows == 10);
}

TEST_CASE("a batch grows when there are more rows than was guessed") {
  Pair pair(services());
  pair.decode("{\"event_time\":1,\"endpoint\":\"" + std::string(5000, 'x') + "\"}\n");
  std::string body;
  for (int i = 0; i < 20'000; ++i)
    body += i % 2 == 0 ? "{\"event_time\":1}\n" : "{\"event_time\":2,\"service\":\"a\"}\n";
  pair.decode(body);
  CHECK(pair.batch().rows == 20'000);
}
