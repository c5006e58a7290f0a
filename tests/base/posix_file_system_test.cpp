#include "base/posix_file_system.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "support/catch.h"

using namespace streamobs;  // NOLINT: a test.

namespace {

/// A directory that goes with the test.
class Scratch {
 public:
  Scratch() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_ = "/tmp/streamobs-files-XXXXXX";
};

}  // namespace

TEST_CASE("file system: what is written is read, in pieces and in holes") {
  const Scratch scratch;
  FileSystem& files = posix_file_system();
  const std::string path = scratch / "file";
  auto file = files.create(path).value();
  // More pieces than one system call takes, empty ones among them.
  std::vector<std::string> texts;
  std::string expected;
  for (int i = 0; i < 1500; ++i) {
    texts.push_back(i % 7 == 0 ? "" : std::to_string(i));
    expected += texts.back();
  }
  const std::vector<std::string_view> pieces(texts.begin(), texts.end());
  REQUIRE(file->write_at(10, pieces).has_value());
  REQUIRE(file->write_at(5, "abc").has_value());
  REQUIRE(file->write_at(0, std::string_view()).has_value());
  REQUIRE(file->sync_data().has_value());
  expected = std::string(5, '\0') + "abc" + std::string(2, '\0') + expected;
  CHECK(files.read_file(path).value() == expected);
  CHECK(file->size().value() == expected.size());
  CHECK(files.file_size(path).value() == expected.size());

  std::string part(20, '?');
  CHECK(file->read_at(expected.size() - 5, part).value() == 5);
  CHECK(part.substr(0, 5) == expected.substr(expected.size() - 5));
  CHECK(file->read_at(expected.size() + 100, part).value() == 0);

  REQUIRE(file->allocate(100'000).has_value());
  CHECK(file->size().value() == 100'000);
  REQUIRE(file->allocate(50).has_value());
  CHECK(file->size().value() == 100'000);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 >= 100'000);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(files.modified_at(path).value() > 1'600'000'000 * kSecond);

  REQUIRE(file->truncate(7).has_value());
  CHECK(files.read_file(path).value() == expected.substr(0, 7));
  CHECK(files.read_file(path, 6).error().code == ErrorCode::too_large);
  // create() empties.
  file = files.create(path).value();
  CHECK(file->size().value() == 0);
}

TEST_CASE("file system: blocks written past the page cache and bytes through it fit together") {
  const Scratch scratch;
  FileSystem& files = posix_file_system();
  // The odd one cannot end past the cache: its last piece goes the ordinary way.
  for (const std::uint64_t odd : {0, 100}) {
    INFO(odd);
    const std::uint64_t bytes = (std::uint64_t{1} << 20) + 3 * File::kBlockBytes + odd;
    const std::string path = scratch / (odd == 0 ? "even" : "odd");
    auto file = files.create(path).value();
    REQUIRE(file->write_at(0, std::string(2 * File::kBlockBytes, 'x')).has_value());
    REQUIRE(file->write_zeros(File::kBlockBytes, bytes).has_value());
    CHECK(file->size().value() == File::kBlockBytes + bytes);
    REQUIRE(file->write_at(File::kBlockBytes + 10, "abc").has_value());
    REQUIRE(file->sync_data().has_value());
    std::string expected(File::kBlockBytes + bytes, '\0');
    std::fill_n(expected.begin(), File::kBlockBytes, 'x');
    expected.replace(File::kBlockBytes + 10, 3, "abc");
    CHECK(files.read_file(path).value() == expected);
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_blocks * 512 >= static_cast<std::int64_t>(bytes));  // Not holes.
  }
}

TEST_CASE("file system: blocks past the page cache, bytes through it and reading, in any order") {
  const Scratch scratch;
  FileSystem& files = posix_file_system();
  const std::string path = scratch / "file";
  auto file = files.create(path).value();
  constexpr std::size_t kBlock = File::kBlockBytes;
  alignas(kBlock) static std::array<char, 8 * kBlock> blocks;
  std::string expected(64 * kBlock, '\0');
  REQUIRE(file->write_zeros(0, expected.size()).has_value());
  std::mt19937 random(7);
  for (int i = 0; i < 400; ++i) {
    INFO(i);
    const auto letter = static_cast<char>('a' + random() % 26);
    const std::size_t block = random() % 56;
    const std::size_t bytes = 1 + random() % blocks.size();
    switch (random() % 3) {
      case 0:
        blocks.fill(letter);
        REQUIRE(file->write_blocks(block * kBlock, std::span(blocks).first(bytes)).has_value());
        expected.replace(block * kBlock, bytes, bytes, letter);
        break;
      case 1:
        REQUIRE(file->write_at(block * kBlock + 17, std::string(bytes, letter)).has_value());
        expected.replace(block * kBlock + 17, bytes, bytes, letter);
        break;
      default: {
        std::string got(bytes, '?');
        REQUIRE(file->read_at(block * kBlock + 5, got).value() == bytes);
        REQUIRE(got == expected.substr(block * kBlock + 5, bytes));
      }
    }
  }
  REQUIRE(file->sync_data().has_value());
  CHECK(files.read_file(path).value() == expected);
}

TEST_CASE("file system: names, directories, and what is missing") {
  const Scratch scratch;
  FileSystem& files = posix_file_system();
  const std::string directory = scratch / "a/b/c";
  REQUIRE(files.make_directory(directory).has_value());
  REQUIRE(files.make_directory(directory).has_value());
  REQUIRE(files.write_file(directory + "/two", "2").has_value());
  REQUIRE(files.write_file(directory + "/one", "1").has_value());
  REQUIRE(files.write_file(directory + "/one", "one").has_value());
  CHECK(files.list(directory).value() == std::vector<std::string>{"one", "two"});
  REQUIRE(files.rename(directory + "/one", directory + "/two").has_value());
  REQUIRE(files.sync_directory(directory).has_value());
  CHECK(files.read_file(directory + "/two").value() == "one");
  CHECK_FALSE(files.exists(directory + "/one").value());
  CHECK(files.exists(directory + "/two").value());
  CHECK(files.free_bytes(directory).value() > 0);

  for (const Error& error :
       {files.open_for_reading(directory + "/none").error(),
        files.open_for_writing(directory + "/none").error(),
        files.remove(directory + "/none").error(), files.list(scratch / "none").error(),
        files.rename(directory + "/none", directory + "/x").error(),
        files.sync_directory(scratch / "none").error()}) {
    CHECK(error.code == ErrorCode::not_found);
    CHECK(error.message.find("none") != std::string::npos);
  }
  CHECK(files.make_directory(directory + "/two/x").error().code == ErrorCode::io);
  CHECK(files.make_directory(directory + "/two").error().code == ErrorCode::io);
  REQUIRE(files.remove(directory + "/two").has_value());
  CHECK(files.list(directory).value().empty());
  CHECK(directory_of("a/b") == "a");
  CHECK(directory_of("a") == ".");
  CHECK(directory_of("/a") == "/");
}

TEST_CASE("file system: a full device is no_space, another failure io") {
  FileSystem& files = posix_file_system();
  auto full = files.open_for_writing("/dev/full").value();
  const auto written = full->write_at(0, "x");
  CHECK(written.error().code == ErrorCode::no_space);
  CHECK(written.error().message.find("/dev/full") != std::string::npos);
  CHECK(full->write_zeros(0, File::kBlockBytes).error().code == ErrorCode::no_space);
  CHECK(full->write_zeros(0, 100).error().code == ErrorCode::no_space);
  const Scratch scratch;
  REQUIRE(files.write_file(scratch / "file", "x").has_value());
  auto read_only = files.open_for_reading(scratch / "file").value();
  CHECK(read_only->write_at(0, "y").error().code == ErrorCode::io);
}

TEST_CASE("file system: a short write is followed by the rest, and what stops that is told") {
  // Beyond RLIMIT_FSIZE a write is cut short first and fails then (EFBIG).
  const Scratch scratch;
  FileSystem& files = posix_file_system();
  auto file = files.create(scratch / "file").value();
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto written = file->write_at(0, std::string(3000, 'x'));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(written.error().code == ErrorCode::io);
  CHECK(file->size().value() == 1000);
}
