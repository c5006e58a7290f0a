// The store and the world: other processes at the database, a full disk, damage.
#include <chrono>
#include <csignal>
#include <sstream>
#include <sys/mount.h>
#include <thread>
#include <unistd.h>

#include "store/sqlite.h"
#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

/// A sqlite3 shell as a process of its own, spoken to line by line.
class Shell {
 public:
  explicit Shell(const std::string& database) {
    int in[2];
    int out[2];
    if (::pipe(in) != 0 || ::pipe(out) != 0) throw std::runtime_error("pipe failed");
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::dup2(out[1], 2);
      for (const int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
      ::execlp("sqlite3", "sqlite3", "-batch", database.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = ::fdopen(out[0], "r");
  }
  ~Shell() {
    ::close(to_);
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
    std::fclose(from_);
  }
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  /// Runs the statements and gives the first line they print.
  std::string ask(const std::string& sql) {
    const std::string text = sql + "\n";
    if (::write(to_, text.data(), text.size()) < 0) throw std::runtime_error("the shell is gone");
    char line[256] = {};
    if (std::fgets(line, sizeof line, from_) == nullptr) return "(ended)";
    std::string answer = line;
    if (!answer.empty() && answer.back() == '\n') answer.pop_back();
    return answer;
  }

 private:
  pid_t child_ = -1;
  int to_ = -1;
  FILE* from_ = nullptr;
};

Records some_rows(int first, int count) {
  std::vector<WindowRow> rows;
  for (int i = first; i < first + count; ++i) {
    rows.push_back(service_row(kNoon, Value::of_string(fmt::format("service-{:06}", i)), i));
    rows.back().state = std::string(200, static_cast<char>('a' + i % 26));
  }
  return {batch(services(), std::move(rows))};
}

std::size_t count(const Database& database) {
  const auto rows = database.window_rows(rows_of("service_metrics"));
  if (rows.has_error()) FAIL(rows.error().message);
  return rows->size();
}

void flip(const std::string& path, std::size_t from, std::size_t bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string part(bytes, '\0');
  file.seekg(static_cast<std::streamoff>(from));
  file.read(part.data(), static_cast<std::streamsize>(bytes));
  for (char& c : part) c = static_cast<char>(c ^ 0x5a);
  file.seekp(static_cast<std::streamoff>(from));
  file.write(part.data(), static_cast<std::streamsize>(bytes));
}

std::vector<std::string> set_aside_files(const TempDir& temp) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
    const std::string name = entry.path().filename().string();
    if (name.find("corrupt") != std::string::npos && name.find("-wal") == std::string::npos &&
        name.find("-shm") == std::string::npos) {
      names.push_back(entry.path().string());
    }
  }
  return names;
}

}  // namespace

TEST_CASE("an outside reader never holds us up and sees one state", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  write(*database, some_rows(0, 10));
  Shell reader(temp.database());
  REQUIRE(reader.ask("BEGIN; SELECT count(*) FROM service_metrics;") == "10");
  for (int i = 1; i <= 50; ++i) write(*database, some_rows(i * 100, 100));
  CHECK(database->stats().busy_retries == 0);
  CHECK(database->maintain(kNoon).has_value());
  CHECK(reader.ask("SELECT count(*) FROM service_metrics;") == "10");
  // Our own queries are not held back either, and see everything.
  CHECK(count(*database) == 5'010);
  CHECK(reader.ask("COMMIT; SELECT count(*) FROM service_metrics;") == "5010");
  // With the reader gone, the journal is folded in, and starts again from its beginning.
  CHECK(database->maintain(kNoon).has_value());
  write(*database, some_rows(90'000, 1));
  const auto journal = std::filesystem::file_size(temp.database() + "-wal");
  for (int i = 0; i < 20; ++i) write(*database, some_rows(90'000, 1));
  CHECK(std::filesystem::file_size(temp.database() + "-wal") == journal);
  CHECK(shell(temp.database(), "PRAGMA integrity_check;") == "ok");
}

TEST_CASE("a reader that comes and goes does not fold the journal or take it away", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  for (int i = 0; i < 30; ++i) {
    write(*database, some_rows(i * 100, 100));
    CHECK(shell(temp.database(), "SELECT count(*) FROM service_metrics;") ==
          std::to_string((i + 1) * 100));
    CHECK(std::filesystem::exists(temp.database() + "-wal"));
  }
  CHECK(shell(temp.database(), "PRAGMA integrity_check;") == "ok");
}

TEST_CASE("while an outside writer holds the database we say unavailable and lose nothing",
          "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  write(*database, some_rows(0, 10));
  Shell writer(temp.database());
  REQUIRE(writer.ask("BEGIN IMMEDIATE; SELECT 'held';") == "held");
  const auto started = std::chrono::steady_clock::now();
  const Result<> refused = try_write(*database, some_rows(10, 10));
  const auto waited = std::chrono::steady_clock::now() - started;
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == ErrorCode::unavailable);
  CHECK(waited >= std::chrono::milliseconds(150));  // The busy timeout of these tests is 200 ms.
  CHECK(waited < std::chrono::seconds(5));
  CHECK(database->stats().busy_retries == 1);
  CHECK(count(*database) == 10);
  CHECK(database->maintain(kNoon).has_value());  // Nothing to remove: nothing to wait for.
  const Result<> tried = database->try_to_write();
  REQUIRE(tried.has_error());
  CHECK(tried.error().code == ErrorCode::unavailable);
  REQUIRE(writer.ask("ROLLBACK; SELECT 'free';") == "free");
  const std::string before = dump(temp.database());
  CHECK(database->try_to_write().has_value());
  CHECK(dump(temp.database()) == before);
  write(*database, some_rows(10, 10));
  CHECK(database->try_to_write().has_value());
  CHECK(count(*database) == 20);
}

TEST_CASE("a database that another holds at the start is unavailable and not damaged", "[store]") {
  const TempDir temp;
  open(temp.database(), {services()});
  Shell writer(temp.database());
  REQUIRE(writer.ask("BEGIN IMMEDIATE; SELECT 'held';") == "held");
  const auto opened = Database::open(options(temp.database()), {services()});
  REQUIRE(opened.has_error());
  CHECK(opened.error().code == ErrorCode::unavailable);
  CHECK(set_aside_files(temp).empty());
}

TEST_CASE("readers inside and outside beside a writing thread leave a sound database", "[store]") {
  // As many reads as there is time for, from a process and from our own connection, while we write
  // and checkpoint: the constellation of the WAL-reset bug, but with one writer.
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  std::thread writing([&database] {
    for (int i = 0; i < 300; ++i) {
      if (try_write(*database, some_rows(i * 20, 20)).has_error()) return;
      if (i % 10 == 0 && database->maintain(kNoon).has_error()) return;
    }
  });
  Shell reader(temp.database());
  std::size_t last = 0;
  for (int i = 0; i < 60; ++i) {
    const std::string seen = reader.ask("SELECT count(*) FROM service_metrics;");
    const std::size_t now = std::stoul(seen);
    CHECK(now >= last);
    CHECK(now % 20 == 0);
    last = now;
    CHECK(count(*database) % 20 == 0);
  }
  writing.join();
  CHECK(count(*database) == 6'000);
  CHECK(shell(temp.database(), "PRAGMA integrity_check;") == "ok");
}

TEST_CASE("a killed process loses nothing that it had committed", "[store]") {
  const TempDir temp;
  for (int round = 0; round < 5; ++round) {
    int committed[2];
    REQUIRE(::pipe(committed) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto database = open(temp.database(), {services()});
      for (int i = 1;; ++i) {
        write(*database, some_rows((round * 100'000 + i) * 7, 7));
        if (::write(committed[1], &i, sizeof i) != sizeof i) ::_exit(1);
      }
    }
    ::close(committed[1]);
    int told = 0;
    for (int i = 0; i < 20 + round * 30; ++i) {
      REQUIRE(::read(committed[0], &told, sizeof told) == sizeof told);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(committed[0], &told, sizeof told) == sizeof told) {
    }
    ::close(committed[0]);
    const auto database = open(temp.database(), {services()});
    const std::string of_round = shell(
        temp.database(), fmt::format("SELECT count(*) FROM service_metrics WHERE request_count "
                                     "BETWEEN {} AND {};",
                                     round * 700'000, round * 700'000 + 699'999));
    const int stored = std::stoi(of_round);
    CHECK(stored % 7 == 0);
    // The last commit may have been made and not told any more.
    CHECK(stored >= told * 7);
    CHECK(stored <= (told + 1) * 7);
    CHECK(set_aside_files(temp).empty());
  }
  CHECK(shell(temp.database(), "PRAGMA integrity_check;") == "ok");
}

TEST_CASE("a full disk is unavailable and heals by itself", "[store]") {
  const TempDir temp;
  const std::string disk = temp.file("disk");
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") != 0) {
    WARN("mounting a small file system is not permitted here: skipped");
    return;
  }
  const std::unique_ptr<const std::string, void (*)(const std::string*)> mounted(
      &disk, [](const std::string* path) { ::umount2(path->c_str(), MNT_DETACH); });
  const auto database = open(disk + "/streamobs.db", {services()});
  int written = 0;
  Result<> result;
  while (written < 100 && result.has_value()) {
    result = try_write(*database, some_rows(written * 100, 100));
    if (result.has_value()) ++written;
  }
  REQUIRE(result.has_error());
  INFO(result.error().message);
  CHECK(result.error().code == ErrorCode::unavailable);
  CHECK(written > 3);
  for (int i = 0; i < 3; ++i) {
    const Result<> again = try_write(*database, some_rows(written * 100, 100));
    CHECK((again.has_value() || again.error().code == ErrorCode::unavailable));
  }
  // Reading goes on, nothing that was committed is lost.
  CHECK(count(*database) >= static_cast<std::size_t>(written) * 100);
  REQUIRE(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
  write(*database, some_rows(written * 100, 100));
  CHECK(count(*database) >= static_cast<std::size_t>(written + 1) * 100);
  CHECK(shell(disk + "/streamobs.db", "PRAGMA integrity_check;") == "ok");
}

TEST_CASE("a database that may not grow is unavailable and goes on when it may", "[store]") {
  // The twin of the test above for machines that cannot mount: SQLite's own limit gives the same
  // code.
  const TempDir temp;
  Result<Connection> connection =
      Connection::open(temp.database(), Connection::Mode::read_write, kSecond);
  REQUIRE(connection.has_value());
  REQUIRE(connection->execute("CREATE TABLE t (x); PRAGMA max_page_count = 4;").has_value());
  const auto put = [&connection] {
    return connection->execute("INSERT INTO t VALUES (zeroblob(50000))");
  };
  const Result<> full = put();
  REQUIRE(full.has_error());
  CHECK(full.error().code == ErrorCode::unavailable);
  REQUIRE(connection->execute("PRAGMA max_page_count = 1000;").has_value());
  CHECK(put().has_value());
}

TEST_CASE("a file that is no database, or cut, is set aside and a new one begun", "[store]") {
  const auto check = [](const std::string& what, const auto& harm) {
    INFO(what);
    const TempDir temp;
    write(*open(temp.database(), {services()}), some_rows(0, 2'000));
    harm(temp.database());
    std::ifstream in(temp.database(), std::ios::binary);
    const std::string harmed(std::istreambuf_iterator<char>(in), {});
    const auto database = open(temp.database(), {services()});
    write(*database, some_rows(0, 10));
    CHECK(count(*database) == 10);
    CHECK(shell(temp.database(), "SELECT count(*) FROM service_metrics;") == "10");
    REQUIRE(set_aside_files(temp).size() == 1);
    std::ifstream aside(set_aside_files(temp)[0], std::ios::binary);
    CHECK(std::string(std::istreambuf_iterator<char>(aside), {}) == harmed);
  };
  check("header", [](const std::string& path) { flip(path, 0, 64); });
  check("schema page", [](const std::string& path) { flip(path, 100, 3'000); });
  check("text", [](const std::string& path) {
    std::ofstream(path, std::ios::trunc) << "This is not a database, however long one looks at it. "
                                            "It is a sentence that is longer than a hundred bytes.";
  });
  check("cut", [](const std::string& path) { std::filesystem::resize_file(path, 5'000); });
}

TEST_CASE("damage found while running is noted and set aside at the next start", "[store]") {
  const TempDir temp;
  write(*open(temp.database(), {services()}), some_rows(0, 5'000));
  // Only pages of the window's table: the schema and the newest row, which are read at the start,
  // stay sound.
  const auto page = std::stoul(shell(temp.database(), "PRAGMA page_size;"));
  std::istringstream pages(shell(
      temp.database(),
      "SELECT pageno FROM (SELECT pageno, path FROM dbstat WHERE pagetype = 'leaf' AND name LIKE "
      "'%window_service_metrics' ORDER BY path DESC LIMIT -1 OFFSET 1);"));
  std::size_t flipped = 0;
  for (std::size_t number = 0; pages >> number; ++flipped) {
    flip(temp.database(), (number - 1) * page, 64);
  }
  REQUIRE(flipped > 10);
  {
    const auto database = open(temp.database(), {services()});
    CHECK(set_aside_files(temp).empty());
    Result<> written;
    for (int i = 0; i < 50 && written.has_value(); ++i)
      written = try_write(*database, some_rows(i * 100, 100));
    REQUIRE(written.has_error());
    CHECK(written.error().code == ErrorCode::corrupt);
    CHECK(written.error().message.find("set aside") != std::string::npos);
    CHECK(database->window_rows(rows_of("service_metrics")).error().code == ErrorCode::corrupt);
  }
  for (int i = 0; i < 2; ++i) {  // Once only: the start after that finds a sound database.
    const auto database = open(temp.database(), {services()});
    CHECK(set_aside_files(temp).size() == 1);
    write(*database, some_rows(0, 10));
    CHECK(count(*database) == 10);
  }
}

TEST_CASE("whichever page is flipped, wrong rows are never given out", "[store]") {
  // Every page in turn: the start sets the file aside, or the read is refused, or it is right.
  const TempDir temp;
  write(*open(temp.database(), {services()}), some_rows(0, 300));
  const std::string sound = temp.file("sound.db");
  std::filesystem::copy_file(temp.database(), sound);
  const auto page = std::stoul(shell(sound, "PRAGMA page_size;"));
  const std::size_t pages = std::filesystem::file_size(sound) / page;
  REQUIRE(pages > 10);
  for (std::size_t i = 0; i < pages; ++i) {
    const TempDir broken;
    std::filesystem::copy_file(sound, broken.database());
    flip(broken.database(), i * page + (i == 0 ? 100 : 0), 16);
    const auto database = Database::open(options(broken.database()), {services()});
    INFO("page " << i);
    REQUIRE(database.has_value());
    const bool aside = !set_aside_files(broken).empty();
    const auto rows = (*database)->window_rows(rows_of("service_metrics"));
    const bool refused = rows.has_error() && rows.error().code == ErrorCode::corrupt;
    const bool right = rows.has_value() && rows->size() == 300;
    CHECK((aside || refused || right));
  }
}

TEST_CASE("a database set aside before is never written over", "[store]") {
  const TempDir temp;
  for (int i = 0; i < 3; ++i) {
    open(temp.database(), {services()});
    flip(temp.database(), 0, 64);
    open(temp.database(), {services()});
  }
  CHECK(set_aside_files(temp).size() == 3);
}
