#include "base/framed_bytes.h"

#include <string>

#include "support/catch.h"

using namespace streamobs;  // NOLINT

TEST_CASE("a frame is read as it was written, and no other way", "[base]") {
  std::string bytes = begin_frame("SOBSTEST", 3);
  CHECK(bytes == std::string("SOBSTEST\x03\0\0\0", 12));
  bytes += "content";
  end_frame(bytes);
  const auto frame = read_frame(bytes, "SOBSTEST");
  REQUIRE(frame.has_value());
  CHECK(frame->version == 3);
  CHECK(frame->content == "content");
  CHECK_FALSE(read_frame(bytes, "SOBSTESU"));
  CHECK_FALSE(read_frame(bytes + '\0', "SOBSTEST"));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    INFO("cut to " << size);
    CHECK_FALSE(read_frame(std::string_view(bytes).substr(0, size), "SOBSTEST"));
  }
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    INFO("bit " << bit);
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    CHECK_FALSE(read_frame(changed, "SOBSTEST"));
  }
}

TEST_CASE("a frame may hold nothing", "[base]") {
  std::string bytes = begin_frame("SOBSTEST", 1);
  end_frame(bytes);
  const auto frame = read_frame(bytes, "SOBSTEST");
  REQUIRE(frame.has_value());
  CHECK(frame->content.empty());
}
