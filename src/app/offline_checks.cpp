#include "app/offline_checks.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/coherence.h"
#include "app/health_probe.h"
#include "app/wal_command.h"
#include "base/clock.h"
#include "base/posix_file_system.h"
#include "health/quick_checks.h"
#include "store/damage.h"
#include "store/data_dir.h"
#include "store/inspection.h"

namespace streamobs::app {

namespace {

using health::CheckResult;
using health::State;

CheckResult result_of(const char* check, State state, std::string detail, std::string advice = {}) {
  CheckResult result;
  result.check = check;
  result.state = state;
  result.detail = std::move(detail);
  result.advice = std::move(advice);
  return result;
}

bool exists(const std::string& path) {
  const Result<bool> there = posix_file_system().exists(path);
  return there.has_value() && *there;
}

CheckResult check_data_dir(const std::string& data_dir, const Result<store::DataDir>& opened) {
  if (opened.has_value()) {
    return result_of("data_dir", State::ok,
                     fmt::format("{} is there, is ours alone, and nobody uses it", data_dir));
  }
  if (opened.error().code == ErrorCode::unavailable) {
    return result_of("data_dir", State::warning, opened.error().message,
                     "If that is the engine, say where it listens: --config FILE or --target "
                     "http://ADDRESS:PORT");
  }
  return result_of("data_dir", State::failing, opened.error().message);
}

constexpr const char* kMoveAway =
    "Restore a backup, or move the file away (with its -wal and -shm): the next start makes a new "
    "one from the log as far as that reaches. `sqlite3 FILE .recover` may save older rows";

constexpr const char* kSetAsideNext =
    "The next start sets it aside and makes a new one from the log as far as that reaches. "
    "`sqlite3 FILE .recover` may save older rows";

std::string database_in(const std::string& data_dir) {
  return data_dir + "/streamobs.db";
}

/// What the checks say of the database, and whether it is because it is damaged.
struct FoundDatabase {
  CheckResult result;
  bool damaged = false;
};

FoundDatabase check_tables(const std::string& path, const store::Inspection& inspection) {
  for (const std::string& table : inspection.tables()) {
    const Result<std::optional<std::string>> checked = inspection.check(table);
    if (checked.has_error()) {
      return {result_of("database", State::failing, checked.error().message,
                        "Check the disk, and who owns the file")};
    }
    if (checked->has_value()) {
      return {result_of("database", State::failing,
                        fmt::format("{} is damaged: {}: {}", path, table, **checked), kMoveAway),
              true};
    }
  }
  // Sound to SQLite, and yet a start sets it aside.
  const Result<store::LogPosition> position = inspection.position();
  if (position.has_error() && position.error().code == ErrorCode::corrupt) {
    return {
        result_of("database", State::failing,
                  fmt::format("{} is damaged: {}", path, position.error().message), kSetAsideNext),
        true};
  }
  return {result_of("database", State::ok,
                    fmt::format("{} tables were read, and are sound", inspection.tables().size()))};
}

/// `in_use`: an engine may be writing it.
FoundDatabase check_database(const std::string& data_dir, bool in_use) {
  const std::string path = database_in(data_dir);
  if (!exists(path)) {
    return {result_of("database", State::no_data,
                      fmt::format("there is none; the next start makes {}", path))};
  }
  if (store::damage_noted(path)) {
    return {result_of("database", State::failing,
                      fmt::format("{} was found to be damaged while the engine ran", path),
                      kSetAsideNext),
            true};
  }
  const Result<store::Inspection> opened =
      in_use ? store::Inspection::open(path) : store::Inspection::look(path);
  if (opened.has_error()) {
    const bool damaged = opened.error().code == ErrorCode::corrupt;
    return {result_of("database", State::failing,
                      damaged ? fmt::format("{} is damaged: {}", path, opened.error().message)
                              : opened.error().message,
                      damaged ? kMoveAway : ""),
            damaged};
  }
  FoundDatabase found = check_tables(path, *opened);
  if (in_use || found.result.state == State::ok || !opened->was_written()) return found;
  return {result_of("database", State::warning,
                    fmt::format("{} was written by another program while it was read, so what was "
                                "found says nothing: {}",
                                path, found.result.detail),
                    "Close what has it open (a sqlite3 shell?), and ask again")};
}

// --- Whether all of it belongs together

CheckResult check_checkpoint(const std::string& data_dir, const Remains& remains) {
  const std::string why = fmt::format("{}", fmt::join(remains.passed_over, "; "));
  if (remains.newest == 0) {
    if (why.empty()) {
      return result_of("checkpoint", State::no_data,
                       "there is none: a start replays the log from its beginning");
    }
    return result_of("checkpoint", State::warning, fmt::format("none can be used: {}", why),
                     "Nothing is lost: the log has all of its records, and the next start replays "
                     "them all, which takes longer. Check the disk");
  }
  if (!why.empty()) {
    return result_of("checkpoint", State::warning,
                     fmt::format("the newest cannot be used: {}. The one before it, of record {}, "
                                 "was read whole",
                                 why, remains.newest),
                     "Nothing is lost: the next start takes that one and replays more of the log. "
                     "Check the disk");
  }
  return result_of("checkpoint", State::ok,
                   fmt::format("the newest in {}/checkpoint, of record {}, was read whole",
                               data_dir, remains.newest));
}

CheckResult refused(const Error& why) {
  return result_of("recovery", State::failing,
                   fmt::format("the next start is refused: {}", why.message));
}

/// What becomes of a database that says `found` of itself, and that the checks have found to be
/// damaged, or sound.
CheckResult check_recovery(const std::string& data_dir, const Remains& remains,
                           const store::LogPosition& found, bool damaged) {
  // What it says is judged before the start gets to the damage.
  const Result<GoingOn> as_found = judge_coherence(found, data_dir, remains.log, 0);
  if (as_found.has_error()) return refused(as_found.error());
  const store::LogPosition database = damaged ? store::LogPosition{} : found;
  const Result<GoingOn> going_on =
      judge_coherence(database, data_dir, remains.log, remains.checkpoint);
  if (going_on.has_error()) return refused(going_on.error());
  const std::uint64_t last = remains.log.next_sequence - 1;
  if (last == 0) {
    return result_of("recovery", State::no_data, "there is nothing yet to go on from");
  }
  std::string has = "the database has no results";
  if (damaged) {
    has =
        "the database is damaged: the start that meets the damage sets it aside and begins a new "
        "one";
  } else if (database.applied != 0) {
    has = fmt::format("the database has results up to record {}", database.applied);
  }
  const std::string replayed =
      last == remains.checkpoint
          ? std::string("nothing is to be replayed")
          : fmt::format("records {} to {} are replayed", remains.checkpoint + 1, last);
  constexpr const char* kAfterThat =
      "It is ready to take events only after that. If the database that belongs to it is at hand "
      "(or a backup), put that back first";
  switch (*going_on) {
    case GoingOn::from_the_checkpoint:
      break;
    case GoingOn::from_the_beginning:
      return result_of(
          "recovery", State::warning,
          fmt::format("{}; the oldest checkpoint is of record {}: the start rebuilds what is "
                      "missing from the whole log, {} records",
                      has, remains.checkpoint, last),
          kAfterThat);
    case GoingOn::with_a_gap:
      return result_of(
          "recovery", State::failing,
          fmt::format(
              "{}; the log begins with record {}, and the oldest checkpoint that it follows "
              "is of record {}: the start goes on from that, but results of records {} to "
              "{} that are not in the database are lost",
              has, remains.log.first_sequence, remains.checkpoint, database.applied + 1,
              remains.checkpoint),
          fmt::format("Before the next start put back the {} that belongs to it, or restore a "
                      "backup; what is in the log and in the checkpoint is safe",
                      database_in(data_dir)));
  }
  if (damaged) {
    return result_of("recovery", State::warning,
                     fmt::format("{}; the log has all that it lacks: {}", has, replayed),
                     kAfterThat);
  }
  if (remains.checkpoint < remains.newest && database.applied < remains.newest) {
    return result_of("recovery", State::warning,
                     fmt::format("{} and the newest checkpoint is of record {}: the start goes on "
                                 "from an earlier one, of record {}, and nothing is lost; {}",
                                 has, remains.newest, remains.checkpoint, replayed),
                     kAfterThat);
  }
  return result_of("recovery", State::ok,
                   fmt::format("log, checkpoint and database belong together; {}", replayed));
}

/// `damaged`: what check_database() has found.
void check_coherence(const std::string& data_dir, bool damaged, std::vector<CheckResult>& checks) {
  const Result<store::LogPosition> database = look_at_database(posix_file_system(), data_dir);
  const std::uint64_t applied = database.has_value() && !damaged ? database->applied : 0;
  const Result<Remains> remains = look_at_remains(posix_file_system(), data_dir, applied);
  if (remains.has_error()) {
    checks.push_back(refused(remains.error()));
    return;
  }
  checks.push_back(check_checkpoint(data_dir, *remains));
  checks.push_back(database.has_error() ? refused(database.error())
                                        : check_recovery(data_dir, *remains, *database, damaged));
}

CheckResult check_log(const std::string& data_dir) {
  if (!exists(data_dir + "/wal")) {
    return result_of("log", State::no_data, "there is none");
  }
  std::vector<std::string> lines;
  const Result<> verified =
      verify_log(data_dir, [&lines](std::string_view line) { lines.emplace_back(line); });
  if (verified.has_value()) {
    return result_of(
        "log", State::ok,
        lines.empty() ? std::string("every record was read, and is sound") : lines.back());
  }
  if (verified.error().code == ErrorCode::unavailable) {
    return result_of("log", State::no_data, "it is being written, and is checked as it is",
                     "To check every byte of it beside the engine: streamobs backup --whole-log");
  }
  return result_of("log", State::failing, verified.error().message,
                   fmt::format("`streamobs wal verify --data-dir {}` names every place and what it "
                               "means for the next start",
                               data_dir));
}

}  // namespace

health::Report check_offline(const std::string& data_dir, const health::HealthOptions& options,
                             std::vector<health::CheckResult> known) {
  health::Report report;
  report.checks = std::move(known);
  if (!exists(data_dir)) {
    // Not made by looking for it.
    report.checks.push_back(result_of(
        "data_dir", State::warning, fmt::format("there is no {}: nothing was looked at", data_dir),
        "--config or --data-dir say where the data of the engine is; its first start makes "
        "it"));
  } else {
    // Kept until all has been looked at: no engine starts meanwhile.
    const Result<store::DataDir> locked = store::DataDir::look(data_dir);
    const bool in_use = locked.has_error() && locked.error().code == ErrorCode::unavailable;
    report.checks.push_back(check_data_dir(data_dir, locked));
    report.checks.push_back(
        health::judge_disk(HealthProbe::look_at_disk(data_dir), options.disk_free_bytes));
    FoundDatabase database = check_database(data_dir, in_use);
    report.checks.push_back(std::move(database.result));
    report.checks.push_back(check_log(data_dir));
    if (!in_use) check_coherence(data_dir, database.damaged, report.checks);
    if (locked.has_value() && !locked->is_locked() && exists(data_dir + "/lock")) {
      report.checks.push_back(result_of("data_dir", State::warning,
                                        "an engine has started here while all this was looked at, "
                                        "so it may be wrong",
                                        "Ask again"));
    }
  }
  const Timestamp now = SystemClock().now();
  for (CheckResult& check : report.checks) check.checked_at = now;
  std::stable_sort(report.checks.begin(), report.checks.end(),
                   [](const CheckResult& a, const CheckResult& b) { return a.state > b.state; });
  report.state = health::worst_of(report.checks);
  return report;
}

}  // namespace streamobs::app
