// Backups and restores in which calls fail, or that are told to stop: all or nothing.
#include <filesystem>
#include <string>

#include "app/backup_support.h"
#include "app/topology.h"
#include "support/faulty_file_system.h"

using namespace streamobs;           // NOLINT
using namespace streamobs::app;      // NOLINT
using namespace streamobs::testing;  // NOLINT
using streamobs::test::FaultyFileSystem;

TEST_CASE("whatever fails, a backup is whole or not there, and so is what is restored", "[app]") {
  MemoryDirectory temp;
  make_data(temp.file("data"));
  const std::string to = temp.file("backup");
  const std::string restored = temp.file("restored");
  FaultyFileSystem files(posix_file_system());
  std::size_t failures = 0;
  using Call = FaultyFileSystem::Call;
  const Call calls[] = {Call::create,         Call::open,   Call::write, Call::read,
                        Call::sync_data,      Call::rename, Call::list,  Call::make_directory,
                        Call::sync_directory, Call::size};
  for (const Call call : calls) {
    for (std::uint64_t n = 1; n < 1'000; ++n) {
      INFO(FaultyFileSystem::name_of(call) << " " << n);
      const ErrorCode code = n % 2 == 0 ? ErrorCode::io : ErrorCode::no_space;
      files.fail_nth(call, n, code);
      const auto made = back_up(files, SystemClock(), options_of(temp.file("data"), to));
      files.fault = {};
      CHECK(!std::filesystem::exists(to + ".unfinished"));
      if (made.has_error()) {
        ++failures;
        CHECK(made.error().code == code);
        // The last sync may fail behind the rename; what is there then is whole.
        const bool there = std::filesystem::exists(to);
        CHECK((!there || check_backup(posix_file_system(), to, {}).has_value()));
        std::filesystem::remove_all(to);
        continue;
      }
      REQUIRE(check_backup(posix_file_system(), to, {}).has_value());
      std::filesystem::remove_all(to);
      break;
    }
  }
  CHECK(failures > 50);

  failures = 0;
  REQUIRE(back_up_to(temp.file("data"), to).has_value());
  for (const Call call : calls) {
    for (std::uint64_t n = 1; n < 1'000; ++n) {
      INFO(FaultyFileSystem::name_of(call) << " " << n);
      files.fail_nth(call, n, ErrorCode::io);
      RestoreOptions options;
      options.from = to;
      options.data_dir = restored;
      const auto done = restore(files, options);
      files.fault = {};
      CHECK(!std::filesystem::exists(restored + "/restoring.tmp"));
      if (done.has_error()) {
        ++failures;
        CHECK(done.error().code == ErrorCode::io);
        CHECK(!std::filesystem::exists(restored));
        continue;
      }
      std::filesystem::remove_all(restored);
      break;
    }
  }
  CHECK(failures > 30);
}

TEST_CASE("an engine does not start from a part of what a restore moves to its place", "[app]") {
  MemoryDirectory temp;
  make_data(temp.file("data"));
  REQUIRE(back_up_to(temp.file("data"), temp.file("backup")).has_value());
  // As after a power failure between two of the moves.
  for (const bool with_checkpoint : {true, false}) {
    const std::string restored = temp.file(with_checkpoint ? "r1" : "r2");
    REQUIRE(restore_to(temp.file("backup"), restored).has_value());
    std::filesystem::remove_all(restored + "/wal");
    if (!with_checkpoint) std::filesystem::remove_all(restored + "/checkpoint");
    Topology topology(plan_of(kToml, restored), TopologyOptions{});
    CHECK(topology.start().has_error());
  }
}

TEST_CASE("a backup that is told to stop leaves nothing", "[app]") {
  MemoryDirectory temp;
  make_data(temp.file("data"));
  for (int stop_at = 1; stop_at < 1'000; ++stop_at) {
    int told = 0;
    BackupOptions options = options_of(temp.file("data"), temp.file("backup"));
    options.on_progress = [&](std::string_view, std::uint64_t, std::uint64_t) -> Result<> {
      if (++told >= stop_at) return fail(ErrorCode::unavailable, "interrupted");
      return {};
    };
    const auto made = back_up(posix_file_system(), SystemClock(), options);
    CHECK(!std::filesystem::exists(temp.file("backup.unfinished")));
    if (made.has_value()) {
      CHECK(stop_at > 5);
      break;
    }
    CHECK(made.error().message == "interrupted");
    CHECK(told < stop_at + 3);
    CHECK(!std::filesystem::exists(temp.file("backup")));
  }
}
