// The whole of obs.toml as typed options. `config` knows each folder's options and nothing more;
// whether expressions fit the fields is checked where the plan is made (app/plan).
//
// Read once at the start; plain data afterwards. docs/config.md describes every key.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/source_text.h"
#include "decode/options.h"
#include "detect/options.h"
#include "health/options.h"
#include "http/options.h"
#include "kafka/options.h"
#include "narrate/options.h"
#include "serve/options.h"
#include "sink/options.h"
#include "source/options.h"
#include "store/options.h"
#include "wal/options.h"
#include "window/options.h"

namespace streamobs::config {

/// A file as it stands.
struct ConfigFile {
  std::string name;
  std::string text;
};

struct JoinConfig {
  window::JoinOptions options;
  /// The stream of its rows: name, derived fields and filter as they stand in the section; the
  /// fields follow from the two sides (app/plan_join).
  decode::StreamOptions stream;
};

struct Config {
  std::string file;  ///< Where it was read from, for messages.
  /// What the log notes as the config in force: the text of the file as it stands, or, if others
  /// are included or variables put in, one that says the same by itself. Secrets are not in it,
  /// only where they are found.
  std::string text;
  std::vector<ConfigFile> files;  ///< The given one first, then those that are included.
  std::string data_dir = "./data";
  /// What the rows of this process are called where it shares its input with others; empty: it does
  /// not, and no source is in a consumer group.
  std::string instance;
  std::size_t threads = 0;  ///< Threads that run the io_context; 0: one for each core.
  std::size_t lanes = 0;    ///< Decode and window lanes; 0: as many as threads.
  log::Level log_level = log::Level::info;
  log::Format log_format = log::Format::automatic;

  http::HttpOptions http;
  store::StoreOptions store;
  wal::WalOptions wal;
  narrate::IncidentOptions incidents;
  health::HealthOptions health;
  std::vector<source::SourceOptions> sources;  ///< Each list in the file's order.
  std::vector<decode::StreamOptions> streams;
  std::vector<decode::LookupOptions> lookups;
  std::vector<JoinConfig> joins;
  std::vector<window::WindowOptions> windows;
  std::vector<detect::RuleOptions> rules;
  std::vector<sink::SinkOptions> sinks;
  std::vector<kafka::TopicOptions> topics;
  std::vector<serve::EndpointOptions> endpoints;
};

/// What there is in a file, mistakes or not.
struct Reading {
  /// None where the text is no TOML. Not `complete`: a mistake was found, and this is what could be
  /// read: a value that is wrong is as if it were not there, and sections say of themselves that
  /// they have a mistake. Not to be run, but to look for further mistakes in (see make_plan()), so
  /// that they need not come in rounds.
  std::optional<Config> config;
  bool complete = false;
};

/// Parses TOML text as far as it makes sense. Every mistake found is added to `diagnostics`, in the
/// file's order. `file` is the name used in messages.
Reading read(std::string_view toml, std::string file, Diagnostics& diagnostics);
/// Reads and parses a file.
Reading read_file(const std::string& path, Diagnostics& diagnostics);

/// Parses the config that was in force at an earlier time, Config::text, to go through what was
/// logged then. It says everything by itself: "${" is nothing but these characters. Its
/// [http], endpoints and the options of Kafka are left out: neither secrets nor addresses need
/// still be there.
std::optional<Config> parse_past(std::string_view toml, std::string file, Diagnostics& diagnostics);

/// Shows the line where a diagnostic about this config stands, for those from `first` on that show
/// none.
void add_excerpts(const Config& config, Diagnostics& diagnostics, std::size_t first);

/// Puts diagnostics about a config into its files' order; of one place, the order of finding stays.
void sort_by_place(const Config& config, Diagnostics& diagnostics);

/// Parses TOML text. Every mistake found is added to `diagnostics`, in the file's order; the config
/// is returned only where none of them is an error. `file` is the name used in messages.
std::optional<Config> parse(std::string_view toml, std::string file, Diagnostics& diagnostics);

/// What --data-dir does: the directory, and the database in it.
void set_data_dir(Config& config, std::string data_dir);

/// What --listen does, with the same checks as [http] listen. False after an error.
bool set_listen(Config& config, std::string listen, Diagnostics& diagnostics);

/// Both, where they are given.
void override_with(Reading& reading, const std::string& data_dir, const std::string& listen,
                   Diagnostics& diagnostics);

/// Diagnostics as a person reads them: file:line:column, what is wrong, the excerpt, the hint.
std::string to_text(const Diagnostics& diagnostics, bool colour);

}  // namespace streamobs::config
