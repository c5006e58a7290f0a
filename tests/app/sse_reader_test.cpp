#include "app/sse_reader.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace streamobs::app;

namespace {

std::vector<std::string> read(const std::string& bytes, std::size_t piece) {
  std::vector<std::string> messages;
  SseReader reader(
      [&](const LiveMessage& m) { messages.push_back(m.id + "|" + m.event + "|" + m.data); });
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    CHECK(reader.feed(std::string_view(bytes).substr(at, piece)));
  }
  return messages;
}

}  // namespace

TEST_CASE("events are read whole, however their bytes come", "[app]") {
  const std::string bytes =
      "retry: 2000\n\n: still here\n\nid: 1\nevent: window\ndata: {\"a\":1}\n\n"
      "id:2\r\nevent:anomaly\r\ndata:{}\r\n\r\nevent: nothing\n\nid: 3\ndata: a\ndata: b\n\nid: "
      "4\nda";
  const std::vector<std::string> expected = {"1|window|{\"a\":1}", "2|anomaly|{}", "3||a\nb"};
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    REQUIRE(read(bytes, piece) == expected);
  }
}

TEST_CASE("what was cut off is not part of what comes after it", "[app]") {
  std::vector<std::string> messages;
  SseReader reader([&](const LiveMessage& m) { messages.push_back(m.id + "|" + m.data); });
  CHECK(reader.feed("id: 1\ndata: half of"));
  reader.reset();
  CHECK(reader.feed("id: 2\ndata: whole\n\n"));
  CHECK(messages == std::vector<std::string>{"2|whole"});
}

TEST_CASE("a line without end is given up", "[app]") {
  SseReader reader([](const LiveMessage&) {});
  const std::string piece(1 << 20, 'x');
  std::size_t taken = 0;
  while (taken < 2 * SseReader::kMessageBytesMax && reader.feed(piece)) taken += piece.size();
  CHECK(taken <= SseReader::kMessageBytesMax);
}
