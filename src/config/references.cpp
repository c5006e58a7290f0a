// What one section says about another.
#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/line_pattern.h"
#include "base/wording.h"
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
        fmt::format("there are {}: add {} = \"{}\"", listed(streams), key, streams.front()));
  }
}

/// A source that says no format has its stream's, which knows the patterns too.
void take_format(const Config& config, source::SourceOptions& source, Report& report) {
  const auto stream = std::find_if(
      config.streams.begin(), config.streams.end(),
      [&](const decode::StreamOptions& s) { return s.name.text == source.stream.text; });
  if (stream == config.streams.end()) return;
  if (!source.format_given) source.format = stream->format;
  if (is_line_format(source.format) && !source.message_fields.empty()) {
    report.error(span_of(source.message_fields.front().name),
                 fmt::format("fields: a message of {} cannot be given further fields",
                             to_text(source.format)),
                 "they are put into JSON objects only; leave `fields` out");
  }
  if (source.format == Format::pattern && stream->patterns.empty() &&
      !report.has_errors_in("stream", stream->name.text)) {
    report.error(
        span_of(source.name),
        fmt::format("format = \"pattern\", but [stream.{}] has no pattern", stream->name.text),
        "give it one: pattern = '{timestamp} [{level}] {service}: {message}'");
  }
}

void check_sources(Config& config, const std::vector<std::string_view>& streams, Report& report) {
  const source::SourceOptions* standard_input = nullptr;
  for (source::SourceOptions& source : config.sources) {
    const Report::Within item(report, "source", source.name.text);
    resolve_stream(source.stream, "stream", "source", source.name, streams, report);
    take_format(config, source, report);
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

/// What lines of one format hold.
struct LineFields {
  std::string_view what;  ///< "an access log"
  std::string_view time;  ///< The part that is the time; empty: any may be.
  std::vector<std::string_view> names;
  std::string_view prefix;  ///< Names that begin so are there too.

  bool has(std::string_view path) const {
    return std::find(names.begin(), names.end(), path) != names.end() ||
           (!prefix.empty() && path.starts_with(prefix));
  }
  bool has(const decode::FieldOptions& field) const {
    return has(field.path.empty() ? field.name.text : field.path) ||
           std::any_of(field.aliases.begin(), field.aliases.end(),
                       [this](const std::string& alias) { return has(alias); });
  }
};

/// Nothing for a format in which anything may stand. `patterns` keeps the names.
std::optional<LineFields> fields_of(Format format, const std::vector<LinePattern>& patterns) {
  const auto all = [](const auto& names) {
    return std::vector<std::string_view>(std::begin(names), std::end(names));
  };
  if (format == Format::access_log) {
    return LineFields{"an access log", "time_local", all(decode::kAccessLogFields), ""};
  }
  if (format == Format::syslog) {
    return LineFields{"a syslog line", "timestamp", all(decode::kSyslogFields),
                      decode::kSyslogDataPrefix};
  }
  if (format != Format::pattern || patterns.empty()) return std::nullopt;
  LineFields fields{"the pattern", "", {}, ""};
  for (const LinePattern& pattern : patterns) {
    fields.names.insert(fields.names.end(), pattern.names().begin(), pattern.names().end());
  }
  return fields;
}

/// A stream that only such lines feed (and JSON by HTTP, perhaps) can have the fields they have.
void check_line_fields(const decode::StreamOptions& stream, const LineFields& lines,
                       Report& report) {
  const Report::Within item(report, "stream", stream.name.text);
  bool time_declared = false;
  for (const decode::FieldOptions& field : stream.fields) {
    const bool is_time = field.name.text == stream.time.text;
    time_declared |= is_time;
    if (lines.has(field)) continue;
    const std::string hint = did_you_mean(field.path.empty() ? field.name.text : field.path,
                                          lines.names, "it has " + listed(lines.names));
    const std::string message = fmt::format("fields: {} has no {}", lines.what, field.name.text);
    if (field.required || is_time) {
      report.error(span_of(field.name), message + ", so that every line would be refused", hint);
    } else {
      report.warning(span_of(field.name), message + ": it will be NULL", hint);
    }
  }
  if (!stream.time.empty() && !time_declared && !lines.has(stream.time.text)) {
    report.error(span_of(stream.time),
                 fmt::format("time: {} has no {}, so that every line would be refused", lines.what,
                             stream.time.text),
                 lines.time.empty() ? "it has " + listed(lines.names)
                                    : fmt::format("time = \"{}\"", lines.time));
  }
}

/// Whether everything that feeds the stream, but JSON by HTTP, is of one format: that one.
std::optional<Format> only_format(const Config& config, const decode::StreamOptions& stream) {
  std::optional<Format> only;
  for (const source::SourceOptions& source : config.sources) {
    if (source.stream.text != stream.name.text) continue;
    if (source.type == source::Type::demo || (only && *only != source.format)) return std::nullopt;
    only = source.format;
  }
  if (!only) only = stream.format;
  if (stream.format != Format::json && *only != stream.format) return std::nullopt;
  return only;
}

void check_lines(const Config& config, Report& report) {
  for (const decode::StreamOptions& stream : config.streams) {
    const std::optional<Format> format = only_format(config, stream);
    if (!format) continue;
    LinePattern::Fault told_elsewhere;  // Where the stream is compiled.
    std::vector<LinePattern> patterns;
    for (const SourceText& source : stream.patterns) {
      auto pattern = LinePattern::parse(source.text, told_elsewhere);
      if (pattern) patterns.push_back(std::move(*pattern));
    }
    if (patterns.size() != stream.patterns.size()) continue;
    const std::optional<LineFields> lines = fields_of(*format, patterns);
    if (lines) check_line_fields(stream, *lines, report);
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
        did_you_mean(rule.metric.text, metrics, "it has " + listed(metrics)));
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
      hint += fmt::format("{}there are {}", near.empty() ? "" : " ", listed(known));
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
  check_joins(config, report);
  std::vector<std::string_view> with_joins = streams;
  for (const JoinConfig& join : config.joins) with_joins.push_back(join.options.name.text);
  for (window::WindowOptions& window : config.windows) {
    const Report::Within item(report, "window", window.name.text);
    resolve_stream(window.from, "from", "window", window.name, with_joins, report);
  }
  check_paths(config, report);
  check_lines(config, report);
  check_groups(config, report);
  check_rules(config, windows, report);
  check_views(config, report);
  check_sinks(config, report);
  check_endpoints(config, report);
  std::erase_if(config.incidents.evidence, [&](const SourceText& name) {
    return !check_name(name, "evidence", "window", windows, report);
  });
}

}  // namespace streamobs::config
