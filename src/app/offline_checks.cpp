#include "app/offline_checks.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

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

CheckResult check_data_dir(const std::string& data_dir) {
  // Given back at once: the log is locked again when it is read.
  const Result<store::DataDir> opened = store::DataDir::open(data_dir);
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

CheckResult check_database(const std::string& data_dir) {
  const std::string path = data_dir + "/streamobs.db";
  if (!exists(path)) {
    return result_of("database", State::no_data,
                     fmt::format("there is none; the next start makes {}", path));
  }
  if (store::damage_noted(path)) {
    return result_of("database", State::failing,
                     fmt::format("{} was found to be damaged while the engine ran", path),
                     "The next start sets it aside and makes a new one from the log as far as that "
                     "reaches. `sqlite3 FILE .recover` may save older rows");
  }
  const Result<store::Inspection> opened = store::Inspection::open(path);
  if (opened.has_error()) {
    const bool damaged = opened.error().code == ErrorCode::corrupt;
    return result_of("database", State::failing,
                     damaged ? fmt::format("{} is damaged: {}", path, opened.error().message)
                             : opened.error().message,
                     damaged ? kMoveAway : "");
  }
  for (const std::string& table : opened->tables()) {
    const Result<std::optional<std::string>> checked = opened->check(table);
    if (checked.has_error()) {
      return result_of("database", State::failing, checked.error().message,
                       "Check the disk, and who owns the file");
    }
    if (checked->has_value()) {
      return result_of("database", State::failing,
                       fmt::format("{} is damaged: {}: {}", path, table, **checked), kMoveAway);
    }
  }
  return result_of("database", State::ok,
                   fmt::format("{} tables were read, and are sound", opened->tables().size()));
}

CheckResult check_log(const std::string& data_dir) {
  if (!exists(data_dir + "/wal")) {
    return result_of("log", State::no_data, "there is none; the next start begins one");
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
    report.checks.push_back(check_data_dir(data_dir));
    report.checks.push_back(
        health::judge_disk(HealthProbe::look_at_disk(data_dir), options.disk_free_bytes));
    report.checks.push_back(check_database(data_dir));
    report.checks.push_back(check_log(data_dir));
  }
  const Timestamp now = SystemClock().now();
  for (CheckResult& check : report.checks) check.checked_at = now;
  std::stable_sort(report.checks.begin(), report.checks.end(),
                   [](const CheckResult& a, const CheckResult& b) { return a.state > b.state; });
  report.state = health::worst_of(report.checks);
  return report;
}

}  // namespace streamobs::app
