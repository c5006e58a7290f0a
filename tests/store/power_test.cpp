// Power loss: what SQLite has written and not synced may be there, or not, in pieces of a sector.
//
// A layer below SQLite remembers, for the database and its journal, what is sure to be on the disk
// and what has been written since. From that it makes legal states after a power failure, at any
// moment: within a commit, a sync, a fold of the journal. Each is opened and looked at.
#include <cstring>
#include <functional>
#include <map>
#include <random>

#include "store/sqlite.h"
#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

constexpr std::size_t kSector = 512;

struct Write {
  std::size_t offset = 0;
  std::string bytes;
};

/// One file: what a power failure leaves for sure, and what it may leave.
struct Disk {
  std::string synced;
  std::vector<Write> unsynced;
};

void put(std::string& image, std::size_t offset, std::string_view bytes) {
  if (image.size() < offset + bytes.size()) image.resize(offset + bytes.size());
  std::memcpy(image.data() + offset, bytes.data(), bytes.size());
}

/// The machine that loses its power. One at a time; everything on one thread.
struct Machine {
  std::map<std::string, Disk> disks;
  std::function<void()> before_write;  ///< A moment at which the power may fail.
  bool syncs_fail = false;

  std::string state(const Disk& disk, std::mt19937_64& random) const {
    std::string image = disk.synced;
    const std::uint64_t kept_of_8 = random() % 9;  // From none to all.
    for (const Write& write : disk.unsynced) {
      for (std::size_t at = 0; at < write.bytes.size();) {
        // Up to the end of the sector.
        const std::size_t n =
            std::min(kSector - (write.offset + at) % kSector, write.bytes.size() - at);
        if (random() % 8 < kept_of_8) {
          put(image, write.offset + at, std::string_view(write.bytes).substr(at, n));
        }
        at += n;
      }
    }
    return image;
  }
};

Machine* machine = nullptr;

/// SQLite's file with ours around it: `real` is that of the system's VFS, and follows in memory.
struct File {
  sqlite3_file base;
  sqlite3_file* real;
  std::string* path;  ///< Of what is recorded; else null.
};

File* mine(sqlite3_file* file) {
  return reinterpret_cast<File*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
  return mine(file)->real;
}
const sqlite3_io_methods& below(sqlite3_file* file) {
  return *real(file)->pMethods;
}

int close_file(sqlite3_file* file) {
  delete mine(file)->path;
  return real(file)->pMethods == nullptr ? SQLITE_OK : below(file).xClose(real(file));
}

int write_file(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  if (const std::string* path = mine(file)->path) {
    if (machine->before_write) machine->before_write();
    machine->disks[*path].unsynced.push_back(
        {static_cast<std::size_t>(offset),
         std::string(static_cast<const char*>(data), static_cast<std::size_t>(size))});
  }
  return below(file).xWrite(real(file), data, size, offset);
}

int sync_file(sqlite3_file* file, int /*flags*/) {
  if (const std::string* path = mine(file)->path) {
    if (machine->syncs_fail) return SQLITE_IOERR_FSYNC;
    if (machine->before_write) machine->before_write();
    Disk& disk = machine->disks[*path];
    for (const Write& write : disk.unsynced) put(disk.synced, write.offset, write.bytes);
    disk.unsynced.clear();
  }
  return SQLITE_OK;  // The power of this machine is on.
}

const sqlite3_io_methods kMethods = {
    2, close_file,
    [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
      return below(f).xRead(real(f), to, n, at);
    },
    write_file,
    // Not recorded: a file that is longer than it was made is what a power failure may leave too.
    [](sqlite3_file* f, sqlite3_int64 size) { return below(f).xTruncate(real(f), size); },
    sync_file,
    [](sqlite3_file* f, sqlite3_int64* size) { return below(f).xFileSize(real(f), size); },
    [](sqlite3_file* f, int lock) { return below(f).xLock(real(f), lock); },
    [](sqlite3_file* f, int lock) { return below(f).xUnlock(real(f), lock); },
    [](sqlite3_file* f, int* held) { return below(f).xCheckReservedLock(real(f), held); },
    [](sqlite3_file* f, int op, void* arg) { return below(f).xFileControl(real(f), op, arg); },
    [](sqlite3_file* f) { return below(f).xSectorSize(real(f)); },
    [](sqlite3_file* f) { return below(f).xDeviceCharacteristics(real(f)); },
    [](sqlite3_file* f, int page, int size, int extend, void volatile** at) {
      return below(f).xShmMap(real(f), page, size, extend, at);
    },
    [](sqlite3_file* f, int offset, int n, int flags) {
      return below(f).xShmLock(real(f), offset, n, flags);
    },
    [](sqlite3_file* f) { below(f).xShmBarrier(real(f)); },
    [](sqlite3_file* f, int remove) { return below(f).xShmUnmap(real(f), remove); }, nullptr,
    nullptr};

/// SQLite's default for as long as it lives.
class RecordingVfs {
 public:
  explicit RecordingVfs(Machine& of) : system_(sqlite3_vfs_find(nullptr)), vfs_(*system_) {
    machine = &of;
    vfs_.zName = "recording";
    vfs_.pAppData = system_;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + system_->szOsFile;
    vfs_.xOpen = open_file;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~RecordingVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(system_, 1);
    machine = nullptr;
  }
  RecordingVfs(const RecordingVfs&) = delete;
  RecordingVfs& operator=(const RecordingVfs&) = delete;

 private:
  static int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
                       int* given) {
    auto* system = static_cast<sqlite3_vfs*>(vfs->pAppData);
    File* made = mine(file);
    made->real = reinterpret_cast<sqlite3_file*>(made + 1);
    made->path = nullptr;
    made->base.pMethods = nullptr;
    const int code = system->xOpen(system, name, made->real, flags, given);
    if (code != SQLITE_OK) return code;
    if (name != nullptr && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0) {
      made->path = new std::string(name);
    }
    made->base.pMethods = &kMethods;
    return SQLITE_OK;
  }

  sqlite3_vfs* system_;
  sqlite3_vfs vfs_;
};

/// Rows of one position: as many as it says, so that a torn one shows.
Records records_of(std::uint64_t position) {
  std::vector<WindowRow> rows;
  for (std::uint64_t i = 0; i <= position % 9; ++i) {
    rows.push_back(service_row(kNoon + static_cast<Timestamp>(i) * kMinute,
                               Value::of_string(fmt::format("{}", position % 40)),
                               static_cast<std::int64_t>(position)));
    rows.back().revision = static_cast<std::uint32_t>(position);
    rows.back().state = std::string(600, static_cast<char>('a' + position % 26));
  }
  DeadLetter refused = letter("requests", "late", kNoon);
  refused.sequence = position;
  return {batch(services(), std::move(rows)), letters({std::move(refused)})};
}

struct Seen {
  std::string sound;
  std::int64_t position = -1;
  std::int64_t letters = -1;
  std::int64_t newest = -1;
};

/// What the system's own SQLite finds in a state after a power failure.
Seen look_at(const std::string& database, sqlite3_vfs* system) {
  Seen seen;
  sqlite3* connection = nullptr;
  if (sqlite3_open_v2(database.c_str(), &connection, SQLITE_OPEN_READWRITE, system->zName) ==
      SQLITE_OK) {
    const auto ask = [connection](const char* sql) {
      sqlite3_stmt* statement = nullptr;
      std::string answer = "(failed)";
      if (sqlite3_prepare_v2(connection, sql, -1, &statement, nullptr) == SQLITE_OK &&
          sqlite3_step(statement) == SQLITE_ROW) {
        answer = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
      }
      sqlite3_finalize(statement);
      return answer;
    };
    ask("PRAGMA synchronous = OFF");
    seen.sound = ask("PRAGMA integrity_check");
    if (seen.sound == "ok") {
      seen.position = std::stoll(ask("SELECT applied_position FROM streamobs_log"));
      seen.letters = std::stoll(ask("SELECT coalesce(sum(count), 0) FROM dead_letter_count"));
      seen.newest =
          std::stoll(ask("SELECT coalesce(max(request_count), 0) FROM window_service_metrics"));
    }
  }
  sqlite3_close(connection);
  return seen;
}

}  // namespace

TEST_CASE("whatever a power failure leaves, results and position agree, and a durable one is there",
          "[store]") {
  const char* rounds_text = std::getenv("STREAMOBS_POWER_ROUNDS");
  const int rounds = rounds_text != nullptr ? std::atoi(rounds_text) : 3;
  sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  std::size_t states = 0;
  std::size_t lost_some = 0;
  for (int round = 0; round < rounds; ++round) {
    std::mt19937_64 random(static_cast<std::uint64_t>(round) + 1);
    Machine of;
    const RecordingVfs vfs(of);
    const TempDir temp(TempDir::Where::memory);
    const TempDir after(TempDir::Where::memory);
    std::uint64_t durable = 0;
    std::uint64_t committed = 0;
    std::uint64_t begun = 0;
    const auto fail_power = [&] {
      for (const std::string suffix : {"-wal", "-shm", ""}) {
        std::filesystem::remove(after.database() + suffix);
      }
      for (const auto& [path, disk] : of.disks) {
        std::ofstream(after.database() + path.substr(temp.database().size()), std::ios::binary)
            << of.state(disk, random);
      }
      const Seen seen = look_at(after.database(), system);
      ++states;
      INFO("round " << round << ", durable " << durable << ", committed " << committed);
      REQUIRE(seen.sound == "ok");
      CHECK(seen.position >= static_cast<std::int64_t>(durable));
      CHECK(seen.position <= static_cast<std::int64_t>(begun));
      CHECK(seen.letters == seen.position);
      CHECK(seen.newest == seen.position);
      if (seen.position < static_cast<std::int64_t>(committed)) ++lost_some;
    };
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(7).has_value());
    // From here on the tables are there for sure.
    REQUIRE(database->commit(0, true).has_value());
    of.before_write = [&] {
      if (random() % 40 == 0) fail_power();
    };
    for (std::uint64_t p = 1; p <= 250; ++p) {
      begun = p;
      const bool lasting = random() % 12 == 0;
      write(*database, records_of(p), p, lasting);
      committed = p;
      if (lasting) durable = p;
      if (lasting || random() % 10 == 0) fail_power();
      if (random() % 30 == 0) REQUIRE(database->maintain(kNoon).has_value());
    }
    of.before_write = nullptr;
  }
  INFO(states << " states, in " << lost_some << " of which the last commits were lost");
  CHECK(states > 100 * static_cast<std::size_t>(rounds));
  CHECK(lost_some > states / 20);
  if (rounds_text != nullptr) fmt::print("{} states, {} lost commits\n", states, lost_some);
}

TEST_CASE("a sync that fails is never tried again as if the disk were only full", "[store]") {
  for (const bool lasting : {true, false}) {
    Machine of;
    const RecordingVfs vfs(of);
    const TempDir temp(TempDir::Where::memory);
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(7).has_value());
    write(*database, records_of(1), 1, true);
    of.syncs_fail = true;
    Result<> done;
    // The journal is folded in, and synced for it, once it has some thousands of pages.
    for (std::uint64_t p = 2; p < 2'000 && done.has_value(); ++p) {
      Records many;
      for (int i = 0; i < 50; ++i) {
        std::vector<WindowRow> rows = {
            service_row(kNoon + i * kMinute, Value::of_string(fmt::format("{}", p)), 1)};
        rows.back().state = std::string(3'000, 's');
        many.push_back(batch(services(), std::move(rows)));
      }
      done = try_write(*database, many, p, lasting);
    }
    REQUIRE(done.has_error());
    INFO(done.error().message);
    CHECK(done.error().code == ErrorCode::io);
  }
}
