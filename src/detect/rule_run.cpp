#include "detect/rule_run.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/time_format.h"

namespace streamobs::detect {

namespace {

constexpr double kNull = std::numeric_limits<double>::quiet_NaN();

void append_value(Column& column, const Value& value) {
  column.nulls.push_back(value.null ? 1 : 0);
  column.has_nulls = column.has_nulls || value.null;
  switch (column.type.kind) {
    case Kind::null:
      break;
    case Kind::boolean:
      column.bools.push_back(value.integer != 0 ? 1 : 0);
      break;
    case Kind::floating:
      column.floats.push_back(value.as_double());
      break;
    case Kind::string:
    case Kind::map:
      column.strings.push_back(value.text);
      break;
    default:
      column.ints.push_back(value.integer);
      break;
  }
}

void append_number(Column& column, double value) {
  const bool null = std::isnan(value);
  column.nulls.push_back(null ? 1 : 0);
  column.has_nulls = column.has_nulls || null;
  column.floats.push_back(null ? 0 : value);
}

std::optional<double> optional_number(const Value& value) {
  if (value.null) return std::nullopt;
  return value.as_double();
}

}  // namespace

std::string anomaly_id(std::string_view rule, Timestamp start, std::string_view what) {
  return fmt::format("{}:{}:{:016x}", rule, to_rfc3339(start), hash_bytes(what));
}

RuleRun::RuleRun(const RulePlan& plan) : plan_(plan), judge_(plan.judge) {
  if (plan.arguments) arguments_.emplace(plan.arguments);
  const WindowSchema& schema = *plan.schema;
  for (const ResultColumn& column : schema.keys) columns_.emplace_back().type = column.type;
  for (const ResultColumn& column : schema.metrics) columns_.emplace_back().type = column.type;
  needed_.resize(columns_.size());
  const auto need = [&](const expr::Program& program) {
    for (const std::size_t input : program.inputs_used()) {
      if (input < needed_.size()) needed_[input] = true;
    }
  };
  if (plan.arguments) need(*plan.arguments);
  need(*plan.judge);
  for (std::size_t i = 0; i < plan.calls.size(); ++i) {
    columns_.emplace_back().type = {Kind::floating, 0};
  }
  views_.resize(columns_.size());
  arguments_row_.resize(plan.series);
}

void RuleRun::judge(const WindowBatch& batch, Records& out) {
  position_ = batch.position;
  due_ = batch.due;
  std::vector<const WindowRow*> rows;
  rows.reserve(batch.rows.size());
  for (const WindowRow& row : batch.rows) {
    if (row.closed && !row.overflow) rows.push_back(&row);
  }
  // One window at a time: what was said of one decides what is normal for the next.
  for (std::size_t begin = 0; begin < rows.size();) {
    std::size_t end = begin + 1;
    while (end < rows.size() && end - begin < expr::Evaluator::kMaxRows &&
           rows[end]->start == rows[begin]->start) {
      ++end;
    }
    judge_slice(batch, Rows(rows).subspan(begin, end - begin), out);
    begin = end;
  }
  // The window is complete: keys that had no row in its newest one were quiet, and so were those of
  // which a corrected one has said something that silence had resolved by now.
  if (batch.last) pass_time(std::max(newest_end_, passed_), out);
  evict(out);
}

void RuleRun::judge_slice(const WindowBatch& batch, Rows rows, Records& out) {
  const Timestamp now = batch.due == kMinTimestamp ? rows.back()->end : batch.due;
  fill_columns(rows);
  if (arguments_) {
    const std::size_t own = needed_.size();
    arguments_->run(std::span(views_).first(own), rows.size(), now);
  }
  look_back(rows);
  judge_.run(views_, rows.size(), now);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    // Rows are ordered by start: with the first row of a later window, the one before is complete.
    if (rows[i]->end > newest_end_) {
      if (newest_end_ != kMinTimestamp) pass_time(newest_end_, out);
      newest_end_ = rows[i]->end;
    }
    judge_row(*rows[i], i, out);
  }
}

void RuleRun::fill_columns(Rows rows) {
  const std::size_t keys = plan_.schema->keys.size();
  for (std::size_t c = 0; c < needed_.size(); ++c) {
    if (!needed_[c]) continue;
    columns_[c].clear();
    for (const WindowRow* row : rows) {
      append_value(columns_[c], c < keys ? row->keys[c] : row->metrics[c - keys]);
    }
    views_[c] = columns_[c].view();
  }
}

// Fills the synthetic columns, and takes each row into the history.
void RuleRun::look_back(Rows rows) {
  const std::size_t own = needed_.size();
  for (std::size_t c = own; c < columns_.size(); ++c) columns_[c].clear();
  row_keys_.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Key& key = key_of(*rows[i]);
    for (std::size_t c = 0; c < plan_.calls.size(); ++c) {
      append_number(columns_[own + c], history_value(plan_.calls[c], key, rows[i]->start));
    }
    if (!arguments_) continue;
    for (std::size_t s = 0; s < plan_.series; ++s) {
      const Value value = Value::from(arguments_->output(s), i);
      arguments_row_[s] = value.null ? kNull : value.as_double();
    }
    history_words_ -= key.history.size() * (1 + plan_.series);
    key.history.record(rows[i]->start, arguments_row_, plan_.keep);
    history_words_ += key.history.size() * (1 + plan_.series);
  }
  for (std::size_t c = own; c < columns_.size(); ++c) views_[c] = columns_[c].view();
}

/// From how many windows without trouble on only those count.
std::size_t RuleRun::ordinary_least() const {
  return plan_.options.baseline_over_unflagged
             ? static_cast<std::size_t>(plan_.options.warmup_windows)
             : std::numeric_limits<std::size_t>::max();
}

double RuleRun::history_value(const HistoryCall& call, const Key& key, Timestamp start) const {
  if (call.summarise == Summarise::previous) return key.history.previous(call.series, start);
  const auto least = static_cast<std::size_t>(plan_.options.warmup_windows);
  // Hopping windows that overlap this one would compare it with itself.
  const Timestamp until = start - (plan_.schema->size - plan_.schema->step());
  const Normal::Level level =
      key.history.normal(call.series, start - call.span, until, ordinary_least());
  if (level.count < least) return kNull;
  switch (call.summarise) {
    case Summarise::mean:
      return level.mean();
    case Summarise::min:
      return level.min;
    case Summarise::max:
      return level.max;
    case Summarise::previous:
      break;
  }
  return kNull;
}

void RuleRun::judge_row(const WindowRow& row, std::size_t index, Records& out) {
  const std::string& bytes = *row_keys_[index];
  Key& key = keys_.find(bytes)->second;
  const ColumnView& when = judge_.output(plan_.when_output);
  const bool condition = !when.is_null(index) && when.bool_at(when.index(index));
  key.history.mark(row.start, condition);
  if (row.start <= key.start) {
    judge_again(key, row, index, condition, out);
    if (row.start < key.start) return;
    key.streak = key.streak_before;
  } else {
    // Windows without a row lie between: the rule may have been quiet for long enough in them.
    if (!key.open.empty() && end_before(row) >= quiet_at(key)) {
      resolve_all(bytes, key, quiet_at(key), out);
    }
    key.streak_before = key.streak;
    key.said.reset();
  }
  key.start = row.start;
  key.end = row.end;

  Streak& streak = key.streak;
  if (condition) {
    if (!streak.first_end || end_before(row) > streak.last_true_end) {
      streak.first_end = row.end;
      streak.first_start = row.start;
      streak.first_baseline = baseline(index);
    }
    streak.last_true_end = row.end;
    streak.firing = row.end - *streak.first_end >= plan_.options.hold;
    if (!streak.firing) return;
    Anomaly anomaly = make_anomaly(row, index, key.said ? key.said->id : new_id(row),
                                   streak.first_start, streak.first_baseline);
    if (key.said && quiet_at(key) <= std::max(newest_end_, passed_)) {
      // Silence has resolved it, and it stays so: only its figures are corrected.
      anomaly.revision = key.said->revision;
      say_resolved(key, std::move(anomaly), quiet_at(key), out);
    } else {
      raise(bytes, key, std::move(anomaly), out);
    }
    return;
  }
  streak.first_end.reset();
  streak.firing = false;
  if (!key.open.empty() && row.end - streak.last_true_end >= plan_.options.keep_firing_for) {
    resolve_all(bytes, key, row.end, out);
  }
}

// A window that had closed before is corrected: what was said of it is withdrawn or said again.
// For the newest window the verdict itself is made anew by the caller.
void RuleRun::judge_again(Key& key, const WindowRow& row, std::size_t index, bool condition,
                          Records& out) {
  const auto said = std::find_if(key.open.begin(), key.open.end(),
                                 [&](const AnomalyPtr& a) { return a->window_start == row.start; });
  if (said == key.open.end()) {
    // Silence has resolved it, or it is withdrawn already: of the newest window that is known.
    if (condition || row.start < key.start || !key.said) return;
    const Streak& streak = key.streak;
    Anomaly over =
        make_anomaly(row, index, key.said->id, streak.first_end ? streak.first_start : row.start,
                     streak.first_end ? streak.first_baseline : std::nullopt);
    over.revision = key.said->revision;
    withdraw(key, std::move(over), out);
    return;
  }
  const std::uint32_t revision = (*said)->revision;
  Anomaly anomaly = make_anomaly(row, index, (*said)->id, (*said)->since.value_or(row.start),
                                 (*said)->baseline_before);
  if (condition && row.start < key.start) {
    say(key, std::move(anomaly), revision + 1, out);
    *said = std::get<AnomalyPtr>(out.back());
    return;
  }
  if (!condition) {
    anomaly.revision = revision;
    withdraw(key, std::move(anomaly), out);
  }
  // With a true condition the caller raises it again, under the same id.
  key.open.erase(said);
  --open_anomalies_;
  if (key.open.empty()) open_keys_.erase(key_bytes(row.keys));
}

RuleRun::Key& RuleRun::key_of(const WindowRow& row) {
  const auto [at, added] = keys_.try_emplace(
      key_bytes(row.keys),
      Key{key_text(row.keys), KeyHistory(plan_.series), {}, {}, {}, {}, {}, {}, {}});
  Key& key = at->second;
  if (added) {
    key.start = kMinTimestamp;
    key.end = kMinTimestamp;
    key.recency = recency_.insert(recency_.end(), &at->first);
  } else {
    recency_.splice(recency_.end(), recency_, key.recency);
  }
  row_keys_.push_back(&at->first);
  return key;
}

void RuleRun::evict(Records& out) {
  while (keys_.size() > Detector::kMaxKeys ||
         (history_words_ > Detector::kMaxHistoryWords && keys_.size() > 1)) {
    const auto victim = keys_.find(*recency_.front());
    Key& key = victim->second;
    if (!key.open.empty()) resolve_all(victim->first, key, newest_end_, out);
    history_words_ -= key.history.size() * (1 + plan_.series);
    recency_.pop_front();
    keys_.erase(victim);
    ++evicted_keys_;
  }
}

// What the rule's baseline says of a row of the slice in hand.
std::optional<double> RuleRun::baseline(std::size_t index) const {
  if (!plan_.baseline_call) return std::nullopt;
  return optional_number(Value::from(views_[needed_.size() + *plan_.baseline_call], index));
}

// Of what is said for the first time. Whoever keeps anomalies takes the highest revision of an id,
// so no id may be given twice: not by a rule of the same name that judged another window, was
// another rule or has forgotten the key. A window closes once, and is revised once at each time
// that is due.
std::string RuleRun::new_id(const WindowRow& row) const {
  const WindowSchema& schema = *plan_.schema;
  std::string what;
  if (!old_ids_) {
    put_text(what, schema.window);
    put_signed(what, row.end);
  }
  what += key_bytes(row.keys);
  std::string id = anomaly_id(plan_.options.name.text, row.start, what);
  // Sessions, which end with their keys, are never revised.
  if (schema.gap != 0 || due_ == kMinTimestamp) return id;
  const Timestamp revised = due_ - schema.allowed_lateness;
  if (revised > row.end) id += ":" + to_rfc3339(revised);
  return id;
}

Anomaly RuleRun::make_anomaly(const WindowRow& row, std::size_t index, std::string id,
                              Timestamp since, std::optional<double> baseline_before) const {
  Anomaly anomaly;
  anomaly.id = std::move(id);
  anomaly.rule = plan_.options.name.text;
  anomaly.window = plan_.schema->window;
  anomaly.severity = plan_.options.severity;
  // The least watermark that closes the window, not the one that happened to: how events are cut
  // into batches must not show.
  anomaly.detected_at = row.end + plan_.schema->allowed_lateness;
  anomaly.window_start = row.start;
  anomaly.window_end = row.end;
  for (std::size_t i = 0; i < row.keys.size(); ++i) {
    anomaly.keys.push_back({plan_.schema->keys[i].name, row.keys[i]});
  }
  anomaly.metric_name = plan_.metric_name;
  if (plan_.metric) anomaly.metric_value = optional_number(row.metrics[*plan_.metric]);
  if (plan_.threshold_output) {
    anomaly.threshold_value =
        optional_number(Value::from(judge_.output(*plan_.threshold_output), index));
  }
  anomaly.baseline_value = baseline(index);
  anomaly.since = since;
  anomaly.baseline_before = baseline_before;
  anomaly.description = plan_.description ? describe(*plan_.description, anomaly, row)
                                          : describe(anomaly, plan_.bound);
  return anomaly;
}

// Whatever is said of an anomaly goes out here, under the next revision.
void RuleRun::say(Key& key, Anomaly anomaly, std::uint32_t revision, Records& out) const {
  anomaly.revision = revision;
  anomaly.position = position_;
  if (anomaly.window_start == key.start) key.said = {anomaly.id, revision};
  out.emplace_back(std::make_shared<const Anomaly>(std::move(anomaly)));
}

void RuleRun::say_resolved(Key& key, Anomaly anomaly, Timestamp at, Records& out) const {
  anomaly.resolved = true;
  anomaly.resolved_at = at;
  const std::uint32_t revision = anomaly.revision + 1;
  say(key, std::move(anomaly), revision, out);
}

void RuleRun::withdraw(Key& key, Anomaly anomaly, Records& out) const {
  anomaly.withdrawn = true;
  anomaly.description = "withdrawn, late events have corrected it: " + anomaly.description;
  const Timestamp at = anomaly.window_end;
  say_resolved(key, std::move(anomaly), at, out);
}

void RuleRun::raise(const std::string& bytes, Key& key, Anomaly anomaly, Records& out) {
  const Timestamp now = anomaly.window_end;
  say(key, std::move(anomaly), key.said ? key.said->revision + 1 : 0, out);
  key.open.push_back(std::get<AnomalyPtr>(out.back()));
  ++open_anomalies_;
  open_keys_[bytes] = &key;
  // Nothing stays open for ever, and memory stays bounded: the oldest is over first.
  if (key.open.size() > Detector::kMaxOpenPerKey || open_anomalies_ > Detector::kMaxOpenPerRule) {
    resolve_oldest(key, now, out);
    if (key.open.empty()) open_keys_.erase(bytes);
  }
}

void RuleRun::resolve_oldest(Key& key, Timestamp at, Records& out) {
  say_resolved(key, *key.open.front(), at, out);
  key.open.pop_front();
  --open_anomalies_;
}

void RuleRun::resolve_all(const std::string& bytes, Key& key, Timestamp at, Records& out) {
  while (!key.open.empty()) resolve_oldest(key, at, out);
  open_keys_.erase(bytes);
}

// When the window before the row's ended.
Timestamp RuleRun::end_before(const WindowRow& row) const {
  return plan_.schema->hop == 0 ? row.start : row.end - plan_.schema->hop;
}

// The end of the first window that shows, if the key has no row, that the rule has been quiet for
// long enough.
Timestamp RuleRun::quiet_at(const Key& key) const {
  const Duration step = std::max<Duration>(plan_.schema->step(), 1);
  const Duration wait = std::max<Duration>(plan_.options.keep_firing_for, 1);
  return key.streak.last_true_end + (wait + step - 1) / step * step;
}

void RuleRun::pass_time(Timestamp time, std::uint64_t position, Records& out) {
  position_ = position;
  passed_ = time;
  pass_time(time, out);
}

void RuleRun::pass_time(Timestamp time, Records& out) {
  for (auto at = open_keys_.begin(); at != open_keys_.end();) {
    const auto current = at++;
    const Timestamp quiet = quiet_at(*current->second);
    if (time < quiet) continue;
    const std::string bytes = current->first;
    resolve_all(bytes, *current->second, quiet, out);
  }
}

int RuleRun::history_windows(const Key& key) const {
  std::optional<std::size_t> least;
  for (const HistoryCall& call : plan_.calls) {
    if (call.span == 0) continue;
    const std::size_t count =
        key.history.normal(call.series, key.end - call.span, key.end, ordinary_least()).count;
    least = least ? std::min(*least, count) : count;
  }
  return static_cast<int>(least.value_or(0));
}

}  // namespace streamobs::detect
