// What one section says about another.
#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "config/keys.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

template <class Options>
std::vector<std::string_view> names_of(const std::vector<Options>& all) {
  std::vector<std::string_view> names;
  for (const Options& options : all) names.push_back(options.name.text);
  return names;
}

/// The stream a source or window belongs to: as said, or the only one.
void resolve_stream(SourceText& stream, std::string_view key, std::string_view title,
                    const SourceText& owner, const std::vector<std::string_view>& streams,
                    Report& report) {
  if (streams.empty()) return;  // That has been told, and is the mistake.
  if (!stream.empty()) {
    check_name(stream, key, "stream", streams, report);
  } else if (streams.size() == 1) {
    stream = SourceText(std::string(streams.front()), owner.place);
  } else if (!report.has_errors_in(title, owner.text)) {  // It may have been said, and wrongly.
    report.error(
        span_of(owner), fmt::format("[{}.{}] does not say which stream", title, owner.text),
        fmt::format("there are {}: add {} = \"{}\"", join_names(streams), key, streams.front()));
  }
}

void check_sources(Config& config, const std::vector<std::string_view>& streams, Report& report) {
  const source::SourceOptions* standard_input = nullptr;
  for (source::SourceOptions& source : config.sources) {
    const Report::Within item(report, "source", source.name.text);
    resolve_stream(source.stream, "stream", "source", source.name, streams, report);
    if (source.type != source::Type::standard_input) continue;
    if (standard_input != nullptr) {
      report.error(span_of(source.name),
                   fmt::format("[source.{}] and [source.{}] both read the standard input",
                               standard_input->name.text, source.name.text),
                   "there is only one: remove one of the two");
    }
    standard_input = &source;
  }
}

void check_paths(const Config& config, Report& report) {
  std::map<std::string_view, std::string_view> owners;
  for (const decode::StreamOptions& stream : config.streams) {
    const Report::Within item(report, "stream", stream.name.text);
    for (const SourceText& path : stream.paths) {
      const auto [owner, added] = owners.emplace(path.text, stream.name.text);
      if (added) continue;
      report.error(span_of(path),
                   fmt::format("paths: {} is taken by stream {}", path.text, owner->second),
                   "events of one path go to one stream");
    }
  }
}

/// Whether an access log has anything for this field.
bool is_in_access_log(const decode::FieldOptions& field) {
  const auto is_known = [](std::string_view path) {
    return std::find(std::begin(decode::kAccessLogFields), std::end(decode::kAccessLogFields),
                     path) != std::end(decode::kAccessLogFields);
  };
  return is_known(field.path.empty() ? field.name.text : field.path) ||
         std::any_of(field.aliases.begin(), field.aliases.end(), is_known);
}

/// A stream that only access logs feed (and HTTP, perhaps) can have the fields that those have.
void check_access_log(const decode::StreamOptions& stream, Report& report) {
  const Report::Within item(report, "stream", stream.name.text);
  bool time_declared = false;
  for (const decode::FieldOptions& field : stream.fields) {
    const bool is_time = field.name.text == stream.time.text;
    time_declared |= is_time;
    if (is_in_access_log(field)) continue;
    const std::string hint =
        did_you_mean(field.path.empty() ? field.name.text : field.path, decode::kAccessLogFields,
                     "it has " + join_names(decode::kAccessLogFields));
    const std::string message = fmt::format("fields: an access log has no {}", field.name.text);
    if (field.required || is_time) {
      report.error(span_of(field.name), message + ", so that every line would be refused", hint);
    } else {
      report.warning(span_of(field.name), message + ": it will be NULL", hint);
    }
  }
  const decode::FieldOptions time{stream.time, {}, "", {}, true};
  if (!stream.time.empty() && !time_declared && !is_in_access_log(time)) {
    report.error(span_of(stream.time),
                 fmt::format("time: an access log has no {}, so that every line would be refused",
                             stream.time.text),
                 "time = \"time_local\"");
  }
}

void check_access_logs(const Config& config, Report& report) {
  for (const decode::StreamOptions& stream : config.streams) {
    std::size_t sources = 0;
    std::size_t access_logs = 0;
    for (const source::SourceOptions& source : config.sources) {
      if (source.stream.text != stream.name.text) continue;
      ++sources;
      if (source.format == Format::access_log) ++access_logs;
    }
    if (access_logs != 0 && access_logs == sources) check_access_log(stream, report);
  }
}

void check_rules(Config& config, const std::vector<std::string_view>& windows, Report& report) {
  for (detect::RuleOptions& rule : config.rules) {
    if (rule.on.empty()) continue;
    const Report::Within item(report, "rule", rule.name.text);
    check_name(rule.on, "on", "window", windows, report);
    const auto window =
        std::find_if(config.windows.begin(), config.windows.end(),
                     [&](const window::WindowOptions& w) { return w.name.text == rule.on.text; });
    if (rule.metric.empty() || window == config.windows.end() || window->names_missing) continue;
    const std::vector<std::string_view> metrics = names_of(window->select);
    if (std::find(metrics.begin(), metrics.end(), rule.metric.text) != metrics.end()) continue;
    report.error(
        span_of(rule.metric),
        fmt::format("metric: window {} has no metric \"{}\"", rule.on.text, rule.metric.text),
        did_you_mean(rule.metric.text, metrics, "it has " + join_names(metrics)));
    rule.metric = {};
  }
}

}  // namespace

bool check_name(const SourceText& reference, std::string_view key, std::string_view what,
                const std::vector<std::string_view>& known, Report& report) {
  if (std::find(known.begin(), known.end(), reference.text) != known.end()) return true;
  std::string hint;
  if (known.empty()) {
    hint = fmt::format("there is no {} at all: declare one with [{}.{}]", what, what,
                       is_label(reference.text) ? reference.text : "NAME");
  } else {
    const std::string_view near = nearest(reference.text, known);
    if (!near.empty()) hint = fmt::format("did you mean \"{}\"?", near);
    if (known.size() > 1) {
      hint += fmt::format("{}there are {}", near.empty() ? "" : " ", join_names(known));
    } else if (near.empty()) {
      hint = fmt::format("the only {} is \"{}\"", what, known.front());
    }
  }
  report.error(span_of(reference),
               fmt::format("{}: there is no {} \"{}\"", key, what, reference.text),
               std::move(hint));
  return false;
}

void check_references(Config& config, Report& report) {
  const std::vector<std::string_view> streams = names_of(config.streams);
  const std::vector<std::string_view> windows = names_of(config.windows);
  if (streams.empty() && !report.has_errors_in("stream", "")) {
    report.error({1, 1, 0}, "no stream is declared: there is nothing to do",
                 "begin with [stream.NAME] and its time and fields; config/obs.toml is an example");
  }
  check_sources(config, streams, report);
  for (window::WindowOptions& window : config.windows) {
    const Report::Within item(report, "window", window.name.text);
    resolve_stream(window.from, "from", "window", window.name, streams, report);
  }
  check_paths(config, report);
  check_access_logs(config, report);
  check_rules(config, windows, report);
  check_sinks(config, report);
  check_endpoints(config, report);
  std::erase_if(config.incidents.evidence, [&](const SourceText& name) {
    return !check_name(name, "evidence", "window", windows, report);
  });
}

}  // namespace streamobs::config
