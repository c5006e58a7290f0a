#include "base/json_text.h"

#include <random>
#include <string>

#include "base/json_writer.h"
#include "support/catch.h"

using namespace streamobs;

namespace {

std::string plain(std::string_view text) {
  std::string out(text.size() + 1, '#');
  const std::size_t size = unescape_json(text, out.data());
  REQUIRE(size <= text.size());
  CHECK(out[text.size()] == '#');  // Nothing beyond what it may take.
  out.resize(size);
  return out;
}

}  // namespace

TEST_CASE("JSON's escapes are undone") {
  CHECK(plain("") == "");
  CHECK(plain("plain héllo") == "plain héllo");
  CHECK(plain(R"(a\"b\\c\/d)") == "a\"b\\c/d");
  CHECK(plain(R"(\b\f\n\r\t)") == "\b\f\n\r\t");
  CHECK(plain(R"(\u0041\u00e9\u20AC)") == "Aé€");
  CHECK(plain(R"(\ud83d\ude00!)") == "😀!");
  CHECK(plain(R"(\u0000x)") == std::string("\0x", 2));
}

TEST_CASE("what is no JSON stays within bounds") {
  CHECK(plain("\\") == "\\");
  CHECK(plain("a\\") == "a\\");
  CHECK(plain("\\q") == "q");
  CHECK(plain("\\u") == "u");
  CHECK(plain("\\u12") == "u12");
  CHECK(plain("\\u12g4") == "u12g4");
  CHECK(plain(R"(\ud83d)") == "\uFFFD");
  CHECK(plain(R"(\ude00)") == "\uFFFD");
  CHECK(plain(R"(\ud83dx)") == "\uFFFDx");
  CHECK(plain(R"(\ud83d\u0041)") == "\uFFFDA");
  CHECK(plain(R"(\ud83d\u)") == "\uFFFDu");
}

TEST_CASE("what the writer escapes comes back") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const std::size_t size = random() % 40;
    while (text.size() < size) {
      static constexpr const char* kPieces[] = {"\"", "\\", "/", "\n", "\x01",
                                                "a",  "é",  "€", "😀", "\x7f"};
      text += kPieces[random() % std::size(kPieces)];
    }
    std::string escaped;
    append_json_escaped(escaped, text);
    CHECK(plain(escaped) == text);
  }
}

TEST_CASE("four hexadecimal digits") {
  const auto read = [](std::string_view text) {
    return read_hex4(text.data(), text.data() + text.size());
  };
  CHECK(read("00ff") == 255);
  CHECK(read("BeEf9") == 0xbeef);
  CHECK(read("123") == -1);
  CHECK(read("12x4") == -1);
  CHECK(read("@123") == -1);
}
