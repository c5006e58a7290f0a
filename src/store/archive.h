// What leaves a window's table goes into compressed files first: a day each, its rows as the API
// has them, one JSON object a line (NDJSON, gzip).
//
// A day is written in steps, each a gzip member of its own, into a file beside; how far it has come
// is noted in the database in the transaction of the step, so a crash neither loses nor repeats a
// row. Once a day is whole the file gets its name, and only then may its rows be removed. Belongs
// to the thread that writes the database, but for state(); lives as long as its table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "store/sqlite.h"
#include "store/window_table.h"

namespace streamobs::store {

/// An archive as people see it.
struct ArchiveState {
  std::string window;
  Resolution resolution = Resolution::raw;
  std::string directory;       ///< Of its files.
  std::uint64_t failures = 0;  ///< Tries to write that failed.
  std::string error;           ///< What keeps it from writing; empty: nothing.
  Timestamp since = 0;         ///< Since when that is so; 0: nothing is.
};

/// Where a database's archives lie: a relative `archive` is beside the database.
std::string archive_directory(const std::string& database, const std::string& archive);

class Archive {
 public:
  /// Files go to DIRECTORY/WINDOW/RESOLUTION/2026-01-05.ndjson.gz. The table outlives it.
  Archive(FileSystem& files, const std::string& directory, const WindowTable& table,
          Resolution resolution);

  /// Reads how far it has come: at the start, and after a transaction was undone.
  Result<> load(const Connection& connection);
  /// Writes at most `rows_max` further rows of windows that start in [from, until), both midnights
  /// (UTC), within the caller's transaction, in which the caller notes how far done_until() has
  /// the next call's `from`. Gives how many rows that were, 1 where a day has ended; 0: all are in
  /// files, or the files cannot be written: state() says why, and it is tried again.
  Result<std::size_t> advance(const Connection& connection, Timestamp from, Timestamp until,
                              std::size_t rows_max);
  /// What starts before this is in files, as far as advance() was asked for it.
  Timestamp done_until() const { return done_until_; }
  /// Any thread.
  ArchiveState state() const;

 private:
  /// The day under way, and the last of its rows that has been written.
  struct Place {
    Timestamp day = 0;
    Timestamp start = 0;
    std::string key;
    std::uint64_t bytes = 0;  ///< Of the file up to there.
  };
  Result<std::optional<Timestamp>> next_day(const Connection& connection, Timestamp from,
                                            Timestamp until) const;
  Result<std::vector<WindowRow>> next_rows(const Connection& connection,
                                           std::size_t rows_max) const;
  Result<bool> is_sound(bool complete) const;
  Result<> append(const std::string& packed) const;
  Result<> finish_day() const;
  Result<std::size_t> failed(const Error& error);
  void succeeded();
  Result<> save(const Connection& connection) const;
  Result<> forget(const Connection& connection) const;
  std::string file_of(Timestamp day) const;
  std::string part_of(Timestamp day) const { return file_of(day) + ".part"; }

  FileSystem& files_;
  const std::string directory_;
  const WindowTable& table_;
  std::optional<Place> at_;
  Timestamp done_until_ = kMinTimestamp;
  mutable std::mutex mutex_;  ///< Of the state.
  ArchiveState state_;
};

}  // namespace streamobs::store
