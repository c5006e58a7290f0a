#include "base/crc32c.h"

#include <random>
#include <string>

#include "support/catch.h"

using streamobs::crc32c;
using streamobs::detail::crc32c_portable;

TEST_CASE("crc32c: the vectors of RFC 3720, B.4, and the usual check value") {
  std::string rising;
  std::string falling;
  for (int i = 0; i < 32; ++i) {
    rising += static_cast<char>(i);
    falling += static_cast<char>(31 - i);
  }
  // A SCSI Read (10) command.
  std::string command(48, '\0');
  command[0] = 0x01;
  command[1] = static_cast<char>(0xC0);
  command[16] = 0x14;
  command[22] = 0x04;
  command[27] = 0x14;
  command[31] = 0x18;
  command[32] = 0x28;
  command[40] = 0x02;
  struct Vector {
    std::string bytes;
    std::uint32_t crc;
  };
  const Vector vectors[] = {{"", 0},
                            {"123456789", 0xE3069283},
                            {std::string(32, '\0'), 0x8A9136AA},
                            {std::string(32, '\xFF'), 0x62A8AB43},
                            {rising, 0x46DD794E},
                            {falling, 0x113FDB5C},
                            {command, 0xD9963A56}};
  for (const Vector& vector : vectors) {
    CHECK(crc32c(vector.bytes) == vector.crc);
    CHECK(crc32c_portable(vector.bytes) == vector.crc);
  }
}

TEST_CASE("crc32c: both ways agree at every length, place and cut") {
  std::mt19937_64 random(1);
  std::string bytes(300, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  const std::string_view all = bytes;
  for (std::size_t begin = 0; begin < 16; ++begin) {
    for (std::size_t length = 0; length < 200; ++length) {
      const std::string_view part = all.substr(begin, length);
      const std::uint32_t whole = crc32c(part);
      REQUIRE(whole == crc32c_portable(part));
      const std::size_t cut = length == 0 ? 0 : random() % length;
      REQUIRE(whole == crc32c(part.substr(cut), crc32c(part.substr(0, cut))));
      REQUIRE(whole == crc32c_portable(part.substr(cut), crc32c_portable(part.substr(0, cut))));
    }
  }
}
