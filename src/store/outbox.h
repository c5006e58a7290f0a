// Results on their way to sinks outside: kept in the database, in the transaction that makes them
// results, until their sink has delivered them.
//
// A result's place is the log position that gave rise to it and which of the sink's results of that
// position it is. Both follow from the log alone: what is made again has its old place, and what
// was delivered up to a place is told from it. Transactions end at cuts (event/record.h), so what
// is committed is complete up to its last position, and is read in the order of places.
//
// The writing half belongs to the writing connection, within its transactions; delivered(),
// stats() and full() may be called on any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "event/record.h"
#include "store/options.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// Before everything: {0, 0}.
struct OutboxPlace {
  std::uint64_t position = 0;
  std::uint64_t ordinal = 0;  ///< From 1.
  friend auto operator<=>(const OutboxPlace&, const OutboxPlace&) = default;
};

struct OutboxRow {
  OutboxPlace place;
  std::optional<std::string> key;  ///< None: the message has no key.
  std::string value;               ///< JSON, as event/result_json writes it.
};

/// Who has delivered for a sink from this database: an engine has another number each time it runs,
/// so that the results of a copy of the database, or of what came after a backup of it, are told
/// from its own. 0: nobody.
struct SinkWriters {
  std::uint64_t now = 0;     ///< Who may have delivered since …
  std::uint64_t before = 0;  ///< … this one had, last.
};

struct OutboxStats {
  std::uint64_t rows = 0;     ///< Not delivered yet.
  std::uint64_t bytes = 0;    ///< Of keys and values.
  Timestamp oldest_at = 0;    ///< When the oldest of them was made; 0: there is none.
  std::uint64_t dropped = 0;  ///< Given up since the start, there being too many.
};

class Outbox {
 public:
  explicit Outbox(const std::vector<OutboxOptions>& sinks);

  /// Counts what is there. In a transaction of the caller's.
  Result<> prepare(const Connection& connection);
  /// Removes what nobody is to have, and says so: what is there for sinks that the config has no
  /// more, or that have other results or another topic now. Between transactions, before anything
  /// is delivered.
  Result<> settle(const Connection& connection);

  /// Adds what of a record is for sinks, within the open transaction.
  Result<> write(const Record& record, Timestamp now);
  /// Within the open transaction, last: removes what has been delivered, and keeps the bounds.
  Result<> tidy();
  /// The transaction was committed, or undone.
  void committed();
  void undone();

  /// Whether something was delivered that no transaction has removed yet.
  bool has_delivered() const;

  // Any thread.

  /// Everything up to `place` has been delivered. Takes effect with the next tidy().
  void delivered(const std::string& sink, OutboxPlace place);
  /// Everything up to `place` has been read, and is about to be delivered: it is not given up.
  void taken(const std::string& sink, OutboxPlace place);
  /// Up to where it is known to have been.
  OutboxPlace delivered_place(const std::string& sink) const;
  OutboxStats stats(const std::string& sink) const;
  /// Whether the outbox of a required sink has as much as it may have.
  bool full() const;

 private:
  struct Box {
    OutboxOptions options;
    // Of the open transaction; the writing thread's.
    std::map<std::uint64_t, std::uint64_t> ordinals;  ///< The last of each position.
    OutboxStats open;                                 ///< As stats will be once it is committed.
    OutboxPlace removing;                             ///< Up to where it removes.
    // Guarded by mutex_.
    OutboxStats stats;
    OutboxPlace delivered;
    OutboxPlace removed;
    OutboxPlace taken;
    bool overflowing = false;  ///< It has been said.
  };

  Result<> settle(const Connection& connection, Box& box);
  static Result<> drop(const Connection& connection, std::string_view which,
                       std::string_view message);
  Result<> add(Box& box, std::uint64_t position, Timestamp now, std::optional<std::string> key,
               const std::string& value);
  Result<std::optional<std::string>> letter_key(const Box& box, const DeadLetter& letter);
  Result<> add_rows(Box& box, const WindowBatch& batch, Timestamp now);
  Result<> remove(Box& box, OutboxPlace after, OutboxPlace up_to, std::uint64_t& rows);
  Result<> give_up_oldest(Box& box, OutboxPlace taken);
  Result<> find_oldest(Box& box);

  std::map<std::string, std::unique_ptr<Box>> boxes_;
  Statement insert_;
  Statement member_;
  Statement measure_;
  Statement remove_;
  Statement sizes_;
  Statement oldest_;
  mutable std::mutex mutex_;
};

/// At most `rows_max` of a sink's rows from behind `after` on (what has been delivered may still be
/// there), fewer where they have more than
/// `bytes_max` together; at least one if there is any.
Result<std::vector<OutboxRow>> read_outbox(const Connection& connection, const std::string& sink,
                                           OutboxPlace after, std::size_t rows_max,
                                           std::size_t bytes_max);

}  // namespace streamobs::store
