// What follows from a source being in a consumer group: for its process, and for the rows of the
// windows that it feeds.
#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr std::string_view kColumn = "instance";

/// Whether two sources may come to read the same topic. Patterns are taken to meet each other.
bool share_a_topic(const source::SourceOptions& a, const source::SourceOptions& b) {
  const auto is_pattern = [](const SourceText& topic) {
    return topic.text.find_first_of("*?") != std::string::npos;
  };
  return std::any_of(a.topics.begin(), a.topics.end(), [&](const SourceText& one) {
    return std::any_of(b.topics.begin(), b.topics.end(), [&](const SourceText& other) {
      return is_pattern(one) || is_pattern(other) || one.text == other.text;
    });
  });
}

/// Two members in one process would share what belongs to the process, to no purpose.
void check_twice(const Config& config, const source::SourceOptions& source, Report& report) {
  for (const source::SourceOptions& other : config.sources) {
    if (&other == &source) return;
    const bool same = other.group.text == source.group.text &&
                      other.kafka.brokers.text == source.kafka.brokers.text;
    if (!same || !share_a_topic(other, source)) continue;
    report.error(span_of(source.group),
                 fmt::format("group: [source.{}] is in the group \"{}\" already, with a topic that "
                             "is this one's too",
                             other.name.text, source.group.text),
                 "one source of a process reads all the partitions that its group gives it: remove "
                 "one of the two, or give them different topics or groups");
  }
}

bool is_shared_by_source(const Config& config, std::string_view stream) {
  return std::any_of(config.sources.begin(), config.sources.end(),
                     [&](const source::SourceOptions& source) {
                       return !source.group.empty() && source.stream.text == stream;
                     });
}

/// Whether other processes may have a part of the stream's events, or of those it is joined from.
bool is_shared(const Config& config, std::string_view stream) {
  const auto& joins = config.joins;
  const auto join = std::find_if(joins.begin(), joins.end(), [&](const JoinConfig& one) {
    return one.options.name.text == stream;
  });
  if (join != joins.end()) {
    const auto& sides = join->options.streams;
    return is_shared_by_source(config, sides[0].text) || is_shared_by_source(config, sides[1].text);
  }
  return is_shared_by_source(config, stream);
}

/// Rows of such a stream are partial: each says of which process.
void add_column(Config& config, window::WindowOptions& window, Report& report) {
  const auto named = [](const window::NamedExpression& column) {
    return column.name.text == kColumn;
  };
  for (const auto* columns : {&window.by, &window.select}) {
    const auto taken = std::find_if(columns->begin(), columns->end(), named);
    if (taken == columns->end()) continue;
    report.error(
        span_of(taken->name),
        fmt::format("window {}: the column instance is that of the process, since a source "
                    "of its stream is in a consumer group",
                    window.name.text),
        "choose another name: by = { machine = \"instance\" }");
    return;
  }
  const SourcePlace& place = window.name.place;
  window.by.push_back({SourceText(std::string(kColumn), place),
                       SourceText(fmt::format("'{}'", config.instance), place)});
}

}  // namespace

void check_groups(Config& config, Report& report) {
  for (source::SourceOptions& source : config.sources) {
    if (source.group.empty()) continue;
    const Report::Within item(report, "source", source.name.text);
    check_twice(config, source, report);
    if (config.instance.empty()) {
      report.error(
          span_of(source.group),
          "group: this process needs a name, which its rows carry beside those of the "
          "group's other members",
          "at the top: instance = \"a\", another one for each process, and always the same "
          "for a data_dir; instance = \"${HOSTNAME}\" where that stays what it is");
      config.instance = "mistaken";  // Which has been told.
    }
    source.instance = config.instance;
  }
  for (window::WindowOptions& window : config.windows) {
    if (!is_shared(config, window.from.text)) continue;
    const Report::Within item(report, "window", window.name.text);
    add_column(config, window, report);
  }
}

}  // namespace streamobs::config
