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

/// Moves `found` to `out` in the order of the file; of one place, in the order of finding.
void append_in_order(Diagnostics& found, Diagnostics& out) {
  std::vector<std::tuple<std::uint32_t, std::uint32_t, std::size_t>> order;
  for (std::size_t i = 0; i < found.size(); ++i) {
    order.emplace_back(found[i].place.line, found[i].place.column, i);
  }
  std::sort(order.begin(), order.end());
  for (const auto& [line, column, i] : order) out.push_back(std::move(found[i]));
}

}  // namespace

std::optional<Config> parse(std::string_view toml, std::string file, Diagnostics& diagnostics) {
  Diagnostics found;
  const SourceFile source(toml.substr(0, kFileBytesMax), std::move(file));
  Report report(source, found);
  const std::optional<Value> root = parse_toml(source, toml, report);
  if (!root) {
    append_in_order(found, diagnostics);
    return std::nullopt;
  }

  Config config;
  config.file = source.name();
  read_top_level(*root, config, report);
  check_references(config, report);
  set_data_dir(config, config.data_dir);
  report.finish();
  append_in_order(found, diagnostics);
  if (report.has_errors()) return std::nullopt;
  return config;
}

std::optional<Config> load(const std::string& path, Diagnostics& diagnostics) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.eof() && !in) {
    const std::string why = errno != 0 ? std::generic_category().message(errno) : "it is no file";
    diagnostics.push_back(file_problem(path, fmt::format("cannot read the config: {}", why),
                                       "--config takes the path of a TOML file; config/obs.toml "
                                       "is a good first one"));
    return std::nullopt;
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  return parse(text, path, diagnostics);
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

}  // namespace streamobs::config
