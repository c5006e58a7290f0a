// Every file is read by a chain of processes, each cut off between two blocks: together they must
// hand out every byte exactly once.
#include <sys/stat.h>

#include "base/log.h"
#include "source/file_set.h"
#include "source/follower.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;
using namespace streamobs::source::test;

namespace {

/// What reached the log, and the process that reads on from there.
struct Reading {
  explicit Reading(std::vector<std::string> named, BlockReaderOptions o, bool f = false)
      : patterns(std::move(named)), options(o), follows(f) {
    log::configure(log::Level::error, log::Format::text);
    options.growing = follows;
    start();
  }

  void start() {
    files.reset();
    follower.reset();
    if (follows) {
      follower = std::make_unique<Follower>(patterns, options, pool, state.places);
      return;
    }
    files = std::make_unique<FileSet>(patterns, options, pool, state.places);
    const Result<> opened = files->open();
    error = opened ? "" : opened.error().message;
  }

  /// The next block of this process; none: nothing more for now.
  std::optional<Piece> next() {
    CutBlock cut;
    while (true) {
      if (follows) {
        if (follower->next(cut) != BlockReader::Status::block) return std::nullopt;
      } else {
        const Result<BlockReader::Status> status = files->next(cut);
        if (!status) error = status.error().message;
        if (!status || *status == BlockReader::Status::end) return std::nullopt;
        if (*status == BlockReader::Status::idle) continue;
      }
      break;
    }
    state.remember(cut.resume);
    return to_piece(cut);
  }

  /// Up to `count` blocks; a follower that has nothing looks again some rounds later.
  std::string read(std::size_t count = 1'000'000, int rounds = 4) {
    std::string text;
    for (int round = 0; round < (follows ? rounds : 1); ++round) {
      while (count != 0) {
        const std::optional<Piece> piece = next();
        if (!piece) break;
        pieces.push_back(*piece);
        text += piece->text;
        --count;
      }
    }
    return text;
  }
  std::string read_anew(std::size_t count = 1'000'000) {
    start();
    return read(count);
  }

  std::vector<std::string> patterns;
  BlockReaderOptions options;
  bool follows;
  BufferPool pool;
  ResumeState state;
  std::unique_ptr<FileSet> files;
  std::unique_ptr<Follower> follower;
  std::vector<Piece> pieces;
  std::string error;
};

BlockReaderOptions small_blocks(std::size_t bytes, Format format = Format::ndjson) {
  BlockReaderOptions options;
  options.format = format;
  options.block_bytes = bytes;
  options.event_bytes_max = 4'000;
  return options;
}

std::string lines(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  return text;
}

/// Reads `count` blocks in one process and the rest in the next, for every count there is; both
/// together must be `whole`, and the blocks must be those that one process alone would have cut.
void check_every_cut(const std::vector<std::string>& patterns, const BlockReaderOptions& options,
                     bool follows, const std::string& whole) {
  Reading alone(patterns, options, follows);
  REQUIRE(alone.read() == whole);
  REQUIRE(alone.pieces.size() > 3);
  for (std::size_t count = 0; count <= alone.pieces.size(); ++count) {
    CAPTURE(count, follows);
    Reading cut(patterns, options, follows);
    const std::string before = cut.read(count);
    const std::string after = cut.read_anew();
    REQUIRE(cut.error == "");
    REQUIRE(before + after == whole);
    for (const Piece& piece : cut.pieces) REQUIRE(piece.header == alone.pieces[0].header);
    REQUIRE(cut.pieces.back().first_line == alone.pieces.back().first_line);
    REQUIRE(cut.pieces.back().offset == alone.pieces.back().offset);
    REQUIRE(cut.read_anew() == "");  // Read to the end: nothing is left for a third.
  }
}

}  // namespace

TEST_CASE("resume: cut at every block, every line comes once") {
  const TempDir dir;
  write_file(dir / "a.ndjson", lines(0, 300));
  write_file(dir / "b.ndjson", lines(300, 310));
  write_file(dir / "c.ndjson", "");
  write_file(dir / "d.ndjson", lines(310, 500));
  for (const bool follows : {false, true}) {
    check_every_cut({dir / "*.ndjson"}, small_blocks(200), follows, lines(0, 500));
  }
}

TEST_CASE("resume: the last line of a file read once need not end") {
  const TempDir dir;
  write_file(dir / "a", lines(0, 100) + "{\"n\":100}");
  write_file(dir / "b", lines(101, 130) + "{\"n\":130}");
  check_every_cut({dir / "a", dir / "b"}, small_blocks(150), false,
                  lines(0, 100) + "{\"n\":100}" + lines(101, 130) + "{\"n\":130}");
}

TEST_CASE("resume: gzip is inflated again up to the place") {
  const TempDir dir;
  write_file(dir / "a.gz", gzip(lines(0, 150)) + gzip(lines(150, 300)));
  write_file(dir / "b.ndjson", lines(300, 350));
  for (const bool follows : {false, true}) {
    check_every_cut({dir / "*"}, small_blocks(300), follows, lines(0, 350));
  }
}

TEST_CASE("resume: CSV gets its header again, also behind a byte order mark") {
  const TempDir dir;
  std::string body;
  for (int i = 0; i < 200; ++i) body += std::to_string(i) + ",\"two\nlines \"\"" + "\"\n";
  const std::string header = "id,\"a\nname\"";
  write_file(dir / "a.csv", "\xEF\xBB\xBF" + header + "\r\n" + body);
  write_file(dir / "b.csv.gz", gzip(header + "\n" + body));
  for (const bool follows : {false, true}) {
    check_every_cut({dir / "*"}, small_blocks(250, Format::csv), follows, body + body);
  }
  Reading reading({dir / "a.csv"}, small_blocks(250, Format::csv));
  reading.read(3);
  reading.read_anew();
  CHECK(reading.pieces.back().header == header);
}

TEST_CASE("resume: an oversized event is one block, whose place is behind its end") {
  const TempDir dir;
  const std::string huge(20'000, 'x');
  write_file(dir / "a", lines(0, 20) + huge + "\n" + lines(20, 40) + huge);
  const std::string kept = huge.substr(0, 4'001);
  for (std::size_t count = 0; count < 12; ++count) {
    CAPTURE(count);
    Reading reading({dir / "a"}, small_blocks(100));
    const std::string before = reading.read(count);
    CHECK(before + reading.read_anew() == lines(0, 20) + kept + lines(20, 40) + kept);
  }
  // Of a growing file it comes when its end has been written.
  write_file(dir / "b", lines(0, 1) + huge);
  Reading following({dir / "b"}, small_blocks(100), true);
  CHECK(following.read() == lines(0, 1));
  CHECK(following.read_anew() == "");
  append_file(dir / "b", "more\n" + lines(1, 2));
  CHECK(following.read() == kept + lines(1, 2));
  CHECK(following.read_anew() == "");
}

TEST_CASE("resume: a file that has grown, and one that is new, are read on") {
  const TempDir dir;
  for (const bool follows : {false, true}) {
    const std::string name = follows ? "f" : "o";
    write_file(dir / (name + "1"), lines(0, 50));
    Reading reading({dir / (name + "*")}, small_blocks(100), follows);
    CHECK(reading.read() == lines(0, 50));
    append_file(dir / (name + "1"), lines(50, 60));
    write_file(dir / (name + "2"), lines(60, 70));
    CHECK(reading.read_anew() == lines(50, 70));
    CHECK(reading.read_anew() == "");
    CHECK(reading.state.places.size() == 2);
  }
}

TEST_CASE("resume: rotated while nobody read, the old file is finished first") {
  for (const bool follows : {false, true}) {
    for (const char* pattern : {"app.log", "app.log*"}) {
      CAPTURE(follows, pattern);
      const TempDir dir;
      write_file(dir / "app.log", lines(0, 50));
      Reading reading({dir / pattern}, small_blocks(100), follows);
      std::string got = reading.read(3);
      append_file(dir / "app.log", lines(50, 60));
      std::filesystem::rename(dir / "app.log", dir / "app.log.1");
      write_file(dir / "app.log", lines(60, 80));
      got += reading.read_anew();
      if (follows || std::string(pattern) == "app.log") {
        CHECK(got.size() == lines(0, 80).size());
      }
      std::string in_order = got;
      if (std::string(pattern) == "app.log") {
        CHECK(got == lines(0, 80));
      } else {  // By name: the new one before the old.
        const std::size_t start = got.find(lines(60, 80));
        REQUIRE(start != std::string::npos);
        in_order = got.erase(start, lines(60, 80).size());
        CHECK(in_order == lines(0, 60));
      }
      CHECK(reading.read_anew() == "");
      // Twice more, with nothing unread in the old ones.
      std::filesystem::rename(dir / "app.log.1", dir / "app.log.2");
      std::filesystem::rename(dir / "app.log", dir / "app.log.1");
      write_file(dir / "app.log", lines(80, 90));
      CHECK(reading.read_anew() == lines(80, 90));
      CHECK(reading.read_anew() == "");
    }
  }
}

TEST_CASE("resume: a rotated file that was compressed is known by its first bytes") {
  for (const char* pattern : {"app.log", "app.log*"}) {
    CAPTURE(pattern);
    const TempDir dir;
    write_file(dir / "other.log.gz", gzip(lines(5'000, 5'300)));
    write_file(dir / "app.log", lines(0, 300));
    Reading reading({dir / pattern}, small_blocks(500), true);
    std::string got = reading.read(5);
    write_file(dir / "app.log.1.gz", gzip(lines(0, 310)));
    std::filesystem::remove(dir / "app.log");
    write_file(dir / "app.log", "{}\n" + lines(310, 320));
    const std::string rest = reading.read_anew();
    const std::string fresh = "{}\n" + lines(310, 320);
    got += rest;
    REQUIRE(got.find(fresh) != std::string::npos);
    got.erase(got.find(fresh), fresh.size());
    CHECK(got == lines(0, 310));
    CHECK(reading.read_anew() == "");
    // Another archive holds what has never been read.
    write_file(dir / "app.log.2.gz", gzip(lines(7'000, 7'200)));
    CHECK(reading.read_anew() == (std::string(pattern) == "app.log" ? "" : lines(7'000, 7'200)));
    CHECK(reading.read_anew() == "");
  }
}

TEST_CASE("resume: a file cut short while nobody read begins anew") {
  for (const bool follows : {false, true}) {
    const TempDir dir;
    write_file(dir / "a", lines(0, 200));
    Reading reading({dir / "a"}, small_blocks(100), follows);
    CHECK(reading.read() == lines(0, 200));
    write_file(dir / "a", lines(300, 310));  // The same inode.
    CHECK(reading.read_anew() == lines(300, 310));
    // It has even grown beyond the place: only its first bytes tell.
    write_file(dir / "a", lines(1'000, 1'400));
    CHECK(reading.read_anew() == lines(1'000, 1'400));
    CHECK(reading.read_anew() == "");
    CHECK(reading.state.places.size() == 1);
  }
}

TEST_CASE("resume: another file under an old inode is not taken for the old one") {
  const TempDir dir;
  write_file(dir / "a", lines(0, 200));
  Reading reading({dir / "a"}, small_blocks(100), true);
  CHECK(reading.read() == lines(0, 200));
  std::filesystem::remove(dir / "a");
  // As if the new file had got the inode of the old one.
  write_file(dir / "stranger", lines(2'000, 2'500));
  struct stat status{};
  REQUIRE(::stat((dir / "stranger").c_str(), &status) == 0);
  reading.state.places[0].inode = status.st_ino;
  write_file(dir / "a", lines(200, 210));
  CHECK(reading.read_anew() == lines(200, 210));
}

TEST_CASE("resume: devices may be numbered otherwise after a restart") {
  const TempDir dir;
  write_file(dir / "a", lines(0, 200));
  Reading reading({dir / "a"}, small_blocks(100));
  const std::string before = reading.read(4);
  for (ResumePoint& place : reading.state.places) place.device += 1;
  CHECK(before + reading.read_anew() == lines(0, 200));
}

TEST_CASE("resume: what was read and has gone does not stop the others") {
  const TempDir dir;
  write_file(dir / "a", lines(0, 50));
  write_file(dir / "b", lines(50, 80));
  Reading reading({dir / "a", dir / "b"}, small_blocks(100));
  const std::string before = reading.read(4);
  std::filesystem::remove(dir / "a");
  CHECK(reading.read_anew() == lines(50, 80));
  CHECK(reading.error == "");
  Reading never({dir / "a", dir / "b"}, small_blocks(100));
  CHECK(never.error.find("cannot open") != std::string::npos);
}

TEST_CASE("resume: a gzip file that ends before its place is an error in words") {
  const TempDir dir;
  std::string text = lines(0, 500);
  write_file(dir / "a.gz", gzip(text));
  Reading reading({dir / "a.gz"}, small_blocks(1'000));
  CHECK(reading.read() == text);
  write_file(dir / "a.gz", gzip(text.substr(0, 2'000)));
  CHECK(reading.read_anew() == "");
  CHECK(reading.error.find("a.gz") != std::string::npos);
  CHECK(reading.error.find("up to which it was read once") != std::string::npos);
}

TEST_CASE("resume: more files than can be remembered are refused") {
  const TempDir dir;
  std::vector<std::string> paths;
  for (std::size_t i = 0; i <= FileSet::kFilesMax; ++i) paths.push_back(dir / std::to_string(i));
  Reading reading(paths, small_blocks(100));
  CHECK(reading.error.find("spread them over several sources") != std::string::npos);
}

TEST_CASE("resume: random growth, rotation, truncation and restarts give every line once") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const TempDir dir;
    std::mt19937 random(seed);
    const std::string path = dir / "app.log";
    BlockReaderOptions options = small_blocks(30 + random() % 200);
    Reading reading({seed % 2 == 0 ? path : dir / "app.log*"}, options, true);
    int written = 0;
    std::vector<int> seen;
    std::string got;
    for (int step = 0; step < 150; ++step) {
      switch (random() % 10) {
        case 0:
        case 1: {  // Cut off somewhere, and perhaps rotated while nobody reads.
          got += reading.read(random() % 4, 1);
          reading.files.reset();
          reading.follower.reset();
          if (random() % 2 == 0 && std::filesystem::exists(path)) {
            for (int i = 3; i > 0; --i) {
              const std::string older = path + "." + std::to_string(i);
              if (std::filesystem::exists(older)) {
                std::filesystem::rename(older, path + "." + std::to_string(i + 1));
              }
            }
            std::filesystem::rename(path, path + ".1");
            write_file(path, lines(written, written + 3));
            written += 3;
          }
          reading.start();
          got += reading.read();
          break;
        }
        case 2:  // Truncated once it has been read.
          got += reading.read();
          reading.files.reset();
          reading.follower.reset();
          write_file(path, lines(written, written + 1));
          ++written;
          reading.start();
          got += reading.read(1, 1);  // Rotated before anybody looked, it could not be known.
          break;
        case 3:
        case 4:
          got += reading.read(random() % 5, 1);
          break;
        default: {
          const int more = static_cast<int>(random() % 20);
          append_file(path, lines(written, written + more));
          written += more;
        }
      }
    }
    got += reading.read_anew();
    std::size_t at = 0;
    while ((at = got.find(":", at)) != std::string::npos)
      seen.push_back(std::stoi(got.substr(++at)));
    std::sort(seen.begin(), seen.end());
    REQUIRE(static_cast<int>(seen.size()) == written);
    for (int i = 0; i < written; ++i) REQUIRE(seen[static_cast<std::size_t>(i)] == i);
    // The same numbers: no line was torn either.
    REQUIRE(got.size() == lines(0, written).size());
  }
}
