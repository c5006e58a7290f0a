#include "store/data_dir.h"

#include <csignal>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/support.h"

namespace {

using namespace streamobs;         // NOLINT
using namespace streamobs::store;  // NOLINT
using test::TempDir;

unsigned mode_of(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

}  // namespace

TEST_CASE("a data directory is made with its parents and closed to others", "[store]") {
  const TempDir temp;
  for (const std::string name : {"a/b/data", "with_slash/"}) {
    const auto opened = DataDir::open(temp.file(name));
    REQUIRE(opened.has_value());
    CHECK(mode_of(temp.file(name)) == 0700);
    CHECK(mode_of(temp.file(name) + "/lock") == 0600);
  }
  // One that is there keeps the mode its owner gave it, as long as only the owner can write.
  ::chmod(temp.path().c_str(), 0755);
  REQUIRE(DataDir::open(temp.path()).has_value());
  CHECK(mode_of(temp.path()) == 0755);
}

TEST_CASE("a data directory that others can write in is refused with the way out", "[store]") {
  const TempDir temp;
  for (const unsigned mode : {0770U, 0702U, 0777U}) {
    ::chmod(temp.path().c_str(), mode);
    const auto opened = DataDir::open(temp.path());
    REQUIRE(opened.has_error());
    CHECK(opened.error().code == ErrorCode::invalid);
    CHECK(opened.error().message.find("chmod go-w " + temp.path()) != std::string::npos);
  }
}

TEST_CASE("a data directory that cannot be one says why", "[store]") {
  const TempDir temp;
  std::ofstream(temp.file("file")) << "x";
  for (const std::string name : {"file", "file/below"}) {
    const auto opened = DataDir::open(temp.file(name));
    REQUIRE(opened.has_error());
    CHECK(opened.error().code == ErrorCode::io);
    CHECK(opened.error().message.find("Not a directory") != std::string::npos);
  }
}

TEST_CASE("a second process is told who has the data directory", "[store]") {
  const TempDir temp;
  auto mine = DataDir::open(temp.path());
  REQUIRE(mine.has_value());
  const std::string me = fmt::format("process {}", ::getpid());
  const pid_t child = ::fork();
  if (child == 0) {
    const auto second = DataDir::open(temp.path());
    const bool right = second.has_error() && second.error().code == ErrorCode::unavailable &&
                       second.error().message.find(me) != std::string::npos;
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  // Let go of, it can be had again.
  {
    const DataDir gone = std::move(*mine);
  }
  CHECK(DataDir::open(temp.path()).has_value());
}

TEST_CASE("the lock of a killed process goes with it", "[store]") {
  const TempDir temp;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = DataDir::open(temp.path());
    const char ok = held.has_value() ? 'y' : 'n';
    if (::write(ready[1], &ok, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  CHECK(DataDir::open(temp.path()).has_error());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(DataDir::open(temp.path()).has_value());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("who looks at a data directory changes nothing and keeps engines out", "[store]") {
  const TempDir temp;
  const auto none = DataDir::look(temp.file("none"));
  REQUIRE(none.has_error());
  CHECK(none.error().code == ErrorCode::not_found);
  CHECK(!std::filesystem::exists(temp.file("none")));
  {
    const auto never_used = DataDir::look(temp.path());
    REQUIRE(never_used.has_value());
    CHECK(!never_used->is_locked());
    CHECK(std::filesystem::is_empty(temp.path()));
  }
  {
    const auto engine = DataDir::open(temp.path());
    REQUIRE(engine.has_value());
    const auto beside = DataDir::look(temp.path());
    REQUIRE(beside.has_error());
    CHECK(beside.error().code == ErrorCode::unavailable);
    CHECK(beside.error().message.find(fmt::format("process {}", ::getpid())) != std::string::npos);
  }
  // Of one that has gone, as its number would be after a restart of the machine.
  std::ofstream(temp.file("lock")) << "2147483646";
  const auto one = DataDir::look(temp.path());
  const auto another = DataDir::look(temp.path());
  REQUIRE(one.has_value());
  REQUIRE(another.has_value());
  CHECK(one->is_locked());
  const auto engine = DataDir::open(temp.path());
  REQUIRE(engine.has_error());
  CHECK(engine.error().code == ErrorCode::unavailable);
  CHECK(engine.error().message.find("2147483646") == std::string::npos);
  CHECK(engine.error().message.find("doctor") != std::string::npos);
}
