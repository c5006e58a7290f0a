// Finds the batch that brings the process down each time it is replayed.
//
// A replay leaves a mark in a small file of the data directory, which goes when the replay is over.
// One that finds such a mark (the last replay did not get to its end) is a careful one: record by
// record, each noted in the file before it is touched and through the whole pipeline before the
// next one. A batch at which kTries careful replays in a row have ended is set aside by its
// history.
//
// The file is not synced: it has to outlive the process, not the machine. A replay that cannot
// write it goes on without. One thread at a time.
#pragma once

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

  struct Suspect {
    std::uint64_t position = 0;
    std::uint32_t tries = 0;  ///< Careful replays in a row that ended at it.
  };
  /// The record at which the last replay ended, if it was a careful one.
  const std::optional<Suspect>& suspect() const { return suspect_; }
  /// It has been dealt with: what may be wrong with others is looked at afresh.
  void forget_suspect() { suspect_.reset(); }

  /// A replay begins. True: it must be a careful one.
  bool begin();
  /// A careful replay comes to a record.
  void touch(std::uint64_t position);
  /// The replay is over, whatever came of it, and the process is alive.
  void end();

 private:
  void write(const Suspect& at);

  FileSystem& files_;
  const std::string path_;
  bool careful_ = false;
  std::optional<Suspect> suspect_;
  std::unique_ptr<File> file_;
};

}  // namespace streamobs::app
