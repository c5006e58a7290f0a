// The database as of one commit, held still and copied while an engine goes on writing.
//
// Reads through a connection of its own that neither writes nor checkpoints, so also from another
// process than the engine's (docs/decisions/sqlite-journal.md). As long as it lives, the engine's
// journal cannot be folded in, and grows; nobody waits. Calls block; one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/result.h"
#include "store/log_position.h"
#include "store/sqlite.h"

namespace streamobs::store {

class Snapshot {
 public:
  /// The last commit of `database`. `not_found`: there is no such file. `corrupt`: it was found to
  /// be damaged; the next start of an engine sets it aside. `unavailable`: it is just being made.
  /// `invalid`: a newer streamobs wrote it.
  static Result<Snapshot> take(const std::string& database);

  const LogPosition& position() const { return position_; }
  /// Size of the copy.
  std::uint64_t bytes() const { return bytes_; }

  /// Told how many bytes have been copied since it was told last; an error from it ends the copy.
  using OnBytes = std::function<Result<>(std::uint64_t bytes)>;
  /// Makes a new file `path`, closed to others and in one piece (no journal beside it), and syncs
  /// it. `no_space`: the disk is full. What a failure leaves is the caller's to remove.
  Result<> copy_to(const std::string& path, const OnBytes& on_bytes) const;

 private:
  explicit Snapshot(Connection connection) : connection_(std::move(connection)) {}

  Connection connection_;  ///< In a read transaction, which is what holds the commit still.
  LogPosition position_;
  std::uint64_t bytes_ = 0;
};

/// Reads every page of a copy and tests what SQLite can test. `corrupt` says what is wrong first.
/// `go_on` is asked several times a second, on the caller's thread; an error from it stops SQLite,
/// and is the answer.
Result<> check_copy(const std::string& path, const std::function<Result<>()>& go_on);

}  // namespace streamobs::store
