// Finds the batch that brings the process down each time it is replayed.
//
// A replay keeps a note in a small file of the data directory of what it is at, which goes when the
// replay is over. One that finds such a note (the last replay did not get to its end) goes
// carefully through what it names: record by record, each noted before it is read, and through all
// stages but the store before the next one. A batch at which kTries careful replays in a row have
// ended is set aside by its history.
//
// The file is not synced: it has to outlive the process, not the machine. A replay that cannot
// write it goes on without. One thread at a time but for pardon().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::app {

class ReplayWatch {
 public:
  static constexpr std::uint32_t kTries = 3;

  /// Reads what the last replay left. `files` outlives the watch.
  ReplayWatch(FileSystem& files, const std::string& data_dir);

  /// The records among which the last replay ended.
  struct Doubt {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    /// Careful replays in a row that ended at this one record; 0: it was none, or is several.
    std::uint32_t tries = 0;
  };
  const std::optional<Doubt>& doubt() const { return doubt_; }
  bool must_be_careful_at(std::uint64_t position) const {
    return doubt_ && position >= doubt_->from && position <= doubt_->to;
  }
  /// It has been dealt with.
  void forget_doubt() { doubt_.reset(); }

  /// A replay begins.
  void begin();
  /// It comes to records, of which some may be under way for a while …
  void come_to(std::uint64_t from, std::uint64_t to);
  /// … or, carefully, to a single one.
  void come_to(std::uint64_t position);
  /// Any thread: that the process ends has nothing to do with a record.
  void pardon();
  /// The replay is over, whatever came of it, and the process is alive.
  void end();

 private:
  void write(const Doubt& at);

  FileSystem& files_;
  const std::string path_;
  std::optional<Doubt> doubt_;
  std::unique_ptr<File> file_;
  std::atomic<bool> pardoned_{false};
};

}  // namespace streamobs::app
