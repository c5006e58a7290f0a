#include "app/next_config.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "app/lookups.h"

namespace streamobs::app {

namespace {

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

/// What only another process can have otherwise.
void check_lasting(const config::Config& now, const config::Config& next,
                   Diagnostics& diagnostics) {
  if (next.data_dir != now.data_dir) {
    add(diagnostics, next,
        fmt::format("data_dir = \"{}\": the running engine has its data in \"{}\"", next.data_dir,
                    now.data_dir),
        "a reload cannot move it: put the old one back, or restart the process");
  }
  for (const source::SourceOptions& source : now.sources) {
    if (source.type != source::Type::standard_input) continue;
    add(diagnostics, next,
        fmt::format("[source.{}] reads standard input, some of which may have been read and not "
                    "yet be counted: a reload would lose it",
                    source.name.text),
        "restart the process when its input has ended");
  }
}

}  // namespace

Result<NextConfig> read_next_config(const ReadPlan& read, const Setting& now) {
  Diagnostics diagnostics;
  NextConfig next;
  next.setting.plan = read(diagnostics);
  if (next.setting.plan != nullptr) {
    check_lookup_files(*next.setting.plan, diagnostics);
    check_lasting(now.plan->config, next.setting.plan->config, diagnostics);
  }
  if (next.setting.plan == nullptr || has_errors(diagnostics)) {
    return fail(ErrorCode::invalid, config::to_text(diagnostics, false));
  }
  const http::HttpOptions& http = next.setting.plan->config.http;
  if (http.enabled && now.listener != nullptr && now.listener->serves(http)) {
    next.setting.listener = now.listener;
  } else if (http.enabled) {
    Result<std::unique_ptr<http::Listener>> opened = http::Listener::open(http);
    if (opened.has_error()) return opened.error();
    next.setting.listener = std::move(*opened);
  }
  next.changes = config::changes_between(now.plan->config, next.setting.plan->config);
  next.warnings = std::move(diagnostics);
  return next;
}

}  // namespace streamobs::app
