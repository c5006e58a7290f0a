#include "source/message_block.h"

#include <string>
#include <vector>

#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;

namespace {

std::string text_of(const Block& block) {
  return std::string(block.bytes->view());
}

}  // namespace

TEST_CASE("message block: messages become lines, each known by its offset") {
  BufferPool pool;
  MessageBlock gathered(pool, 1000);
  CHECK(gathered.empty());
  gathered.add("{1}", 7);
  gathered.add("{2}", 8);
  gathered.add("{3}", 12);  // 9 to 11 were compacted away.
  const Block block = gathered.take();
  CHECK(text_of(block) == "{1}\n{2}\n{3}\n");
  CHECK(block.format == Format::ndjson);
  CHECK(block.origin.offset == 7);
  CHECK((block.origin.messages == std::vector<MessageRun>{{0, 7, false}, {2, 12, false}}));
  CHECK(position_of(block.origin, 0, 0) == 7);
  CHECK(position_of(block.origin, 1, 1) == 8);
  CHECK(position_of(block.origin, 2, 2) == 12);
  CHECK(gathered.empty());
  gathered.add("{4}", 13);
  CHECK(gathered.take().origin.messages == std::vector<MessageRun>{{0, 13, false}});
}

TEST_CASE("message block: what may be several events goes alone") {
  BufferPool pool;
  MessageBlock gathered(pool, 1000);
  for (const std::string message : {"{1}\n{2}", "[{1},{2}]", "{\n\"a\":1}"}) {
    gathered.add("{0}", 4);
    CHECK_FALSE(gathered.fits(message));
    gathered.take();
    CHECK(gathered.fits(message));
    gathered.add(message, 5);
    CHECK_FALSE(gathered.fits("{3}"));
    const Block block = gathered.take();
    CHECK(block.format == Format::json);
    CHECK(text_of(block) == message + "\n");
    CHECK(position_of(block.origin, 0, 0) == 5);
    CHECK(position_of(block.origin, 1, 1) == 5);
  }
}

TEST_CASE("message block: what messages were given is known by their events") {
  BufferPool pool;
  MessageBlock gathered(pool, 1000);
  const auto given = [&] {
    std::string out;
    for (const GivenMembers& g : gathered.take().given) {
      out += std::to_string(g.first_event) + ":" + std::to_string(g.bytes) + " ";
    }
    return out;
  };
  gathered.add("{1}", 1);
  gathered.add("{2}", 2);
  CHECK(given().empty());
  gathered.add("{1}", 1);
  gathered.add("{2}", 2, 5);
  gathered.add("{3}", 3, 5);
  gathered.add("{4}", 4, 6);
  gathered.add("{5}", 5);
  CHECK(given() == "1:5 3:6 4:0 ");
  gathered.add("[{1},{2}]", 1, 7);
  CHECK(given() == "0:7 ");
  gathered.add("{1}", 1);
  CHECK(given().empty());
}

TEST_CASE("message block: what a message is without the white space") {
  BufferPool pool;
  CHECK(MessageBlock::trimmed(" \r\n{}\t") == "{}");
  CHECK(MessageBlock::trimmed("\n \n\r\n").empty());
  CHECK(MessageBlock::trimmed("\xef\xbb\xbf{}") == "{}");
  CHECK(MessageBlock::trimmed(" \xef\xbb\xbf \n").empty());
  const MessageBlock json(pool, 1000);
  for (const char* const text : {"[]", "[ ]", "[\n\t\r\n]"}) CHECK(json.is_empty_array(text));
  for (const char* const text : {"[", "]", "{}", "[{}]", "[],[]", "[[]]", "[]x"}) {
    CHECK_FALSE(json.is_empty_array(text));
  }
  CHECK_FALSE(MessageBlock(pool, 1000, Format::logfmt).is_empty_array("[]"));
}

TEST_CASE("message block: messages of lines are lines") {
  BufferPool pool;
  MessageBlock gathered(pool, 1000, Format::syslog);
  gathered.add("[a] b", 1);
  REQUIRE(gathered.fits("[c] d"));
  gathered.add("[c] d", 2);
  CHECK_FALSE(gathered.fits("e\nf"));
  const Block block = gathered.take();
  CHECK(block.format == Format::syslog);
  CHECK(text_of(block) == "[a] b\n[c] d\n");
  gathered.add("e\nf", 3);
  CHECK_FALSE(gathered.fits("g"));
  const Block lines = gathered.take();
  CHECK(lines.format == Format::syslog);
  CHECK(position_of(lines.origin, 1, 1) == 3);
}

TEST_CASE("message block: it is bounded, and a longer message still goes through") {
  BufferPool pool;
  MessageBlock gathered(pool, 10);
  const std::string longer(50, 'x');
  CHECK(gathered.fits(longer));
  gathered.add("12345", 1);
  CHECK(gathered.fits("123"));
  CHECK_FALSE(gathered.fits("1234"));
  CHECK_FALSE(gathered.fits(longer));
  gathered.take();
  gathered.add(longer, 2);
  CHECK_FALSE(gathered.fits("1"));
  CHECK(text_of(gathered.take()) == longer + "\n");
}

TEST_CASE("message block: white space round a message is no part of it") {
  CHECK(MessageBlock::trimmed(" \t{1}\r\n\n") == "{1}");
  CHECK(MessageBlock::trimmed("{ }") == "{ }");
  CHECK(MessageBlock::trimmed("\r\n ").empty());
  CHECK(MessageBlock::trimmed("").empty());
}
