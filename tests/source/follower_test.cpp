// Stepped by hand: no clock, no sleeping. drain() asks until a whole round brings nothing.
#include "source/follower.h"

#include "base/log.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;
using namespace streamobs::source::test;

namespace {

struct Following {
  explicit Following(std::vector<std::string> patterns, BlockReaderOptions options = growing())
      : follower(std::move(patterns), options, pool) {
    log::configure(log::Level::error, log::Format::text);
  }
  static BlockReaderOptions growing() {
    BlockReaderOptions options;
    options.growing = true;
    return options;
  }
  /// The next round's text, up to idle.
  std::string drain() {
    std::string text;
    CutBlock cut;
    while (follower.next(cut) == BlockReader::Status::block) {
      text += cut.bytes->view();
      last = to_piece(cut);
    }
    return text;
  }
  /// Several rounds, as a pause between them would allow.
  std::string drain_rounds(int rounds) {
    std::string text;
    for (int i = 0; i < rounds; ++i) text += drain();
    return text;
  }
  BufferPool pool;
  Follower follower;
  Piece last;
};

}  // namespace

TEST_CASE("a file is followed as it grows, whole lines only") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  write_file(path, "one\ntw");
  Following f({path});
  CHECK(f.drain() == "one\n");
  CHECK(f.drain() == "");
  append_file(path, "o");
  CHECK(f.drain() == "");
  append_file(path, "\nthree\n");
  CHECK(f.drain() == "two\nthree\n");
  CHECK(f.last.first_line == 2);
  CHECK(f.last.offset == 4);
  CHECK(f.follower.path() == path);
  CHECK(f.follower.bytes_read() == 14);
}

TEST_CASE("a file that is not there yet is waited for") {
  const TempDir dir;
  Following f({dir / "later.log"});
  CHECK(f.drain_rounds(3) == "");
  write_file(dir / "later.log", "here\n");
  CHECK(f.drain() == "here\n");
}

TEST_CASE("rotation: the old file is read to its end, then the new one from its start") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  write_file(path, "1\n");
  Following f({path});
  CHECK(f.drain() == "1\n");
  append_file(path, "2\n");
  std::filesystem::rename(path, path + ".1");
  append_file(path + ".1", "3\n");
  write_file(path, "5\n");
  CHECK(f.drain() == "2\n3\n");
  // Its writer had not noticed yet.
  append_file(path + ".1", "4\nlast");
  CHECK(f.drain_rounds(4) == "4\nlast5\n");
  append_file(path, "6\n");
  CHECK(f.drain() == "6\n");
  CHECK(f.last.first_line == 2);
}

TEST_CASE("rotation with a pause between rename and create loses nothing") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  write_file(path, "1\n");
  Following f({path});
  CHECK(f.drain() == "1\n");
  std::filesystem::rename(path, path + ".1");
  CHECK(f.drain_rounds(5) == "");
  append_file(path + ".1", "2\n");
  CHECK(f.drain_rounds(2) == "2\n");
  write_file(path, "3\n");
  CHECK(f.drain_rounds(4) == "3\n");
}

TEST_CASE("a file removed and made again is read anew") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  write_file(path, "1\n2");
  Following f({path});
  CHECK(f.drain() == "1\n");
  std::filesystem::remove(path);
  CHECK(f.drain_rounds(4) == "2");
  CHECK(f.follower.files_open() == 0);
  write_file(path, "3\n");
  CHECK(f.drain_rounds(2) == "3\n");
}

TEST_CASE("truncation starts the file again") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  write_file(path, "a long first line\npart");
  Following f({path});
  CHECK(f.drain() == "a long first line\n");
  write_file(path, "new\n");  // Same inode, shorter.
  CHECK(f.drain_rounds(2) == "new\n");
  CHECK(f.last.first_line == 1);
  CHECK(f.last.offset == 0);
}

TEST_CASE("patterns take up files that come later, and no file is read twice through rotation") {
  const TempDir dir;
  write_file(dir / "a.log", "a1\n");
  write_file(dir / "b.log", "b1\n");
  write_file(dir / "old.log.gz", gzip("old\n"));
  Following f({dir / "*.log*"});
  CHECK(f.drain() == "a1\nb1\nold\n");
  write_file(dir / "c.log", "c1\n");
  append_file(dir / "a.log", "a2\n");
  CHECK(f.drain() == "a2\nc1\n");
  // Logrotate's dance, with names that match as well.
  std::filesystem::rename(dir / "a.log", dir / "a.log.1");
  write_file(dir / "a.log", "a3\n");
  CHECK(f.drain_rounds(5) == "a3\n");
  std::filesystem::rename(dir / "a.log.1", dir / "a.log.2");
  std::filesystem::rename(dir / "a.log", dir / "a.log.1");
  write_file(dir / "a.log", "a4\n");
  CHECK(f.drain_rounds(6) == "a4\n");
  // An archive of what was read already.
  write_file(dir / "a.log.3.gz", gzip("a1\na2\n"));
  CHECK(f.drain_rounds(3) == "");
  append_file(dir / "a.log", "a5\n");
  CHECK(f.drain() == "a5\n");
}

TEST_CASE("a CSV file gets its header again after rotation") {
  const TempDir dir;
  const std::string path = dir / "x.csv";
  write_file(path, "a,b\n1,\"2\n3\"\n");
  BlockReaderOptions options = Following::growing();
  options.format = Format::csv;
  Following f({path}, options);
  CHECK(f.drain() == "1,\"2\n3\"\n");
  CHECK(f.last.header == "a,b");
  append_file(path, "4,\"5");
  CHECK(f.drain() == "");
  append_file(path, "\"\n");
  CHECK(f.drain() == "4,\"5\"\n");
  std::filesystem::rename(path, path + ".1");
  write_file(path, "c,d\n6,7\n");
  CHECK(f.drain_rounds(4) == "6,7\n");
  CHECK(f.last.header == "c,d");
}

TEST_CASE("a directory or a damaged file is left alone, the others go on") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "a.log");
  write_file(dir / "b.gz", "no gzip");
  write_file(dir / "c.log", "c\n");
  log::configure(log::Level::error, log::Format::text);
  Following f({dir / "a.log", dir / "b.gz", dir / "c.log"});
  CHECK(f.drain_rounds(3) == "c\n");
}

TEST_CASE("random growth and rotation give every line once and in order") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  std::mt19937 random(11);
  Following f({path});
  std::string expected;
  std::string got;
  int rotations = 0;
  for (int step = 0; step < 2'000; ++step) {
    switch (random() % 8) {
      case 0:
        if (std::filesystem::exists(path)) {
          if (!expected.empty() && expected.back() != '\n') {
            append_file(path, "\n");
            expected += '\n';
          }
          // A file that comes and goes between two looks cannot be seen.
          got += f.drain();
          std::filesystem::rename(path, path + "." + std::to_string(++rotations % 5));
          got += f.drain_rounds(random() % 2);
          write_file(path, "");
          got += f.drain_rounds(4);
        }
        break;
      case 1:
      case 2:
        got += f.drain();
        break;
      default: {
        const std::string text = std::to_string(step) + (random() % 3 == 0 ? "" : "\n");
        append_file(path, text);
        expected += text;
      }
    }
  }
  append_file(path, "\n");
  expected += '\n';
  got += f.drain_rounds(4);
  CHECK(got.size() == expected.size());
  CHECK((got == expected));
  CHECK(rotations > 50);
}
