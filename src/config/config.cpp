#include "config/config.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "config/document.h"
#include "config/listen.h"
#include "config/sections.h"
#include "config/source_file.h"

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

Reading read_for(Purpose purpose, std::string_view toml, std::string file,
                 Diagnostics& diagnostics) {
  Diagnostics found;
  const SourceFile source(toml.substr(0, kFileBytesMax), std::move(file));
  Report report(source, found);
  Reading reading;
  std::optional<Value> root = parse_toml(source, toml, report);
  if (root) {
    Config& config = reading.config.emplace();
    config.file = source.name();
    config.text = toml;
    if (purpose == Purpose::past) {
      leave_out_present(*root);
    }
    read_top_level(*root, config, report);
    check_references(config, report);
    set_data_dir(config, config.data_dir);
    report.finish();
    reading.complete = !report.has_errors();
    mark_mistaken(config, report);
  }
  sort_by_place(found);
  std::move(found.begin(), found.end(), std::back_inserter(diagnostics));
  return reading;
}

std::optional<Config> if_complete(Reading reading) {
  if (!reading.complete) return std::nullopt;
  return std::move(reading.config);
}

}  // namespace

void add_excerpts(const Config& config, Diagnostics& diagnostics, std::size_t first) {
  const SourceFile source(config.text, config.file);
  for (std::size_t i = first; i < diagnostics.size(); ++i) {
    Diagnostic& d = diagnostics[i];
    if (d.place.line == 0 || !d.excerpt.empty()) continue;
    d.excerpt = source.excerpt({d.place.line, d.place.column, 1});
  }
}

void sort_by_place(Diagnostics& diagnostics) {
  std::stable_sort(
      diagnostics.begin(), diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
      });
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
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.eof() && !in) {
    const std::string why = errno != 0 ? std::generic_category().message(errno) : "it is no file";
    diagnostics.push_back(file_problem(path, fmt::format("cannot read the config: {}", why),
                                       "--config takes the path of a TOML file; config/obs.toml "
                                       "is a good first one"));
    return {};
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  return read(text, path, diagnostics);
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
