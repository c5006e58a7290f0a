#include "base/file_copy.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "support/catch.h"
#include "support/recording_file_system.h"

namespace {

using namespace streamobs;  // NOLINT
using streamobs::test::RecordingFileSystem;

std::string content_of(std::size_t bytes) {
  std::string content(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<char>(i * 7 + i / 251);
  return content;
}

}  // namespace

TEST_CASE("a copy has the bytes asked for, and its sum is theirs", "[base]") {
  RecordingFileSystem files;
  REQUIRE(files.make_directory("d").has_value());
  // Around the size of a block.
  const std::size_t block = std::size_t{1} << 20;
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, block - 1, block, block + 1, 3 * block + 17}) {
    const std::string content = content_of(bytes);
    REQUIRE(files.write_file("d/from", content).has_value());
    for (const std::uint64_t wanted : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{block},
                                       std::uint64_t{2 * block + 5}, ~std::uint64_t{0}}) {
      const std::string expected = content.substr(0, wanted);
      const auto from = files.open_for_reading("d/from");
      REQUIRE(from.has_value());
      std::uint64_t told = 0;
      const OnBytes tell = [&told](std::uint64_t more) {
        told += more;
        return Result<>();
      };
      const auto sum = copy_file(files, **from, wanted, "d/to", tell);
      REQUIRE(sum.has_value());
      CHECK(*sum == FileSum{expected.size(), crc32c(expected)});
      CHECK(told == expected.size());
      CHECK(files.read_file("d/to").value() == expected);
      CHECK(sum_of_file(files, "d/to", {}).value() == *sum);
    }
  }
}

TEST_CASE("copying ends where it is told to, with the reason", "[base]") {
  RecordingFileSystem files;
  REQUIRE(files.make_directory("d").has_value());
  REQUIRE(files.write_file("d/from", content_of(3 << 20)).has_value());
  int blocks = 0;
  const OnBytes stop = [&blocks](std::uint64_t) -> Result<> {
    if (++blocks == 2) return fail(ErrorCode::unavailable, "interrupted");
    return {};
  };
  const auto from = files.open_for_reading("d/from");
  REQUIRE(from.has_value());
  const auto sum = copy_file(files, **from, ~std::uint64_t{0}, "d/to", stop);
  REQUIRE(sum.has_error());
  CHECK(sum.error().message == "interrupted");
  CHECK(blocks == 2);
  CHECK(sum_of_file(files, "d/nothing", {}).error().code == ErrorCode::not_found);
}
