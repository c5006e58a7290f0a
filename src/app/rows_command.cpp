#include "app/rows_command.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <unistd.h>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/merged_rows.h"
#include "app/state_merging.h"
#include "app/topology.h"
#include "event/result_json.h"
#include "serve/window_query.h"
#include "store/snapshot.h"

namespace streamobs::app {

namespace {

/// Rows in the answer; all that they are made of is read into memory.
constexpr const char* kRowsMax = "100000";

/// Where copies are made; removed with all that is in it.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "streamobs-rows-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A copy of what the process there has committed.
Result<std::unique_ptr<store::Database>> open_copy(const Plan& plan, const std::string& data_dir,
                                                   const std::string& path) {
  const Result<store::Snapshot> snapshot = store::Snapshot::take(data_dir + "/streamobs.db");
  if (snapshot.has_error()) return snapshot.error();
  const auto no_progress = [](std::uint64_t) -> Result<> { return {}; };
  if (Result<> copied = snapshot->copy_to(path, no_progress); copied.has_error()) {
    return copied.error();
  }
  store::StoreOptions options = plan.config.store;
  options.path = path;
  options.outboxes.clear();
  return store::Database::open(options, plan.schemas());
}

Result<serve::WindowQuestion> question_of(const RowsOptions& options, const WindowSchema& schema) {
  serve::QueryParameters parameters{{"limit", kRowsMax}};
  std::string by = options.by;
  for (const ResultColumn& key : schema.keys) {
    if (!options.by.empty() || key.name == "instance") continue;
    by += (by.empty() ? "" : ",") + key.name;
  }
  if (!by.empty()) parameters.emplace_back("by", by);
  for (const auto& [name, value] :
       {std::pair<std::string_view, const std::string*>{"step", &options.step},
        {"quantile", &options.quantile},
        {"from", &options.from},
        {"to", &options.to}}) {
    if (!value->empty()) parameters.emplace_back(name, *value);
  }
  Result<serve::WindowQuestion> question = serve::read_window_question(parameters, schema);
  if (question.has_error()) return question;
  if (!question->merge) {
    question->merge.emplace();
    question->merge->rows = question->rows;
  }
  if (by.empty()) question->merge->by.clear();
  return question;
}

Result<> print_rows(const Plan& plan, const RowsOptions& options) {
  const std::optional<WindowOfPlan> found = find_window(plan, options.window);
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("the config has no window '{}'", options.window));
  }
  const WindowSchema& schema = *found->window->schema;
  Result<serve::WindowQuestion> question = question_of(options, schema);
  if (question.has_error()) return question.error();
  const serve::MergeQuery& merge = *question->merge;
  const Scratch scratch;
  if (scratch.path().empty()) {
    return fail(ErrorCode::io, "no directory can be made in TMPDIR for copies of the databases");
  }
  std::vector<std::unique_ptr<store::Database>> databases;
  for (const std::string& data_dir : options.data_dirs) {
    Result<std::unique_ptr<store::Database>> copy =
        open_copy(plan, data_dir, fmt::format("{}/{}.db", scratch.path(), databases.size()));
    if (copy.has_error()) {
      return fail(copy.error().code, fmt::format("{}: {}", data_dir, copy.error().message));
    }
    databases.push_back(std::move(*copy));
  }
  std::vector<const store::Database*> all;
  for (const auto& database : databases) all.push_back(database.get());
  const Result<std::vector<WindowRow>> rows = added_rows(plan, all, merge);
  if (rows.has_error()) return rows.error();
  WindowSchema shown;
  shown.window = schema.window;
  for (const std::size_t key : merge.by) shown.keys.push_back(schema.keys[key]);
  shown.metrics = schema.metrics;
  for (const serve::MergeQuery::Quantile& quantile : merge.quantiles) {
    shown.metrics.push_back({quantile.name, {Kind::floating, 0}});
  }
  for (const WindowRow& row : *rows) {
    std::string line;
    JsonWriter json(line);
    write(json, shown, row);
    fmt::print("{}\n", line);
  }
  return {};
}

}  // namespace

CLI::App* add_rows_command(CLI::App& app, RowsOptions& options) {
  CLI::App* const command = app.add_subcommand(
      "rows",
      "A window's closed rows out of the data directories of several processes that share their "
      "input, added up");
  command->add_option("window", options.window, "Which window of the config")->required();
  command->add_option("data_dirs", options.data_dirs, "One for each process, running or not")
      ->required();
  command->add_option("--by", options.by,
                      "Keys that are kept, separated by commas; by default all but instance");
  command->add_option("--step", options.step,
                      "Windows merged to such longer ones, a multiple of their size");
  command->add_option("--quantile", options.quantile,
                      "Quantiles that no metric is: FIELD:P, separated by commas");
  command->add_option("--from", options.from, "Windows that begin then or later");
  command->add_option("--to", options.to, "Windows that begin before then");
  return command;
}

int print_added_rows(const Plan& plan, const RowsOptions& options) {
  const Result<> printed = print_rows(plan, options);
  if (printed.has_value()) return 0;
  fmt::print(stderr, "{}\n", printed.error().message);
  return exit_code_of(printed.error().code);
}

}  // namespace streamobs::app
