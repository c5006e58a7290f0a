// Data directories to back up, and the ways there and back, for the tests of backups.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>

#include "app/backup.h"
#include "app/engine_run.h"
#include "app/restore.h"
#include "base/posix_file_system.h"
#include "base/time_format.h"
#include "support/catch.h"

namespace streamobs::testing {

using namespace streamobs::app;  // NOLINT: test code

/// In memory, where there is such a place: what makes very many backups spares the disk its syncs.
class MemoryDirectory {
 public:
  MemoryDirectory() {
    const std::filesystem::path memory = "/dev/shm";
    const bool there = std::filesystem::exists(memory);
    const auto parent = there ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "streamobs-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~MemoryDirectory() { std::filesystem::remove_all(path_); }
  MemoryDirectory(const MemoryDirectory&) = delete;
  MemoryDirectory& operator=(const MemoryDirectory&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline constexpr Timestamp kBegin = kHour * 24 * 365 * 50;

/// No ids: an event that is taken twice counts two.
inline constexpr const char* kToml = R"toml(
lanes = 2
threads = 2
[http]
listen = "127.0.0.1:0"
[stream.events]
time = "at"
idle_timeout = "1h"
fields = { name = "string", at_step = "int" }
[window.names]
from = "events"
size = "10s"
by = ["name"]
allowed_lateness = "1h"
max_keys = 1000000
[window.names.select]
events = "count(*)"
)toml";

inline void push(EngineRun& engine, const std::string& name, Timestamp at) {
  const std::string body =
      fmt::format("{{\"name\":\"{}\",\"at\":\"{}\",\"at_step\":1}}\n", name, to_rfc3339(at));
  REQUIRE(engine->push(0, body).status == source::IngestOutcome::Status::taken);
}

inline BackupOptions options_of(const std::string& data_dir, const std::string& to) {
  BackupOptions options;
  options.data_dir = data_dir;
  options.to = to;
  return options;
}

inline Result<BackupManifest> back_up_to(const std::string& data_dir, const std::string& to) {
  return back_up(posix_file_system(), SystemClock(), options_of(data_dir, to));
}

inline Result<BackupManifest> restore_to(const std::string& from, const std::string& data_dir) {
  RestoreOptions options;
  options.from = from;
  options.data_dir = data_dir;
  return restore(posix_file_system(), options);
}

/// A data directory with a checkpoint, a tail of the log behind it, and closed windows.
inline void make_data(const std::string& data_dir) {
  {
    EngineRun engine(plan_of(kToml, data_dir));
    for (int i = 0; i < 5; ++i) push(engine, fmt::format("a{}", i), kBegin + i * kHour);
    REQUIRE(engine.stop() == 0);
  }
  // The second life's end leaves one checkpoint; what was the first one's then is older.
  EngineRun engine(plan_of(kToml, data_dir));
  for (int i = 5; i < 10; ++i) push(engine, fmt::format("a{}", i), kBegin + i * kHour);
  REQUIRE(engine.stop() == 0);
}

}  // namespace streamobs::testing
