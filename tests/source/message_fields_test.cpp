#include "source/message_fields.h"

#include <random>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;

namespace {

std::string put(std::string_view text) {
  std::string out;
  put_members(text, R"("k":1)", out);
  return out;
}

/// What a message with this key and nothing else becomes.
std::string with_key(const std::string& key, bool bare, std::string_view text = "{}") {
  telemetry::Registry metrics;
  MessageField field;
  field.name = "k";
  field.bare = bare;
  MessageFields fields({field}, "s", metrics);
  rd_kafka_message_t message{};
  message.key = const_cast<char*>(key.data());
  message.key_len = key.size();
  return std::string(fields.put_into(message, text));
}

}  // namespace

TEST_CASE("message fields: every event of a value gets the members") {
  CHECK(put("{}") == R"({"k":1})");
  CHECK(put("{ }") == R"({"k":1 })");
  CHECK(put(R"({"a":{"b":2}})") == R"({"k":1,"a":{"b":2}})");
  CHECK(put("{\"a\":1}\n{\"a\":2}\n\n {}") == "{\"k\":1,\"a\":1}\n{\"k\":1,\"a\":2}\n\n {\"k\":1}");
  CHECK(put("{\n  \"a\": {\"b\": 2}\n}") == "{\"k\":1,\n  \"a\": {\"b\": 2}\n}");
  CHECK(put(R"([{"a":"]{\"}"},{"b":[{"c":1}]}, 5, {}])") ==
        R"([{"k":1,"a":"]{\"}"},{"k":1,"b":[{"c":1}]}, 5, {"k":1}])");
  CHECK(put("[]") == "[]");
  CHECK(put("\xef\xbb\xbf{}") == R"({"k":1})");
}

TEST_CASE("message fields: what is broken stays with itself") {
  CHECK(put("{broken") == R"({"k":1,broken)");
  CHECK(put("{") == R"({"k":1,)");
  CHECK(put("text") == "text");
  CHECK(put("{\"a\n{\"b\":2}") == "{\"k\":1,\"a\n{\"k\":1,\"b\":2}");
  CHECK(put("{\"a\":[\n{\"b\":2}") == "{\"k\":1,\"a\":[\n{\"k\":1,\"b\":2}");
  CHECK(put(R"([{"a":1)") == R"([{"k":1,"a":1)");
  CHECK(put(R"([{"a":"1)") == R"([{"k":1,"a":"1)");
}

TEST_CASE("message fields: what an event has itself is taken back") {
  const auto back = [](std::string_view event, std::string_view members) {
    OwnEvent own = take_back(event, members);
    for (const std::string& name : own.clashing) own.text += " " + name;
    return own.text;
  };
  CHECK(back(R"({"k":1,"k":2,"a":3})", R"("k":1)") == R"({"k":2,"a":3} k)");
  CHECK(back(R"({"k":"a,\"b","t":"x","t":{"k":5}})", R"("k":"a,\"b","t":"x")") ==
        R"({"k":"a,\"b","t":{"k":5}} t)");
  CHECK(back(R"({"k":1,"t":2,"u":3,"t":null,"k":null})", R"("k":1,"t":2,"u":3)") ==
        R"({"u":3,"t":null,"k":null} k t)");
  // A dot is part of a key or goes into an object.
  CHECK(back(R"({"a.b.c":1,"a":{"b.c":2}})", R"("a.b.c":1)") == R"({"a":{"b.c":2}} a.b.c)");
  CHECK(back(R"({"a.b":1,"a":{"c":2}})", R"("a.b":1)") == R"({"a.b":1,"a":{"c":2}})");
  CHECK(back(R"({"a\tb":1,"a\u0009b":2})", R"("a\tb":1)") == "{\"a\\u0009b\":2} a\tb");
  // Twice by itself: still so.
  CHECK(back(R"({"k":1,"a":1,"a":2})", R"("k":1)") == R"({"k":1,"a":1,"a":2})");
  CHECK(back(R"({"k":1})", R"("k":1)") == R"({"k":1})");
  for (const char* const as_it_was :
       {R"({"j":1,"k":2})", R"([{"k":1}])", "", "{", R"({"k":1,"k":)", R"({"k":1,"k":2)"}) {
    CHECK(back(as_it_was, R"("k":1)") == as_it_was);
  }
  CHECK(back(R"({"k":1,"k":2})", "") == R"({"k":1,"k":2})");
}

TEST_CASE("message fields: any bytes are taken") {
  std::mt19937 random(5);
  const std::string some = "{}[]\"\\,:1a \n";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    const std::size_t size = 1 + random() % 20;
    while (text.size() < size) text += some[random() % some.size()];
    const std::string out = put(text);
    // Nothing but members and their commas has come in.
    std::string rest;
    for (std::size_t at = 0; at < out.size();) {
      if (out.compare(at, 5, R"("k":1)") == 0) {
        at += out.compare(at + 5, 1, ",") == 0 ? 6 : 5;
      } else {
        rest += out[at++];
      }
    }
    INFO(text);
    // A comma that the text itself has behind a brace is not told from ours.
    if (text.find("{,") == std::string::npos && text.find('}') == std::string::npos) {
      CHECK(rest == text);
    }
  }
}

TEST_CASE("message fields: numbers go without quotes where the stream wants one") {
  for (const std::string number : {"0", "-7", "12.50", "1e5", "-0.1E-3", "true", "false"}) {
    CHECK(with_key(number, true) == "{\"k\":" + number + "}");
    CHECK(with_key(number, false) == "{\"k\":\"" + number + "\"}");
  }
  for (const std::string text :
       {"", "-", "007", "1.", ".5", "1e", "+1", "0x1", "1 ", "nan", "True"}) {
    CHECK(with_key(text, true) == "{\"k\":\"" + text + "\"}");
  }
}

TEST_CASE("message fields: what is no text is left out") {
  CHECK(with_key("a\nb", false) == R"({"k":"a\nb"})");
  CHECK(with_key("\xc3\xa4", false) == "{\"k\":\"\xc3\xa4\"}");
  CHECK(with_key("\xc3", false) == "{}");
  CHECK(with_key(std::string("a\0b", 3), false) == "{}");
}
