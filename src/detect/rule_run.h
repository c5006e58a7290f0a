// One rule at work: what it remembers of each key, and its verdicts.
//
// Belongs to a Detector, on its strand. Rows come in the order in which their windows are due, as
// the window stage sends them; a window that comes a second time (a revision) replaces the first.
// Time passes with them: before a row is judged, all that silence resolves up to there has been.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "detect/detector.h"
#include "detect/history.h"
#include "detect/plan.h"
#include "event/record.h"
#include "expr/program.h"

namespace streamobs::detect {

struct StoredRule;

/// An anomaly's id: the rule, the window's start, and a hash of `what` tells it from others of
/// both. Up to version 3 of the state that was the key (key_bytes) alone.
std::string anomaly_id(std::string_view rule, Timestamp start, std::string_view what);

class RuleRun {
 public:
  /// `plan` must outlive the run.
  explicit RuleRun(const RulePlan& plan);

  const RulePlan& plan() const { return plan_; }

  /// Judges the closed rows of a batch of the rule's own window.
  void judge(const WindowBatch& batch, Records& out);
  /// Every window of the rule's that ends by `time` has been judged, as the record in hand, at
  /// `position`, shows: resolves what was quiet. Before that record's rows.
  void pass_time(Timestamp time, std::uint64_t position, Records& out);
  /// The end of the newest window judged; kMinTimestamp before the first.
  Timestamp newest_end() const { return newest_end_; }

  std::uint64_t evicted_keys() const { return evicted_keys_; }

  /// A run of windows in which the condition was true.
  struct Streak {
    std::optional<Timestamp> first_end;  ///< End of its first window; none: not true just now.
    Timestamp first_start = kMinTimestamp;
    std::optional<double> first_baseline;  ///< As it was in that window.
    Timestamp last_true_end = kMinTimestamp;
    bool firing = false;
  };
  struct Key {
    std::string text;  ///< For people.
    KeyHistory history;
    Timestamp start = kMinTimestamp;  ///< Of the newest window seen.
    Timestamp end = kMinTimestamp;
    Streak streak;
    Streak streak_before;         ///< As it was before the newest window, in case that comes again.
    std::deque<AnomalyPtr> open;  ///< Raised and not resolved, oldest first.
    struct Said {  // No initializer: clang would not have it in an optional of the same class.
      std::string id;
      std::uint32_t revision;
    };
    /// How the newest window's anomaly was last said; none: there was none. It outlives the
    /// anomaly, which a correction may raise once more.
    std::optional<Said> said;
    std::list<const std::string*>::iterator recency;
  };
  const std::unordered_map<std::string, Key>& keys() const { return keys_; }
  int history_windows(const Key& key) const;

  /// Appends the rule's state as state.h describes it.
  void snapshot(std::string& out) const;
  /// Goes on from the state of the same rule, or of one that said something else: then only from
  /// what it looks back on, where the window is the same. For a run that has judged nothing.
  void adopt(StoredRule stored);

 private:
  using Rows = std::span<const WindowRow* const>;

  void judge_slice(const WindowBatch& batch, Rows rows, Records& out);
  void fill_columns(Rows rows);
  void look_back(Rows rows);
  std::size_t ordinary_least() const;
  double history_value(const HistoryCall& call, const Key& key, Timestamp start) const;
  void judge_row(const WindowRow& row, std::size_t index, Records& out);
  void pass_time(Timestamp time, Records& out);
  void judge_again(Key& key, const WindowRow& row, std::size_t index, bool condition, Records& out);

  Key& key_of(const WindowRow& row);
  void evict(Records& out);
  std::optional<double> baseline(std::size_t index) const;
  std::string new_id(const WindowRow& row) const;
  Anomaly make_anomaly(const WindowRow& row, std::size_t index, std::string id, Timestamp since,
                       std::optional<double> baseline_before) const;
  void say(Key& key, Anomaly anomaly, std::uint32_t revision, Records& out) const;
  void say_resolved(Key& key, Anomaly anomaly, Timestamp at, Records& out) const;
  void withdraw(Key& key, Anomaly anomaly, Records& out) const;
  void raise(const std::string& key_bytes, Key& key, Anomaly anomaly, Records& out);
  void resolve_oldest(Key& key, Timestamp at, Records& out);
  void resolve_all(const std::string& key_bytes, Key& key, Timestamp at, Records& out);
  Timestamp end_before(const WindowRow& row) const;
  Timestamp quiet_at(const Key& key) const;

  const RulePlan& plan_;
  std::optional<expr::Evaluator> arguments_;
  expr::Evaluator judge_;
  std::vector<bool> needed_;     ///< Which of the row's columns any program reads.
  std::vector<Column> columns_;  ///< The row's columns, then the synthetic ones.
  std::vector<ColumnView> views_;
  std::vector<const std::string*> row_keys_;  ///< Of the slice in hand.
  std::vector<double> arguments_row_;

  std::unordered_map<std::string, Key> keys_;  ///< By exact bytes of the key's values.
  std::list<const std::string*> recency_;      ///< Least recently seen first.
  std::map<std::string, Key*> open_keys_;      ///< Those with open anomalies, in a fixed order.
  std::size_t open_anomalies_ = 0;
  std::size_t history_words_ = 0;
  std::uint64_t evicted_keys_ = 0;
  Timestamp newest_end_ = kMinTimestamp;
  /// Its ids are as versions before 4 of the state had them: so they are for as long as the rule is
  /// what it was then, since a replay after an upgrade must say again what is in the database.
  bool old_ids_ = false;
  std::uint64_t position_ = 0;  ///< Of the record in hand, as what follows.
  Timestamp due_ = kMinTimestamp;
  Timestamp passed_ = kMinTimestamp;  ///< All windows that end by then have been judged before it.
};

}  // namespace streamobs::detect
