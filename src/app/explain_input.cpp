// How events come in, and what is joined: for `--explain`.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "app/explain_page.h"
#include "base/wording.h"

namespace streamobs::app {

namespace {

std::string_view in_words(Format format) {
  switch (format) {
    case Format::json:
    case Format::ndjson:
      return "JSON";
    case Format::csv:
      return "CSV";
    case Format::access_log:
      return "lines of an access log";
    case Format::syslog:
      return "lines of syslog";
    case Format::logfmt:
      return "lines of logfmt";
    case Format::pattern:
      return "lines that one of its patterns fits";
  }
  return "events";
}

std::string told_apart(const source::SourceOptions& source) {
  switch (source.type) {
    case source::Type::file:
      return fmt::format("{} {}, {}", source.paths.size() == 1 ? "the file" : "the files",
                         listed(texts_of(source.paths)),
                         source.follow ? "and what is added to them" : "once");
    case source::Type::standard_input:
      return "standard input";
    case source::Type::demo:
      return fmt::format("made-up events of \"{}\", {} a second", source.scenario.text,
                         number_in_words(source.rate));
    case source::Type::kafka:
      break;
  }
  const std::string topics = fmt::format("Kafka's topics {} at {}", listed(texts_of(source.topics)),
                                         source.kafka.brokers.text);
  const std::string_view start =
      source.topic_start == source::TopicStart::latest ? "newest" : "first";
  if (source.group.empty()) {
    return fmt::format("{}, from the {} message that has not been read", topics, start);
  }
  return fmt::format(
      "{}, those partitions that its consumer group {} gives this instance, {}, each from "
      "where the group has read it up to, else from the {} message",
      topics, source.group.text, source.instance, start);
}

/// What its events are given of their message.
void explain_given(const source::SourceOptions& source, Page& page) {
  if (source.message_fields.empty()) return;
  std::vector<std::string> given;
  for (const source::MessageField& field : source.message_fields) {
    switch (field.part) {
      case source::MessagePart::key:
        given.push_back(fmt::format("its key as {}", field.name.text));
        break;
      case source::MessagePart::timestamp:
        given.push_back(fmt::format("its timestamp as {}", field.name.text));
        break;
      case source::MessagePart::header:
        given.push_back(fmt::format("its header {} as {}", field.header, field.name.text));
        break;
    }
  }
  page.line(3,
            fmt::format("Each event is given of its message {}; one that has such a member itself "
                        "is a dead letter.",
                        listed(given)));
}

void explain_templates(const decode::TemplateOptions& templates, Page& page) {
  const std::string& name = templates.as.text;
  std::string text = fmt::format(
      "Which kind of {} it bears is {} (<*> stands for what varies), {}_id and {}_is_new; {} kinds "
      "are known at a time",
      templates.from.text, name, name, name,
      number_in_words(static_cast<double>(templates.templates_max)));
  if (templates.learn != 0) {
    text += fmt::format(", and none is called new within {} of the first message",
                        span_in_words(templates.learn));
  }
  page.line(2, text + ".");
}

void explain_fields(const decode::StreamOptions& stream, Page& page) {
  std::vector<std::string> required;
  std::vector<std::string> optional;
  for (const decode::FieldOptions& field : stream.fields) {
    const std::string text = fmt::format("{} ({})", field.name.text, to_text(field.type));
    if (field.name.text == stream.time.text) continue;
    (field.required ? required : optional).push_back(text);
  }
  std::string must = fmt::format("An event has a time, `{}`", stream.time.text);
  if (!required.empty()) must += ", and " + listed(required);
  if (!optional.empty()) must += "; it may have " + listed(optional);
  page.line(2, must + ".");
  if (!stream.templates.from.empty()) explain_templates(stream.templates, page);
  for (const decode::NamedExpression& derived : stream.derive) {
    page.line(2, fmt::format("From them follows {} = {}", derived.name.text,
                             on_one_line(derived.expression.text)));
  }
}

void explain_stream(const Plan& plan, std::size_t index, Page& page) {
  const decode::StreamOptions& stream = plan.config.streams[index];
  page.line(1, fmt::format("{}:", stream.name.text));
  if (plan.config.http.enabled) {
    std::vector<std::string> paths = {"POST /v1/events/" + stream.name.text};
    for (const SourceText& path : stream.paths) paths.push_back("POST " + path.text);
    page.line(2, fmt::format("comes by {} ({})", listed(paths, " or "), in_words(stream.format)));
  }
  for (const PlannedSource& source : plan.sources) {
    if (!source.configured || source.stream_id != index) continue;
    const source::SourceOptions& options = plan.config.sources[*source.configured];
    page.line(2, fmt::format("comes from {} [source.{}]", told_apart(options), source.name));
    explain_given(options, page);
  }
  explain_fields(stream, page);
  page.line(2, fmt::format("One that does not fit, or whose time is more than {} ahead of the "
                           "clock, is set aside as a dead letter and counted.",
                           span_in_words(stream.max_future)));
  for (const decode::NamedExpression& check : stream.checks) {
    page.line(2, fmt::format("So is one that fails \"{}\": {}", check.name.text,
                             on_one_line(check.expression.text)));
  }
  if (!stream.filter.empty()) {
    page.line(2, fmt::format("Only events with {} are looked at; others are counted as filtered.",
                             on_one_line(stream.filter.text)));
  }
  if (stream.id.empty()) {
    page.line(2,
              "What is sent twice counts twice, unless it has an Idempotency-Key: there is no "
              "`id`.");
  } else {
    page.line(2, fmt::format("An event is known again by {} for {} of event time, and counts once.",
                             stream.id.text, span_in_words(stream.id_horizon)));
  }
  const auto joins_it = [&](const PlannedJoin& join) {
    return join.join->sides[0].stream_id == index || join.join->sides[1].stream_id == index;
  };
  const bool is_joined = std::any_of(plan.joins.begin(), plan.joins.end(), joins_it);
  if (plan.streams[index].windows == nullptr && !is_joined) {
    page.line(2, "No window reads it: its events are checked and logged, and nothing is computed.");
  }
}

void explain_join(const Plan& plan, const PlannedJoin& planned, Page& page) {
  const window::JoinOptions& join = planned.join->options;
  const std::string& left = join.streams[0].text;
  const std::string& right = join.streams[1].text;
  std::vector<std::string> same;
  for (const window::JoinOptions::Key& key : join.on) {
    const std::string& on_left = key.fields[0].text;
    const std::string& on_right = key.fields[1].text;
    same.push_back(on_left == on_right ? on_left : fmt::format("{} = {}", on_left, on_right));
  }
  page.line(1, fmt::format("{}: events of {} and {} with the same {}, at most {} apart.",
                           join.name.text, left, right, listed(same), span_in_words(join.within)));
  page.line(2, join.one_to_one ? "Each is in one pair at most: the first that fits."
                               : "Every pair that fits is a row.");
  page.line(2, fmt::format("A row bears the time of {}{}.",
                           join.streams[static_cast<std::size_t>(join.time)].text,
                           join.hold == 0 ? "; windows wait for no partner"
                                          : fmt::format("; windows wait up to {} for a partner",
                                                        span_in_words(join.hold))));
  const std::string alone =
      join.drop_unmatched ? "counted, and no more" : "a dead letter (unmatched) and counted";
  page.line(2, join.keep_left
                   ? fmt::format("One of {} that stays alone is a row by itself; one of {} is {}.",
                                 left, right, alone)
                   : fmt::format("Who stays alone is {}.", alone));
  const decode::StreamOptions& stream = plan.config.streams[planned.stream_id];
  for (const decode::NamedExpression& derived : stream.derive) {
    page.line(2, fmt::format("From them follows {} = {}", derived.name.text,
                             on_one_line(derived.expression.text)));
  }
  if (!stream.filter.empty()) {
    page.line(2, fmt::format("Only rows with {} are looked at.", on_one_line(stream.filter.text)));
  }
}

}  // namespace

void explain_streams(const Plan& plan, Page& page) {
  page.heading("How events come in");
  for (std::size_t i = 0; i < plan.streams.size(); ++i) {
    if (!plan.config.streams[i].joined) explain_stream(plan, i, page);
  }
}

void explain_joins(const Plan& plan, Page& page) {
  if (!plan.joins.empty()) page.heading("What is joined");
  for (const PlannedJoin& join : plan.joins) explain_join(plan, join, page);
}

}  // namespace streamobs::app
