#include "source/file_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;
using namespace streamobs::source::test;

namespace {

std::string message_of(const Result<>& result) {
  return result ? "" : result.error().message;
}

std::vector<Piece> read_files(const std::vector<std::string>& patterns,
                              std::string* error = nullptr, BlockReaderOptions options = {}) {
  BufferPool pool;
  FileSet files(patterns, options, pool);
  const Result<> opened = files.open();
  REQUIRE(message_of(opened) == "");
  return read_all(files, error);
}

}  // namespace

TEST_CASE("files come in the order of the patterns, matches sorted, each once") {
  const TempDir dir;
  for (const char* name : {"b.ndjson", "a.ndjson", "c.ndjson", "z.txt"}) {
    write_file(dir / name, std::string(name) + "\n");
  }
  write_file(dir / "last", "no newline");
  const std::vector<Piece> pieces =
      read_files({dir / "c.ndjson", dir / "*.ndjson", dir / "?.txt", dir / "last"});
  CHECK(joined(pieces) == "c.ndjson\na.ndjson\nb.ndjson\nz.txt\nno newline");
  // Places count within each file.
  for (const Piece& piece : pieces) CHECK(piece.first_line == 1);
}

TEST_CASE("progress is told in bytes and files") {
  const TempDir dir;
  write_file(dir / "a", "1\n2\n");
  write_file(dir / "b", "3\n");
  BufferPool pool;
  FileSet files({dir / "a", dir / "b"}, {}, pool);
  REQUIRE(message_of(files.open()) == "");
  CHECK(files.bytes_total() == 6);
  CutBlock cut;
  REQUIRE(*files.next(cut) == BlockReader::Status::block);
  CHECK(files.path() == dir / "a");
  CHECK(files.bytes_read() == 4);
  REQUIRE(*files.next(cut) == BlockReader::Status::block);
  CHECK(files.files_done() == 1);
  CHECK(*files.next(cut) == BlockReader::Status::end);
  CHECK(files.bytes_read() == 6);
  CHECK(files.files_done() == 2);
}

TEST_CASE("what cannot be read is said before anything is read") {
  const TempDir dir;
  write_file(dir / "a", "1\n");
  BufferPool pool;
  FileSet missing({dir / "a", dir / "nothing"}, {}, pool);
  const Result<> no_file = missing.open();
  REQUIRE(no_file.has_error());
  CHECK(no_file.error().code == ErrorCode::not_found);
  CHECK(no_file.error().message.find(dir / "nothing") != std::string::npos);
  FileSet folder({dir / ""}, {}, pool);
  CHECK(message_of(folder.open()).find("is a directory") != std::string::npos);
  FileSet no_match({dir / "*.csv"}, {}, pool);
  CHECK(message_of(no_match.open()) == "no file matches " + (dir / "*.csv"));
  FileSet one_match({dir / "*.csv", dir / "a*"}, {}, pool);
  REQUIRE(message_of(one_match.open()) == "");
  CHECK(joined(read_all(one_match)) == "1\n");
  FileSet none({}, {}, pool);
  CHECK(none.open().has_error());
  if (::geteuid() != 0) {
    ::chmod((dir / "a").c_str(), 0);
    FileSet forbidden({dir / "a"}, {}, pool);
    REQUIRE(message_of(forbidden.open()) == "");
    CutBlock cut;
    const auto status = forbidden.next(cut);
    REQUIRE(status.has_error());
    CHECK(status.error().message.find("Permission denied") != std::string::npos);
  }
}

TEST_CASE("gzip is inflated, several members and padding too") {
  const TempDir dir;
  std::mt19937 random(3);
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(random()) + "\n";
  write_file(dir / "one.gz", gzip(text));
  CHECK(joined(read_files({dir / "one.gz"})) == text);
  write_file(dir / "three.gz", gzip("a\nb") + gzip("") + gzip("c\nd\n"));
  CHECK(joined(read_files({dir / "three.gz"})) == "a\nbc\nd\n");
  write_file(dir / "padded.gz", gzip("a\n") + std::string(1'000, '\0'));
  CHECK(joined(read_files({dir / "padded.gz"})) == "a\n");
  write_file(dir / "nothing.gz", gzip(""));
  CHECK(read_files({dir / "nothing.gz"}).empty());
}

TEST_CASE("damaged gzip is an error with the file's name, after what was good") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919) + "\n";
  const std::string whole = gzip(text);
  std::string error;
  for (const std::size_t kept :
       {std::size_t{5}, std::size_t{12}, whole.size() / 2, whole.size() - 1}) {
    CAPTURE(kept);
    write_file(dir / "cut.gz", whole.substr(0, kept));
    BlockReaderOptions options;
    options.block_bytes = 10'000;
    const std::vector<Piece> pieces = read_files({dir / "cut.gz"}, &error, options);
    CHECK(error.find(dir / "cut.gz") == 0);
    CHECK(error.find("cut short") != std::string::npos);
    CHECK(text.starts_with(joined(pieces)));
    if (kept > 1'000) CHECK(!pieces.empty());
  }
  write_file(dir / "plain.gz", "just text, not compressed\n");
  CHECK(read_files({dir / "plain.gz"}, &error).empty());
  CHECK(error.find("not gzip") != std::string::npos);
  write_file(dir / "empty.gz", "");
  CHECK(read_files({dir / "empty.gz"}, &error).empty());
  CHECK(error.find("empty, not gzip") != std::string::npos);
  write_file(dir / "tail.gz", gzip("a\n") + "garbage");
  read_files({dir / "tail.gz"}, &error);
  CHECK(error.find("something else than gzip behind") != std::string::npos);
  std::string flipped = whole;
  flipped[whole.size() / 2] ^= 0x40;
  write_file(dir / "flipped.gz", flipped);
  read_files({dir / "flipped.gz"}, &error);
  CHECK(error.find(dir / "flipped.gz") == 0);
}

TEST_CASE("the retail days come out record by record as they are") {
  const std::string folder = std::string(STREAMOBS_SOURCE_DIR) + "/../shared/data/retail";
  if (!std::filesystem::exists(folder)) {
    WARN("no shared data here: " << folder);
    return;
  }
  BlockReaderOptions options;
  options.format = Format::csv;
  options.block_bytes = 64 << 10;
  const std::vector<Piece> pieces = read_files({folder + "/*.csv"}, nullptr, options);
  std::string all;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".csv") names.push_back(entry.path().string());
  }
  std::sort(names.begin(), names.end());
  std::string header;
  for (const std::string& name : names) {
    std::string text = read_file(name);
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    header = text.substr(0, text.find_first_of("\r\n"));
    all += text.substr(text.find('\n') + 1);
  }
  CHECK(joined(pieces) == all);
  CHECK(pieces.size() > names.size());
  for (const Piece& piece : pieces) CHECK(piece.header == header);
}
