// What the window tests share: a stream, batches made from plain events, and a little engine that
// hands batches to lanes the way the dispatcher does.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "event/event_batch.h"
#include "expr/ast.h"
#include "expr/program.h"
#include "window/admission.h"
#include "window/merger.h"
#include "window/stream_windows.h"
#include "window/window_plan.h"

namespace window_test {

using namespace streamobs;          // NOLINT: test code
using namespace streamobs::window;  // NOLINT

/// One event of the test stream; nothing stands for null.
struct Event {
  Timestamp time = 0;
  std::optional<std::string> service;
  std::optional<std::string> path;  ///< Never dictionary-encoded.
  std::optional<std::int64_t> user_id;
  std::optional<double> latency_ms;
  std::int64_t status_code = 200;
  std::optional<std::int64_t> amount;  ///< decimal(2), in cents
  bool ok = true;
  std::uint32_t partition = 0;
  bool excluded = false;  ///< A repeat.
};

inline StreamSchema test_schema() {
  StreamSchema schema;
  schema.stream = "requests";
  schema.time_field = "time";
  const auto field = [&](std::string name, DataType type) {
    Field f;
    f.name = name;
    f.path = std::move(name);
    f.type = type;
    schema.fields.push_back(std::move(f));
  };
  field("time", {Kind::timestamp, 0});
  field("service", {Kind::string, 0});
  field("path", {Kind::string, 0});
  field("user_id", {Kind::integer, 0});
  field("latency_ms", {Kind::floating, 0});
  field("status_code", {Kind::integer, 0});
  field("amount", {Kind::decimal, 2});
  field("ok", {Kind::boolean, 0});
  return schema;
}

inline expr::Scope scope_of(const StreamSchema& schema) {
  expr::Scope scope;
  for (const Field& field : schema.fields) scope.add_column(field.name, field.type);
  return scope;
}

inline std::string text_of(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) {
    out += d.message + (d.hint.empty() ? "" : " [" + d.hint + "]") + "\n" + d.excerpt;
  }
  return out;
}

struct Compiled {
  StreamSchema schema = test_schema();
  Diagnostics diagnostics;
  std::shared_ptr<const StreamWindowsPlan> plan;
};

inline Compiled compile(const std::vector<WindowOptions>& windows, const std::string& filter = "") {
  Compiled c;
  const expr::Scope scope = scope_of(c.schema);
  const SourceText source(filter);
  expr::NodePtr node;
  if (!filter.empty()) node = expr::parse(source, c.diagnostics);
  c.plan = compile_windows(c.schema, scope, node, source, windows, c.diagnostics);
  return c;
}

inline WindowOptions options(std::string name, std::vector<NamedExpression> by,
                             std::vector<NamedExpression> select, Duration size = kMinute,
                             Duration lateness = 0) {
  WindowOptions o;
  o.name = SourceText(std::move(name));
  o.from = "requests";
  o.size = size;
  o.by = std::move(by);
  o.select = std::move(select);
  o.allowed_lateness = lateness;
  return o;
}

/// Turns events into batches. With a dictionary, `service` is encoded in it.
class BatchMaker {
 public:
  BatchMaker(const StreamSchema& schema, bool use_dictionary)
      : schema_(schema), dictionary_(use_dictionary ? std::make_shared<Dictionary>() : nullptr) {}

  std::unique_ptr<EventBatch> make(const Event* events, std::size_t n) {
    auto batch = std::make_unique<EventBatch>();
    batch->schema = &schema_;
    batch->rows = n;
    batch->events = static_cast<std::uint32_t>(n);
    batch->columns.resize(schema_.fields.size());
    for (std::size_t c = 0; c < batch->columns.size(); ++c) {
      batch->columns[c].type = schema_.fields[c].type;
      batch->columns[c].has_nulls = c >= 1 && c <= 6 && c != 5;
    }
    if (dictionary_) batch->columns[1].dictionary = dictionary_;
    for (std::size_t i = 0; i < n; ++i) {
      const Event& e = events[i];
      batch->time.push_back(e.time);
      batch->time_max = std::max(batch->time_max, e.time);
      batch->event_index.push_back(static_cast<std::uint32_t>(i));
      batch->columns[0].ints.push_back(e.time);
      batch->columns[1].nulls.push_back(e.service ? 0 : 1);
      if (dictionary_) {
        batch->columns[1].ids.push_back(e.service ? dictionary_->intern(*e.service) : 0);
      } else {
        batch->columns[1].strings.push_back(batch->text.keep(e.service.value_or("")));
      }
      batch->columns[2].nulls.push_back(e.path ? 0 : 1);
      batch->columns[2].strings.push_back(batch->text.keep(e.path.value_or("")));
      batch->columns[3].nulls.push_back(e.user_id ? 0 : 1);
      batch->columns[3].ints.push_back(e.user_id.value_or(0));
      batch->columns[4].nulls.push_back(e.latency_ms ? 0 : 1);
      batch->columns[4].floats.push_back(e.latency_ms.value_or(0));
      batch->columns[5].ints.push_back(e.status_code);
      batch->columns[6].nulls.push_back(e.amount ? 0 : 1);
      batch->columns[6].ints.push_back(e.amount.value_or(0));
      batch->columns[7].bools.push_back(e.ok ? 1 : 0);
    }
    if (std::any_of(events, events + n, [](const Event& e) { return e.excluded; })) {
      for (std::size_t i = 0; i < n; ++i) batch->excluded.push_back(events[i].excluded ? 1 : 0);
    }
    return batch;
  }

 private:
  const StreamSchema& schema_;
  std::shared_ptr<Dictionary> dictionary_;
};

inline std::string text_of(const Value& value) {
  if (value.null) return "null";
  if (value.type.kind == Kind::floating) return fmt::format("{:a}", value.floating);
  return value.to_string();
}

inline std::string text_of(const WindowRow& row, const std::string& window) {
  std::string out = fmt::format("{} {} {}{}{}", window, row.start, row.end,
                                row.closed ? " closed" : "", row.overflow ? " overflow" : "");
  if (row.revision != 0) out += fmt::format(" r={}", row.revision);
  for (const Value& key : row.keys) out.append(" k=").append(text_of(key));
  for (const Value& metric : row.metrics) out.append(" m=").append(text_of(metric));
  out += " s=";
  for (const char c : row.state) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 0xf];
  }
  return out;
}

inline std::vector<std::string> rows_of(const Records& records) {
  std::vector<std::string> rows;
  for (const Record& record : records) {
    const auto& batch = std::get<WindowBatchPtr>(record);
    for (const WindowRow& row : batch->rows) rows.push_back(text_of(row, batch->schema->window));
  }
  return rows;
}

/// One stream from stamped batches to rows: the sequencer, N lanes and the merger. Lanes run apart
/// as far as a random schedule lets them.
class Engine {
 public:
  Engine(const Compiled& compiled, std::size_t lanes, std::uint32_t partitions, unsigned seed,
         bool use_dictionary = true)
      : plan_(compiled.plan),
        admission_(plan_, lanes),
        merger_(plan_),
        newest_(partitions, kMinTimestamp),
        random_(seed) {
    for (std::size_t i = 0; i < lanes; ++i) {
      lanes_.push_back(std::make_unique<StreamWindows>(plan_, i, admission_));
      makers_.push_back(std::make_unique<BatchMaker>(compiled.schema, use_dictionary));
    }
    queues_.resize(lanes);
  }

  /// All events are of one partition.
  void push(const Event* events, std::size_t n) {
    const std::size_t lane = next_lane_++ % lanes_.size();
    std::unique_ptr<EventBatch> batch = makers_[lane]->make(events, n);
    if (in_log_order) in_log_order(*batch);
    const std::uint32_t partition = events[0].partition;
    batch->stamp.sequence = ++sequence_;
    batch->stamp.partition_time = newest_[partition];
    batch->stamp.others_time = kMaxTimestamp;
    for (std::uint32_t p = 0; p < newest_.size(); ++p) {
      if (p != partition) {
        batch->stamp.others_time = std::min(batch->stamp.others_time, newest_[p]);
      }
    }
    batch->stamp.floor_time = watermark_;
    newest_[partition] = std::max(newest_[partition], batch->time_max);
    watermark_ = std::max(watermark_, *std::min_element(newest_.begin(), newest_.end()));

    const bool order = admission_.must_order(n, in_flight_);
    if (order) {
      drain();
      admission_.set_ordered(true);
      ordered_ = true;
      ++ordered_batches;
    } else if (ordered_) {
      drain();
      admission_.set_ordered(false);
      ordered_ = false;
    }
    in_flight_ += n;
    queues_[lane].push_back({std::move(batch), 0, {}, 0, false});
    if (order) drain();
    mark({});
    while (random_() % 3 == 0) step();
  }

  /// Shows what is open of a window.
  void show(std::size_t window) { mark(window); }

  /// The state of the engine at one log position, and what had come out by then.
  struct Checkpoint {
    std::string windows;
    std::size_t records = 0;
    std::vector<Timestamp> newest;
    Timestamp watermark = kMinTimestamp;
    std::uint64_t sequence = 0;
  };
  /// Sends a barrier; it adds to `checkpoints` once all lanes have passed it.
  void checkpoint() {
    started_.push_back({"", 0, newest_, watermark_, sequence_});
    mark({}, true);
  }
  /// Goes on from a checkpoint. The engine must be fresh.
  Result<RestoredWindows> restore(const Checkpoint& from) {
    newest_ = from.newest;
    watermark_ = from.watermark;
    sequence_ = from.sequence;
    if (Result<> kept = merger_.restore(from.windows, from.watermark); kept.has_error())
      return kept.error();
    auto restored = lanes_[random_() % lanes_.size()]->restore(from.windows, from.watermark);
    if (!restored) return restored;
    for (auto& lane : lanes_) lane->keep_closed(restored->closed);
    return restored;
  }

  void finish() {
    drain();
    std::vector<PartialPtr> rest;
    for (auto& lane : lanes_) rest.push_back(lane->take_all());
    merger_.merge(std::move(rest), sequence_, kMaxTimestamp, RoundKind::closed, records);
  }
  void drain() {
    while (step()) {
    }
  }
  StreamWindows& lane(std::size_t i) { return *lanes_[i]; }
  WindowMerger& merger() { return merger_; }

  /// What the sequencing does with each batch, if it is set.
  std::function<void(EventBatch&)> in_log_order;
  Records records;
  std::vector<Checkpoint> checkpoints;
  DeadLetters late;
  std::vector<std::uint64_t> late_counts;
  std::vector<std::uint64_t> partly_late_counts;
  std::vector<std::uint64_t> correcting_counts;
  std::uint64_t overflow_rows = 0;
  std::uint64_t filtered = 0;
  std::uint64_t excluded = 0;
  std::size_t ordered_batches = 0;

 private:
  struct Item {
    std::unique_ptr<EventBatch> batch;  ///< Or a marker:
    Timestamp watermark = 0;
    std::optional<std::size_t> show;
    std::size_t number = 0;
    bool copy = false;
  };
  struct Round {
    std::vector<PartialPtr> partials;
    std::size_t arrived = 0;
    Timestamp watermark = 0;
    bool closed = true;
    bool copy = false;
  };

  void mark(std::optional<std::size_t> shown, bool copy = false) {
    Round round;
    round.partials.resize(lanes_.size());
    round.watermark = watermark_;
    round.closed = !shown;
    round.copy = copy;
    rounds_.push_back(std::move(round));
    for (auto& queue : queues_) {
      queue.push_back({nullptr, watermark_, shown, first_round_ + rounds_.size() - 1, copy});
    }
  }

  /// One lane takes one item; false when there is none.
  bool step() {
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      if (!queues_[i].empty()) ready.push_back(i);
    }
    if (ready.empty()) return false;
    const std::size_t i = ready[random_() % ready.size()];
    Item item = std::move(queues_[i].front());
    queues_[i].pop_front();
    if (item.batch) {
      const ProcessCounts counts = lanes_[i]->process(*item.batch, late);
      in_flight_ -= item.batch->rows;
      late_counts.resize(counts.late.size());
      partly_late_counts.resize(counts.late.size());
      correcting_counts.resize(counts.late.size());
      for (std::size_t w = 0; w < counts.late.size(); ++w) {
        late_counts[w] += counts.late[w];
        partly_late_counts[w] += counts.partly_late[w];
        correcting_counts[w] += counts.correcting[w];
      }
      overflow_rows += counts.overflow_rows;
      filtered += counts.filtered;
      excluded += counts.excluded;
      return true;
    }
    Round& round = rounds_[item.number - first_round_];
    round.partials[i] = item.copy   ? lanes_[i]->copy_all()
                        : item.show ? lanes_[i]->copy_open(*item.show)
                                    : lanes_[i]->take_closed(item.watermark);
    ++round.arrived;
    while (!rounds_.empty() && rounds_.front().arrived == lanes_.size()) {
      Round done = std::move(rounds_.front());
      rounds_.pop_front();
      ++first_round_;
      if (done.copy) {
        Checkpoint& checkpoint = checkpoints.emplace_back(std::move(started_.front()));
        started_.pop_front();
        checkpoint.records = records.size();
        merger_.snapshot(std::move(done.partials), checkpoint.windows);
        continue;
      }
      merger_.merge(std::move(done.partials), first_round_, done.watermark,
                    done.closed ? RoundKind::closed : RoundKind::open, records);
    }
    return true;
  }

  std::shared_ptr<const StreamWindowsPlan> plan_;
  Admission admission_;
  WindowMerger merger_;
  std::vector<std::unique_ptr<StreamWindows>> lanes_;
  std::vector<std::unique_ptr<BatchMaker>> makers_;
  std::vector<std::deque<Item>> queues_;
  std::deque<Round> rounds_;
  std::deque<Checkpoint> started_;
  std::size_t first_round_ = 0;
  std::vector<Timestamp> newest_;
  Timestamp watermark_ = kMinTimestamp;
  std::uint64_t sequence_ = 0;
  std::size_t next_lane_ = 0;
  std::size_t in_flight_ = 0;
  bool ordered_ = false;
  std::mt19937 random_;
};

inline Event event(Timestamp seconds, std::string service = "a", double latency = 1) {
  Event e;
  e.time = seconds * kSecond;
  e.service = std::move(service);
  e.latency_ms = latency;
  return e;
}

inline std::vector<const WindowRow*> all_rows(const Records& records) {
  std::vector<const WindowRow*> rows;
  for (const Record& record : records) {
    for (const WindowRow& row : std::get<WindowBatchPtr>(record)->rows) rows.push_back(&row);
  }
  return rows;
}

/// Of an engine that has had these events, one a batch.
inline Engine::Checkpoint checkpoint_of(const Compiled& compiled,
                                        const std::vector<Event>& events) {
  Engine engine(compiled, 2, 1, 1);
  for (const Event& e : events) engine.push(&e, 1);
  engine.checkpoint();
  engine.drain();
  return engine.checkpoints.at(0);
}

}  // namespace window_test
