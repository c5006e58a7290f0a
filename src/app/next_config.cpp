#include "app/next_config.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "app/lookups.h"

namespace streamobs::app {

namespace {

/// Changes that are named in a line of the log; the API has all.
constexpr std::size_t kChangesNamed = 20;

bool has_errors(const Diagnostics& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::error; });
}

void add(Diagnostics& diagnostics, const config::Config& config, std::string message,
         std::string hint) {
  Diagnostic diagnostic;
  diagnostic.place.file = config.file;
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  diagnostics.push_back(std::move(diagnostic));
}

bool is_among(const std::vector<source::SourceOptions>& sources,
              const source::SourceOptions& wanted) {
  return std::any_of(sources.begin(), sources.end(), [&](const source::SourceOptions& source) {
    return source.type == wanted.type && source.name.text == wanted.name.text;
  });
}

/// However they are spelled.
bool same_directory(const std::string& one, const std::string& other) {
  std::error_code not_there;
  return one == other || std::filesystem::equivalent(one, other, not_there);
}

/// What only another process can have otherwise.
void check_lasting(const config::Config& now, const config::Config& next,
                   const std::vector<std::string>& reading, Diagnostics& diagnostics) {
  if (!same_directory(next.data_dir, now.data_dir)) {
    add(diagnostics, next,
        fmt::format("data_dir = \"{}\": the running engine has its data in \"{}\"", next.data_dir,
                    now.data_dir),
        "a reload cannot move it: put the old one back, or restart the process");
  }
  for (const std::string& source : reading) {
    add(diagnostics, next,
        fmt::format("[source.{}] reads standard input, some of which may have been read and not "
                    "yet be counted: a reload would lose it",
                    source),
        "reload when its input has ended, or restart the process then");
  }
  for (const source::SourceOptions& source : next.sources) {
    if (source.type != source::Type::standard_input || is_among(now.sources, source)) continue;
    add(diagnostics, next,
        fmt::format("[source.{}] is to read standard input, which is the process's, not a config's",
                    source.name.text),
        "a reload cannot add it: restart the process with the input that is meant");
  }
}

}  // namespace

Result<NextConfig> read_next_config(const ReadPlan& read, const Setting& now,
                                    const std::vector<std::string>& reading) {
  Diagnostics diagnostics;
  NextConfig next;
  next.setting.plan = read(diagnostics);
  if (next.setting.plan != nullptr) {
    check_lookup_files(*next.setting.plan, diagnostics);
    check_lasting(now.plan->config, next.setting.plan->config, reading, diagnostics);
  }
  if (next.setting.plan == nullptr || has_errors(diagnostics)) {
    return fail(ErrorCode::invalid, config::to_text(diagnostics, false));
  }
  const http::HttpOptions& http = next.setting.plan->config.http;
  if (http.enabled && now.listener != nullptr && now.listener->serves(http)) {
    next.setting.listener = now.listener;
  } else if (http.enabled) {
    Result<std::unique_ptr<http::Listener>> opened = http::Listener::open(http, now.listener.get());
    if (opened.has_error()) return fail(ErrorCode::invalid, opened.error().message);
    next.setting.listener = std::move(*opened);
  }
  next.changes = config::changes_between(now.plan->config, next.setting.plan->config);
  next.warnings = std::move(diagnostics);
  return next;
}

std::string in_words(const std::vector<config::SectionChange>& changes) {
  if (changes.empty()) return "nothing";
  std::string words;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (i == kChangesNamed) return words + fmt::format(" and {} more", changes.size() - i);
    const config::SectionChange& change = changes[i];
    words += fmt::format("{}{} {}{}{}", i == 0 ? "" : ", ", config::to_text(change.what),
                         change.section, change.name.empty() ? "" : ".", change.name);
  }
  return words;
}

}  // namespace streamobs::app
