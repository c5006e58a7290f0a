#include "config/config.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "config/document.h"
#include "config/include.h"
#include "config/listen.h"
#include "config/sections.h"
#include "config/source_file.h"
#include "config/variables.h"
#include "config/write_toml.h"

namespace streamobs::config {

namespace {

Diagnostic file_problem(const std::string& path, std::string message, std::string hint) {
  Diagnostic d;
  d.place.file = path;
  d.message = std::move(message);
  d.hint = std::move(hint);
  return d;
}

/// Notes which sections have mistakes, for those who look for further ones.
void mark_mistaken(Config& config, const Report& report) {
  for (decode::StreamOptions& stream : config.streams) {
    stream.mistaken = report.has_errors_in("stream", stream.name.text);
  }
  for (JoinConfig& join : config.joins) {
    join.stream.mistaken = report.has_errors_in("join", join.options.name.text);
  }
  for (decode::LookupOptions& lookup : config.lookups) {
    lookup.mistaken = report.has_errors_in("lookup", lookup.name.text);
  }
  for (window::WindowOptions& window : config.windows) {
    window.mistaken = report.has_errors_in("window", window.name.text);
  }
}

enum class Purpose { run, past };

/// What refers to secrets, which need not be there any more, and what is about those who ask now.
void leave_out_present(Value& root) {
  std::erase_if(root.entries,
                [](const Entry& entry) { return entry.key == "http" || entry.key == "endpoint"; });
  for (Entry& section : root.entries) {
    if (section.key != "source" && section.key != "sink") continue;
    for (Entry& client : section.value.entries) {
      std::erase_if(client.value.entries, [](const Entry& e) { return e.key == "options"; });
    }
  }
}

std::vector<ConfigFile> as_read(const std::deque<SourceFile>& files) {
  std::vector<ConfigFile> all;
  for (const SourceFile& file : files) all.push_back({file.name(), file.text()});
  return all;
}

void sort_by_place(const std::vector<ConfigFile>& files, Diagnostics& diagnostics) {
  // What is about no file of these (an argument, say) comes first.
  const auto rank = [&files](const SourcePlace& place) {
    const auto of = std::find_if(files.begin(), files.end(),
                                 [&](const ConfigFile& file) { return file.name == place.file; });
    return place.line == 0 || of == files.end() ? 0 : of - files.begin() + 1;
  };
  std::stable_sort(diagnostics.begin(), diagnostics.end(),
                   [&rank](const Diagnostic& a, const Diagnostic& b) {
                     return std::tuple(rank(a.place), a.place.line, a.place.column) <
                            std::tuple(rank(b.place), b.place.line, b.place.column);
                   });
}

/// The document with what it includes and refers to. `altered`: its text alone does not say as
/// much.
std::optional<Value> resolve(Value root, std::deque<SourceFile>& files, bool& altered,
                             Report& report) {
  std::optional<Value> whole = with_includes(std::move(root), files, report);
  if (!whole) return std::nullopt;
  altered = has_variables(*whole);
  if (altered && !put_variables(*whole, report)) return std::nullopt;
  altered = altered || files.size() > 1;
  return whole;
}

/// A text that says by itself what the document does, which has no mistakes.
std::string text_of(const Value& root, Report& report) {
  std::string text = write_toml(root);
  if (text.size() > kFileBytesMax) {
    report.error({1, 1, 0}, fmt::format("with what it includes the config has {} bytes, more than "
                                        "the {} it may have",
                                        text.size(), kFileBytesMax));
  }
  return text;
}

Reading read_for(Purpose purpose, std::string_view toml, std::string file,
                 Diagnostics& diagnostics) {
  Diagnostics found;
  std::deque<SourceFile> files;
  files.emplace_back(toml.substr(0, kFileBytesMax), std::move(file));
  Report report(files.front(), found);
  Reading reading;
  bool altered = false;
  std::optional<Value> root = parse_toml(files.front(), toml, report);
  if (root && purpose == Purpose::run) root = resolve(std::move(*root), files, altered, report);
  if (root) {
    Config& config = reading.config.emplace();
    config.file = files.front().name();
    config.text = toml;
    config.files = as_read(files);
    if (purpose == Purpose::past) {
      leave_out_present(*root);
    }
    read_top_level(*root, config, report);
    check_references(config, report);
    set_data_dir(config, config.data_dir);
    if (altered && !report.has_errors()) config.text = text_of(*root, report);
    report.finish();
    reading.complete = !report.has_errors();
    mark_mistaken(config, report);
  }
  sort_by_place(as_read(files), found);
  std::move(found.begin(), found.end(), std::back_inserter(diagnostics));
  return reading;
}

std::optional<Config> if_complete(Reading reading) {
  if (!reading.complete) return std::nullopt;
  return std::move(reading.config);
}

}  // namespace

void add_excerpts(const Config& config, Diagnostics& diagnostics, std::size_t first) {
  for (const ConfigFile& file : config.files) {
    const SourceFile source(file.text, file.name);
    for (std::size_t i = first; i < diagnostics.size(); ++i) {
      Diagnostic& d = diagnostics[i];
      if (d.place.line == 0 || !d.excerpt.empty() || d.place.file != file.name) continue;
      d.excerpt = source.excerpt({d.place.line, d.place.column, 1});
    }
  }
}

void sort_by_place(const Config& config, Diagnostics& diagnostics) {
  sort_by_place(config.files, diagnostics);
}

Reading read(std::string_view toml, std::string file, Diagnostics& diagnostics) {
  return read_for(Purpose::run, toml, std::move(file), diagnostics);
}

std::optional<Config> parse(std::string_view toml, std::string file, Diagnostics& diagnostics) {
  return if_complete(read(toml, std::move(file), diagnostics));
}

std::optional<Config> parse_past(std::string_view toml, std::string file,
                                 Diagnostics& diagnostics) {
  return if_complete(read_for(Purpose::past, toml, std::move(file), diagnostics));
}

Reading read_file(const std::string& path, Diagnostics& diagnostics) {
  const Result<std::string> text = read_text(path);
  if (text.has_error()) {
    diagnostics.push_back(file_problem(
        path, fmt::format("cannot read the config: {}", text.error().message),
        "--config takes the path of a TOML file; config/obs.toml is a good first one"));
    return {};
  }
  return read(*text, path, diagnostics);
}

void set_data_dir(Config& config, std::string data_dir) {
  config.data_dir = std::move(data_dir);
  config.store.path = config.data_dir;
  if (!config.store.path.ends_with('/')) config.store.path += '/';
  config.store.path += "streamobs.db";
}

bool set_listen(Config& config, std::string listen, Diagnostics& diagnostics) {
  config.http.listen = SourceText(std::move(listen));
  const auto problem = check_listen(config.http);
  if (problem) diagnostics.push_back(file_problem("--listen", problem->message, problem->hint));
  return !problem;
}

void override_with(Reading& reading, const std::string& data_dir, const std::string& listen,
                   Diagnostics& diagnostics) {
  if (!reading.config) return;
  if (!data_dir.empty()) set_data_dir(*reading.config, data_dir);
  if (!listen.empty() && !set_listen(*reading.config, listen, diagnostics)) {
    reading.complete = false;
  }
}

}  // namespace streamobs::config
