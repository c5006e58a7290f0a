// The look-up tables as they are at one position of the log, and the versions of their files.
//
// `Lookups` is part of the sequencing: which version a batch sees is decided where it gets its
// place. Its strand only, but for state(). `LookupFiles` looks at the files themselves, on the
// blocking pool, one call at a time. Both live as long as the topology.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "app/plan.h"
#include "base/clock.h"
#include "base/result.h"
#include "event/event_batch.h"
#include "event/lookup_table.h"
#include "telemetry/registry.h"
#include "wal/record.h"

namespace streamobs::app {

/// What a file said when it was read, and the table that makes.
struct LookupVersion {
  std::size_t index = 0;  ///< Of the table in the plan.
  std::string text;
  std::shared_ptr<const LookupTable> table;
};

class Lookups {
 public:
  Lookups(const Plan& plan, telemetry::Registry& metrics);

  /// What a batch is given that gets its place now; null where the config has no tables.
  const std::shared_ptr<const LookupTables>& now() const { return now_; }
  bool has(std::size_t index) const { return !texts_[index].text.empty(); }
  /// Whether it is another version than the one that is in force.
  bool differs(const LookupVersion& version) const {
    return texts_[version.index].text != version.text;
  }
  /// From here on the table is that version.
  void take(LookupVersion version, Timestamp at);
  /// The same for what the log says. A table that the config has no more is passed over; a text
  /// that does not fit the config's columns leaves the table empty until its file has been read.
  void take(const wal::LookupLoaded& record);

  void snapshot(std::string& out) const;
  Result<> restore(std::string_view bytes);

  /// What people see of a table; any thread.
  struct State {
    std::size_t rows = 0;
    std::uint64_t digest = 0;  ///< XXH3 of the text; 0: no version yet.
    Timestamp since = 0;       ///< When that version was read.
  };
  State state(std::size_t index) const;

 private:
  struct Text {
    Timestamp at = 0;
    std::string text;
  };
  void set(std::size_t index, std::shared_ptr<const LookupTable> table, std::string text,
           Timestamp at);

  const Plan& plan_;
  std::vector<Text> texts_;  ///< By table.
  std::shared_ptr<const LookupTables> now_;
  mutable std::mutex mutex_;  ///< Of the states.
  std::vector<State> states_;
  std::vector<telemetry::Counter*> loads_;
  std::vector<telemetry::Gauge*> rows_;
};

class LookupFiles {
 public:
  LookupFiles(const Plan& plan, telemetry::Registry& metrics);

  /// Reads a table's file, whatever it was before. `not_found`, `io`, `invalid`: the message names
  /// the file, and the row.
  Result<LookupVersion> read(std::size_t index);
  /// The same if the file is another than at the last read: nothing new is an empty text. A file
  /// that has changed since the look before this one is left to the next, for it may not be whole.
  Result<LookupVersion> read_if_changed(std::size_t index);

  /// What is wrong with a table's file at the moment; empty: nothing. Any thread.
  std::string error(std::size_t index) const;

 private:
  /// What tells one state of a file from another without reading it.
  struct Look {
    std::int64_t changed_at = 0;
    std::uint64_t size = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Look&, const Look&) = default;
  };
  Result<Look> look(std::size_t index) const;
  Result<LookupVersion> note(std::size_t index, Result<LookupVersion> version);

  const Plan& plan_;
  struct Seen {
    Look last;  ///< At the look before.
    Look read;  ///< When it was read.
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  std::vector<Seen> seen_;
  mutable std::mutex mutex_;  ///< Of the errors.
  std::vector<std::string> errors_;
  std::vector<telemetry::Counter*> failures_;
};

/// Reads the files of all tables as at a start. What is wrong with them is added.
void check_lookup_files(const Plan& plan, Diagnostics& diagnostics);

}  // namespace streamobs::app
