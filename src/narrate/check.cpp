#include <algorithm>

#include <fmt/format.h>

#include "expr/program.h"
#include "narrate/narrator.h"

namespace streamobs::narrate {

namespace {

bool has_key(const WindowSchema& schema, const std::string& name) {
  return std::any_of(schema.keys.begin(), schema.keys.end(),
                     [&](const ResultColumn& key) { return key.name == name; });
}

// Whether rows of `evidence` can be parts of an incident about a row of `window`.
bool finer(const WindowSchema& evidence, const WindowSchema& window) {
  return !window.keys.empty() && evidence.keys.size() > window.keys.size() &&
         std::all_of(window.keys.begin(), window.keys.end(),
                     [&](const ResultColumn& key) { return has_key(evidence, key.name); });
}

}  // namespace

bool check(const IncidentOptions& options,
           const std::vector<std::shared_ptr<const WindowSchema>>& windows,
           Diagnostics& diagnostics) {
  bool good = true;
  const auto complain = [&](const SourceText& at, std::string message, std::string hint) {
    diagnostics.push_back(
        {Diagnostic::Severity::error, at.place, std::move(message), std::move(hint), {}});
    good = false;
  };
  expr::Scope names;
  for (const auto& window : windows) names.add_column(window->window, {Kind::string, 0});

  for (const SourceText& name : options.evidence) {
    const auto window = std::find_if(windows.begin(), windows.end(),
                                     [&](const auto& w) { return w->window == name.text; });
    if (window == windows.end()) {
      complain(
          name, fmt::format("incidents: there is no window '{}' to take evidence from", name.text),
          windows.empty() ? "`evidence` lists [window.…] sections" : names.suggestion(name.text));
      continue;
    }
    const bool useful = std::any_of(windows.begin(), windows.end(),
                                    [&](const auto& other) { return finer(**window, *other); });
    if (!useful) {
      complain(
          name,
          fmt::format("incidents: window {} explains no other window: none has part of its keys",
                      name.text),
          "evidence comes from windows with finer keys, as by = [\"service\", \"endpoint\"] "
          "for incidents of a service");
    }
  }
  return good;
}

}  // namespace streamobs::narrate
