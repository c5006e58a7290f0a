#include "app/cli.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/backup_command.h"
#include "app/config_arguments.h"
#include "app/dlq_command.h"
#include "app/doctor_command.h"
#include "app/explain.h"
#include "app/kafka_command.h"
#include "app/log_query.h"
#include "app/log_replay.h"
#include "app/lookups.h"
#include "app/plan.h"
#include "app/replay.h"
#include "app/rows_command.h"
#include "app/run.h"
#include "app/tap_command.h"
#include "app/wal_command.h"
#include "base/duration.h"
#include "base/version.h"
#include "config/config.h"
#include "config/keys.h"
#include "decode/time_text.h"
#include "loadgen/cli.h"

namespace streamobs::app {

namespace {

constexpr const char* kFooter = R"(
Examples:
  streamobs --config config/obs.toml               run, with the dashboard on http://127.0.0.1:8080
  streamobs validate --config obs.toml             all mistakes of a config at once, with their places
  streamobs replay --config obs.toml --stream requests old.ndjson
                                                   count old files into the database, then end
  streamobs backup --config obs.toml --to B        copy all its data, while it runs; restore is the
                                                   way back
  streamobs dlq list --data-dir data               which events were refused, and why; dlq replay sends
                                                   them again
  streamobs doctor --config obs.toml               is all well? asks the running engine, or looks at
                                                   what it has left
  streamobs tap service_metrics                    print a window's rows as they come; or a stream's
                                                   events, anomalies, incidents
  streamobs kafka topics --config obs.toml --create
                                                   make the topics that its sources and sinks need
  streamobs wal verify --data-dir data             check every byte of the write-ahead log
  streamobs loadgen services --rate 100            send made-up events to a running streamobs
  curl -d '{"event_time":"2026-01-09T12:34:56Z","service":"checkout","latency_ms":12,"status_code":200}' \
    -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/events/requests

Without --config, obs.toml is looked for in $XDG_CONFIG_HOME/streamobs, ~/.config/streamobs and
/etc/streamobs.

Exit codes: 0 done, doctor: 1 warnings, 2 something fails, 65 replay: not one event could be taken, dlq replay: some are refused still,
66 kafka topics: some are missing, 70 our fault, 71 out of memory, 74 disk or log damage, 75 try again, 78 bad config or arguments.
docs/operations.md says more.)";

std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Of all commands, those that take an option: "backup, restore".
std::string commands_with(const CLI::App& app, const std::string& option) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_option_no_throw(option) == nullptr) continue;
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return names;
}

/// For what was not expected on the command line: what the command takes that is spelt alike, or
/// whose it is.
void print_options_meant(const CLI::App& app) {
  const CLI::App* called = &app;
  while (!called->get_subcommands().empty()) called = called->get_subcommands().back();
  const std::vector<std::string> names = options_of(*called);
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const std::string& unknown : app.remaining(true)) {
    const std::string option = unknown.substr(0, unknown.find('='));
    if (!option.starts_with("--")) continue;
    const std::string owners = commands_with(app, option);
    std::string hint = config::did_you_mean(option, known, "");
    if (!owners.empty()) {
      hint = fmt::format("`{}` does not take it; these do: {}", called->get_name(), owners);
    }
    if (!hint.empty()) fmt::print(stderr, "{}: {}\n", unknown, hint);
  }
}

int validate(const ConfigArguments& arguments, bool deny_warnings, bool explained) {
  Diagnostics diagnostics;
  const std::shared_ptr<const Plan> plan =
      make_plan(read_config(arguments, diagnostics), diagnostics);
  if (plan != nullptr) check_lookup_files(*plan, diagnostics);
  print(diagnostics);
  const bool wrong = std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& d) {
    return d.severity == Diagnostic::Severity::error;
  });
  if (plan == nullptr || wrong || (deny_warnings && !diagnostics.empty())) return kExitBadConfig;
  const auto counted = [](std::size_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
  };
  // A join is a stream as well, to those who read it; here each counts as what the file calls it.
  fmt::print("{} is valid: {}, {}, {}, {}, {}, {}\n", plan->config.file,
             counted(plan->streams.size() - plan->joins.size(), "stream"),
             counted(plan->joins.size(), "join"), counted(plan->windows.size(), "window"),
             counted(plan->config.rules.size(), "rule"),
             counted(plan->config.sources.size(), "source"),
             counted(plan->config.sinks.size(), "sink"));
  if (explained) fmt::print("\n{}", explain(*plan));
  return 0;
}

int run_engine(const ConfigArguments& arguments) {
  return Run([&arguments](Diagnostics& diagnostics) {
           return make_plan(read_config(arguments, diagnostics), diagnostics);
         })
      .run();
}

int replay_log(const ConfigArguments& arguments, const LogReplayOptions& options) {
  const std::shared_ptr<const Plan> plan =
      plan_of(arguments, [&options](config::Config& config, Diagnostics& diagnostics) {
        return prepare_log_replay(config, options, diagnostics);
      });
  return plan == nullptr ? kExitBadConfig : run_log_replay(plan, options);
}

int replay(const ConfigArguments& arguments, const ReplayOptions& options) {
  const std::shared_ptr<const Plan> plan =
      plan_of(arguments, [&options](config::Config& config, Diagnostics& diagnostics) {
        return prepare_replay(config, options, diagnostics);
      });
  return plan == nullptr ? kExitBadConfig : run_replay(plan);
}

/// Where the data is.
void add_place_options(CLI::App& app, ConfigArguments& arguments) {
  app.add_option("-c,--config", arguments.file, "The config, a TOML file (docs/config.md)");
  app.add_option("--data-dir", arguments.data_dir,
                 "Where all data is kept (log, checkpoints, database), instead of the config's");
}

void add_config_options(CLI::App& app, ConfigArguments& arguments) {
  add_place_options(app, arguments);
  app.add_option("--listen", arguments.listen,
                 "ADDRESS:PORT of HTTP, instead of the config's; port 0 picks a free one");
}

/// Durations and times on the command line are written as in the config and in events.
CLI::Option* add_duration(CLI::App& app, const char* name, Duration& into, const char* help) {
  return app.add_option_function<std::string>(
      name,
      [&into, name](const std::string& text) {
        const Result<Duration> parsed = parse_duration(text);
        if (parsed.has_error()) throw CLI::ValidationError(name, parsed.error().message);
        into = *parsed;
      },
      help);
}

CLI::App* add_loadgen(CLI::App& app, loadgen::LoadgenOptions& options, std::string& start) {
  CLI::App* const command = app.add_subcommand(
      "loadgen", "Make up events and send them to a running streamobs, to Kafka, a file or stdout");
  command->add_option("scenario", options.scenario, "services, transactions, metrics, logs or llm")
      ->capture_default_str();
  command
      ->add_option("--target", options.target,
                   "http://HOST:PORT of a streamobs, or kafka://HOST:PORT[/TOPIC]")
      ->capture_default_str();
  command->add_option("-o,--file", options.file, "Write NDJSON here instead; - is stdout");
  command->add_option("--rate", options.rate, "Events per second; 0: as fast as possible")
      ->capture_default_str();
  command->add_option("--event-rate", options.event_rate,
                      "Events per second of event time, where it differs from --rate");
  command->add_option("--events", options.events, "Stop after so many events");
  add_duration(*command, "--duration", options.duration,
               "Stop after this long, such as 90s or 10m");
  command->add_option("--start", start,
                      "Event time of the first event, such as 2026-01-09T12:00:00Z");
  command->add_option("--seed", options.seed, "The same seed gives the same events")
      ->capture_default_str();
  command->add_option("--anomalies", options.anomaly_share, "Share of events in injected anomalies")
      ->capture_default_str();
  command->add_option("--keys", options.keys, "Cardinality: so many services, users or tenants");
  command->add_option("--batch", options.batch, "Events per request")->capture_default_str();
  command->add_option("--connections", options.connections, "HTTP connections")
      ->capture_default_str();
  command->add_option("--bearer", options.bearer, "Token, as env:NAME or file:PATH");
  command->add_option("--truth", options.truth_file,
                      "Write what was really sent here, as JSON (docs/loadgen.md)");
  command->add_flag("-q,--quiet", options.quiet, "No progress, no summary");
  return command;
}

/// What part of the history in a log is meant.
template <class Options>
void add_part_of_log(CLI::App& command, Options& options, CLI::Option* from_log) {
  command.add_option("--where", options.where, "Only events for which this expression is true")
      ->needs(from_log);
  command.add_option("--from", options.from, "Only events of this time or later")->needs(from_log);
  command.add_option("--to", options.to, "Only events before this time")->needs(from_log);
}

CLI::App* add_query(CLI::App& app, ConfigArguments& arguments, LogQueryOptions& options) {
  CLI::App* const command =
      app.add_subcommand("query", "Print events from a log as NDJSON, of a running engine too");
  CLI::Option* const from_log =
      command
          ->add_option("--from-log", options.directory,
                       "The data directory of an engine; without DIR that of --config")
          ->expected(0, 1)
          ->type_name("[DIR]")
          ->required();
  add_place_options(*command, arguments);
  command->add_option("-s,--stream", options.stream, "Whose events; the only stream by default");
  add_part_of_log(*command, options, from_log);
  command->add_option("--limit", options.limit, "Stop after so many events");
  return command;
}

CLI::App* add_replay(CLI::App& app, ConfigArguments& arguments, ReplayOptions& options,
                     LogReplayOptions& log) {
  CLI::App* const command = app.add_subcommand(
      "replay",
      "Read files, or an engine's log, to their end as fast as possible, close every window into "
      "the store, end");
  add_config_options(*command, arguments);
  command->add_option("-s,--stream", options.stream,
                      "Whose events the files hold; the only stream by default");
  CLI::Option* const format =
      command->add_option("--format", options.format,
                          "json, ndjson, csv, access_log, syslog, logfmt or pattern; that of the "
                          "stream by default");
  CLI::Option* const files =
      command->add_option("files", options.files, "Files, .gz too; read in this order");
  CLI::Option* const from_log =
      command
          ->add_option("--from-log", log.directory,
                       "Instead of files: the history in the log of this data directory")
          ->excludes(files)
          ->excludes(format);
  add_part_of_log(*command, log, from_log);
  return command;
}

}  // namespace

int run_cli(int argc, char** argv) {
  CLI::App app{
      "streamobs: events in; windows, anomalies, incidents in plain words and a live dashboard "
      "out.",
      "streamobs"};
  app.set_version_flag("--version", fmt::format("streamobs {}", kVersion));
  ConfigArguments arguments;
  add_config_options(app, arguments);

  CLI::App* const validating = app.add_subcommand(
      "validate", "Check a config: every mistake, each with its place and a hint");
  bool deny_warnings = false;
  add_config_options(*validating, arguments);
  validating->add_flag("--deny-warnings", deny_warnings, "Exit 78 on a warning as well");
  bool explained = false;
  validating->add_flag("--explain", explained, "Say in plain words what the config means");

  ReplayOptions replay_options;
  LogReplayOptions log_replay_options;
  CLI::App* const replaying = add_replay(app, arguments, replay_options, log_replay_options);

  LogQueryOptions query_options;
  CLI::App* const querying = add_query(app, arguments, query_options);

  loadgen::LoadgenOptions load;
  std::string load_start;
  CLI::App* const loading = add_loadgen(app, load, load_start);

  CLI::App* const backing_up = app.add_subcommand(
      "backup", "Copy all that the engine keeps, while it runs or not (docs/operations.md)");
  add_place_options(*backing_up, arguments);
  CLI::App* const restoring = app.add_subcommand(
      "restore", "Make a data directory of a backup, for an engine to go on from");
  add_place_options(*restoring, arguments);
  const std::map<std::string, OnDataDir> on_data_dir{{"wal", add_wal_command(app)},
                                                     {"backup", add_backup_options(*backing_up)},
                                                     {"restore", add_restore_options(*restoring)}};

  CLI::App* const dead_letters = app.add_subcommand(
      "dlq", "The events that could not be taken: list them, show one, send them again");
  add_place_options(*dead_letters, arguments);
  const std::function<int(const DlqPlace&)> on_dead_letters = add_dlq_command(*dead_letters);

  CLI::App* const tapping = app.add_subcommand(
      "tap",
      "Print what happens in a running engine: a window's rows, a stream's events, anomalies…");
  tapping->add_option("-c,--config", arguments.file, "The config, which says where it listens");
  const std::function<int(const std::function<Result<ApiTarget>()>&)> on_tap =
      add_tap_command(*tapping);

  CLI::App* const examining = app.add_subcommand(
      "doctor", "Say whether all is well: asks the running engine, or checks what it has left");
  add_config_options(*examining, arguments);
  const std::function<int(const DoctorPlace&)> on_doctor = add_doctor_command(*examining);

  CLI::App* const kafka = app.add_subcommand("kafka", "What the config needs of Kafka's brokers");
  CLI::App* const topics = kafka->add_subcommand(
      "topics", "List the topics that sources and sinks need, and which of them there are");
  kafka->require_subcommand(1);
  bool create_topics = false;
  add_config_options(*topics, arguments);
  topics->add_flag("--create", create_topics, "Make those that are missing, as [topic.NAME] says");

  RowsOptions rows_options;
  CLI::App* const adding = add_rows_command(app, rows_options);
  add_config_options(*adding, arguments);

  app.footer(kFooter);  // Subcommands made after it would take it over.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) print_options_meant(app);
    return code == 0 ? 0 : kExitBadConfig;
  }
  if (*validating) return validate(arguments, deny_warnings, explained);
  for (const auto& [name, run] : on_data_dir) {
    if (!app.got_subcommand(name)) continue;
    const std::optional<std::string> data_dir = data_dir_of(arguments);
    return data_dir ? run(*data_dir) : kExitBadConfig;
  }
  if (*dead_letters) {
    const std::optional<std::string> data_dir = data_dir_of(arguments);
    if (!data_dir) return kExitBadConfig;
    return on_dead_letters({*data_dir, [&arguments] { return target_of(arguments); }});
  }
  if (*tapping) return on_tap([&arguments] { return target_of(arguments); });
  if (*examining) {
    const std::optional<DoctorPlace> place = doctor_place_of(arguments);
    return place ? on_doctor(*place) : kExitBadConfig;
  }
  if (*topics) {
    const std::shared_ptr<const Plan> plan = plan_of(arguments);
    return plan == nullptr ? kExitBadConfig : show_topics(*plan, create_topics);
  }
  if (*adding) {
    const std::shared_ptr<const Plan> plan = plan_of(arguments);
    return plan == nullptr ? kExitBadConfig : print_added_rows(*plan, rows_options);
  }
  if (*querying) {
    if (query_options.directory.empty()) {
      const std::optional<std::string> data_dir = data_dir_of(arguments);
      if (!data_dir) return kExitBadConfig;
      query_options.directory = *data_dir;
    }
    return run_log_query(query_options);
  }
  if (*replaying && !log_replay_options.directory.empty()) {
    log_replay_options.stream = replay_options.stream;
    return replay_log(arguments, log_replay_options);
  }
  if (*replaying && replay_options.files.empty()) {
    fmt::print(stderr, "replay needs files, or --from-log DIR; see streamobs replay --help\n");
    return kExitBadConfig;
  }
  if (*replaying) return replay(arguments, replay_options);
  if (*loading) {
    if (!load_start.empty()) {
      const std::optional<Timestamp> start = decode::TimeParser(nullptr).parse(load_start);
      if (!start) {
        fmt::print(stderr, "--start: '{}' is not a time such as 2026-01-09T12:00:00Z\n",
                   load_start);
        return kExitBadConfig;
      }
      load.start = *start;
    }
    return loadgen::run(load);
  }
  return run_engine(arguments);
}

}  // namespace streamobs::app
