#include "wal/block_writer.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "wal/log_support.h"

using namespace streamobs;       // NOLINT: a test.
using namespace streamobs::wal;  // NOLINT

namespace {

/// A file in memory that takes blocks only, as a disk does, and notes where they went.
class BlockFile final : public File {
 public:
  struct Write {
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
  };
  std::string content;
  std::vector<Write> writes;
  std::size_t failing_from = SIZE_MAX;  ///< This write and all later ones.

  Result<> write_blocks(std::uint64_t offset, std::span<const char> bytes) override {
    if (writes.size() >= failing_from) return fail(ErrorCode::io, "planted");
    CHECK(offset % kBlockBytes == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % kBlockBytes == 0);
    writes.push_back({offset, bytes.size()});
    if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size(), '?');
    content.replace(offset, bytes.size(), bytes.data(), bytes.size());
    return {};
  }
  Result<> write_at(std::uint64_t, std::span<const std::string_view>) override {
    return fail(ErrorCode::internal, "not in blocks");
  }
  Result<std::size_t> read_at(std::uint64_t, std::span<char>) override { return std::size_t{0}; }
  Result<> sync_data() override { return {}; }
  Result<> allocate(std::uint64_t) override { return {}; }
  Result<> truncate(std::uint64_t) override { return {}; }
  Result<std::uint64_t> size() override { return content.size(); }
};

}  // namespace

TEST_CASE("block writer: a file is its head and what was appended, with zeros to the block's end") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    INFO(seed);
    wal::test::Random random(seed);
    const std::string head = wal::test::random_payload(random, 1 + random() % 100);
    BlockFile file;
    file.content = head;
    BlockWriter writer;
    writer.begin(head);
    std::string expected = head;
    for (int group = 0; group < 20; ++group) {
      std::vector<std::string> texts;
      const std::size_t count = random() % 5;
      for (std::size_t i = 0; i < count; ++i) {
        // Now and then more than the stage holds, or just what fills a block.
        const std::uint64_t kind = random() % 12;
        std::size_t bytes = random() % 3000;
        if (kind == 0) bytes = (std::size_t{1} << 20) + random() % 10'000;
        if (kind == 1) bytes = File::kBlockBytes - expected.size() % File::kBlockBytes;
        texts.push_back(wal::test::random_payload(random, bytes));
        expected += texts.back();
      }
      const std::vector<std::string_view> pieces(texts.begin(), texts.end());
      REQUIRE(writer.append(file, pieces, std::uint64_t{1} << 40).has_value());
      REQUIRE(writer.offset() == expected.size());
      REQUIRE(file.content.substr(0, expected.size()) == expected);
      REQUIRE(file.content.find_first_not_of('\0', expected.size()) == std::string::npos);
      if (!file.writes.empty()) REQUIRE(file.content.size() % File::kBlockBytes == 0);
    }
  }
}

TEST_CASE("block writer: zeros end where the file's space does") {
  BlockFile file;
  BlockWriter writer;
  writer.begin("head");
  const std::string bytes(5000, 'x');
  const std::vector<std::string_view> pieces{bytes};
  REQUIRE(writer.append(file, pieces, 5100).has_value());
  CHECK(file.content == "head" + bytes + std::string(96, '\0'));
  // The block that was not full is written again, with what it held.
  const std::vector<std::string_view> more{"and more"};
  REQUIRE(writer.append(file, more, 5100).has_value());
  CHECK(file.content == "head" + bytes + "and more" + std::string(88, '\0'));
  CHECK(file.writes.back().offset == File::kBlockBytes);
}

TEST_CASE("block writer: a failed write is told, and another file begins afresh") {
  BlockFile broken;
  broken.failing_from = 0;
  BlockWriter writer;
  writer.begin("head");
  const std::vector<std::string_view> pieces{"lost"};
  CHECK(writer.append(broken, pieces, 1 << 20).error().message == "planted");
  BlockFile file;
  writer.begin("new");
  const std::vector<std::string_view> kept{"kept"};
  REQUIRE(writer.append(file, kept, 1 << 20).has_value());
  CHECK(file.content == "newkept" + std::string(File::kBlockBytes - 7, '\0'));
}
