// What the API says of the engine itself. Plain data, filled by the app.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "event/block.h"
#include "event/schema.h"
#include "event/window_result.h"

namespace streamobs::serve {

/// A stream as the config declares it.
struct StreamInfo {
  std::string stream;
  std::string time_field;
  std::vector<Field> fields;
  std::vector<std::string> paths;  ///< HTTP paths that take its events.
  Format format = Format::json;    ///< One of lines: requests may be text/plain, too.
};

/// A stream as it stands now.
struct StreamState {
  std::string stream;
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t> rejected;  ///< By reason.
  std::optional<Timestamp> watermark;             ///< None: no event yet.
  std::optional<Timestamp> newest_event_at;       ///< Its own time. None: no event yet.
  bool idle = false;
};

/// A window as the config declares it.
struct WindowInfo {
  std::shared_ptr<const WindowSchema> schema;
  Duration allowed_lateness = 0;
  Duration emit_every = 0;
  Duration correct_for = 0;  ///< 0: what is late is set aside.
  /// By metric: the aggregate it is ("count"); empty where it is computed of others.
  std::vector<std::string_view> aggregates;
};

/// What can be asked for rows: a window, or a view that unites several of the same columns.
struct RowSource {
  struct Member {
    std::shared_ptr<const WindowSchema> schema;
    std::string size;  ///< Of a view: what its rows have as window_size.
  };
  std::string name;
  std::vector<Member> members;  ///< Of a window itself alone.
  bool view = false;

  const WindowSchema& columns() const { return *members.front().schema; }
};

struct StageState {
  std::string stage;
  std::uint64_t items = 0;
  std::string unit;            ///< What is counted: "events", "batches", "rows".
  std::optional<double> fill;  ///< How full its input is, 0 to 1; none where it has no queue.
  std::uint64_t errors = 0;
};

/// What a source or a sink has complained of, since the start of the process.
struct TroubleState {
  std::uint64_t count = 0;
  std::string error;  ///< What was told last; empty: nothing.
  std::string advice;
  std::optional<Timestamp> at;  ///< Told again while it goes on.
};

/// A partition of a topic that a source reads.
struct PartitionState {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t next = 0;            ///< Offset of the next message to be read.
  std::optional<std::int64_t> lag;  ///< Messages behind the end; none: the end is not known yet.
  bool held = false;                ///< Not read: it is too far ahead of the others.
  std::optional<double> ahead_seconds;  ///< Of the slowest; none: without `max_skew`.
};

/// A source's membership of a consumer group.
struct GroupState {
  std::string group;
  std::string instance;
  std::string state;                       ///< "member", or "joining".
  std::optional<std::int32_t> generation;  ///< None while it is joining.
  std::uint64_t rebalances = 0;
  std::uint64_t proposed_ranges = 0;
  std::uint64_t discarded_ranges = 0;
  std::uint64_t discarded_events = 0;
  std::uint64_t refused_commits = 0;
};

/// What a source of type "kafka" has besides.
struct TopicsState {
  std::uint64_t messages = 0;  ///< Read since the start of the process.
  std::uint64_t lag = 0;       ///< Of all partitions that are being read.
  std::uint64_t brokers_up = 0;
  std::optional<double> round_trip_seconds;  ///< Of the slowest broker, mean; none: not known.
  std::vector<PartitionState> partitions;    ///< In a group: those that it has given us.
  std::optional<GroupState> group;
};

struct SourceState {
  std::string source;
  std::string type;
  std::string stream;
  std::string state;  ///< "running", "done", "failed" …
  std::uint64_t events = 0;
  std::string detail;
  TroubleState trouble = {};
  std::optional<TopicsState> topics = std::nullopt;
};

struct SinkState {
  std::string sink;
  std::string type;
  std::string from;
  std::string topic;
  std::string state;  ///< "delivering", "waiting", "retrying", "stopped" …
  std::uint64_t sent = 0;
  std::uint64_t dropped = 0;
  std::uint64_t outbox_rows = 0;
  std::uint64_t outbox_bytes = 0;
  std::optional<Timestamp> oldest_at;  ///< When the oldest result was made that is not delivered.
  std::uint64_t outbox_bytes_max = 0;
  bool required = false;
  std::uint64_t refused = 0;  ///< Too large for a message: passed over.
  std::uint64_t brokers_up = 0;
  std::optional<double> transaction_seconds = std::nullopt;  ///< Of the last; none: there was none.
  TroubleState trouble = {};
};

struct LookupState {
  std::string lookup;
  std::string file;
  std::size_t rows = 0;
  std::string version;             ///< Of the text that is in force; empty: there is none.
  std::optional<Timestamp> since;  ///< When that was read.
  std::string error;               ///< What is wrong with the file at the moment; empty: nothing.
};

struct JoinState {
  std::string join;
  std::string left;
  std::string right;
  std::uint64_t rows = 0;            ///< Joined.
  std::uint64_t unmatched_left = 0;  ///< Left without a partner.
  std::uint64_t unmatched_right = 0;
  std::uint64_t pushed_out = 0;  ///< Of all that left: before their time, for lack of room.
  std::size_t pending = 0;       ///< Wait for one.
  std::size_t pending_bytes = 0;
};

struct RuleState {
  std::string rule;
  std::string window;
  std::string key;
  std::string phase;
  int history_windows = 0;
  int warmup_windows = 0;
  std::optional<Timestamp> last_window_end;
};

/// Where a window's rows go before they are removed.
struct ArchiveState {
  std::string window;
  std::string resolution;
  std::string directory;
  std::uint64_t failures = 0;
  std::string error;               ///< What keeps it from writing at the moment; empty: nothing.
  std::optional<Timestamp> since;  ///< Since when.
};

struct StoreState {
  std::string path;
  std::uint64_t bytes = 0;
  std::uint64_t rows_written = 0;
  std::uint64_t outbox = 0;  ///< Records waiting to be written.
  std::optional<Timestamp> last_commit_at;
  std::vector<ArchiveState> archives;
};

/// The config in force, and how it came to be that.
struct ConfigState {
  struct Change {
    std::string what;     ///< "added", "removed", "changed".
    std::string section;  ///< "window".
    std::string name;     ///< Empty: it is about a section that is there once, such as [http].
  };
  struct Refused {
    Timestamp at = 0;
    std::string error;
  };
  std::string file;
  Timestamp since = 0;  ///< When it was taken over.
  std::uint64_t reloads = 0;
  std::vector<Change> changes;     ///< From the one before; of the last reload.
  std::optional<Refused> refused;  ///< The last try to reload, if it was in vain.
};

struct PipelineState {
  std::size_t threads = 0;
  std::size_t lanes = 0;
  std::vector<StageState> stages;
  std::vector<SourceState> sources;
  std::vector<SinkState> sinks;
  std::vector<LookupState> lookups;
  std::vector<JoinState> joins;
  std::vector<RuleState> rules;  ///< Those that have seen a closed window, by key.
  std::size_t rules_configured = 0;
  StoreState store;
  ConfigState config;
};

/// The live message of every second.
struct Pulse {
  double events_per_second = 0;
  std::uint64_t events_total = 0;
  std::uint64_t rejected_total = 0;
  std::uint64_t late_total = 0;
  std::optional<double> watermark_lag_seconds;
  std::uint64_t windows_open = 0;
};

}  // namespace streamobs::serve
