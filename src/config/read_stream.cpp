// [stream.NAME].
#include <algorithm>

#include <fmt/format.h>

#include "base/wording.h"
#include "config/sections.h"
#include "config/table_reader.h"
#include "event/dead_letter.h"

namespace streamobs::config {

namespace {

using decode::FieldOptions;
using decode::NamedExpression;
using decode::StreamOptions;

constexpr Choice<bool> kKeeps[] = {{"fields", false}, {"raw", true}};

/// `required = [...]` marks fields declared before.
void read_required(const TableReader& table, StreamOptions& out) {
  std::vector<SourceText> names;
  table.texts("required", names);
  std::vector<std::string_view> known;
  for (const FieldOptions& f : out.fields) known.push_back(f.name.text);
  for (const SourceText& name : names) {
    const auto field =
        std::find_if(out.fields.begin(), out.fields.end(),
                     [&](const FieldOptions& f) { return f.name.text == name.text; });
    if (field != out.fields.end()) {
      field->required = true;
      continue;
    }
    if (name.text == out.time.text) continue;  // The time is always required.
    table.report().error(
        span_of(name), fmt::format("required: there is no field \"{}\"", name.text),
        did_you_mean(name.text, known,
                     fmt::format("declare it: fields = {{ {} = \"…\" }}", name.text)));
  }
}

void check_derived(const StreamOptions& out, Report& report) {
  for (const NamedExpression& derived : out.derive) {
    const bool declared =
        std::any_of(out.fields.begin(), out.fields.end(),
                    [&](const FieldOptions& f) { return f.name.text == derived.name.text; });
    if (declared || derived.name.text == out.time.text) {
      report.error(span_of(derived.name),
                   fmt::format("derive: there is a field \"{}\" already", derived.name.text),
                   "give the derived one another name");
    } else if (!is_field_name(derived.name.text)) {
      report.error(span_of(derived.name), "derive: a field needs a name");
    }
  }
}

void check_checks(const StreamOptions& out, Report& report) {
  for (const NamedExpression& check : out.checks) {
    if (!is_label(check.name.text)) {
      report.error(span_of(check.name), fmt::format("\"{}\" cannot name a check", check.name.text),
                   "use letters, digits, _ and -: refused events are counted under this name");
    } else if (std::find(std::begin(reason::kAll), std::end(reason::kAll), check.name.text) !=
               std::end(reason::kAll)) {
      report.error(span_of(check.name),
                   fmt::format("check: {} is a reason of the engine's own", check.name.text),
                   "refused events are counted under the check's name: choose another one");
    }
  }
}

void read_paths(const TableReader& table, StreamOptions& out) {
  table.texts("paths", out.paths);
  for (const SourceText& path : out.paths) check_http_path(path, "paths", table.report());
}

/// id = "field": what tells a repeated event from a new one.
void read_id(const TableReader& table, StreamOptions& out) {
  table.duration("id_horizon", kSecond, 31 * kDay, out.id_horizon);
  table.integer("max_ids", 1'000, 1'000'000'000, out.ids_max);
  table.text("id", out.id);
  if (!table.has("id")) {
    for (const std::string_view key : {"id_horizon", "max_ids"}) {
      if (table.has(key)) {
        table.error(key, "means nothing without an id",
                    "which field tells events apart? id = \"event_id\"");
      }
    }
  }
  if (out.id.empty()) return;
  const auto field = std::find_if(out.fields.begin(), out.fields.end(), [&](const FieldOptions& f) {
    return f.name.text == out.id.text;
  });
  if (field == out.fields.end()) {
    std::vector<std::string_view> known;
    for (const FieldOptions& f : out.fields) known.push_back(f.name.text);
    table.error(
        "id", fmt::format("there is no field \"{}\"", out.id.text),
        did_you_mean(out.id.text, known,
                     fmt::format("declare it: fields = {{ {} = \"string\" }}", out.id.text)));
  } else if (field->type.kind != Kind::string && field->type.kind != Kind::integer &&
             field->type.kind != Kind::null) {  // Null: its type is wrong, which has been said.
    table.error("id", fmt::format("{} is a {}", out.id.text, to_text(field->type)),
                "an id is a string or an int");
  }
}

}  // namespace

bool read_format(const TableReader& table, Format& out) {
  SourceText word;
  table.text("format", word);
  if (word.empty()) return false;
  const std::optional<Format> format = parse_format(word.text);
  if (!format) {
    table.error("format", fmt::format("there is no format \"{}\"", word.text),
                did_you_mean(word.text, format_words(), "there are " + listed(format_words())));
    return false;
  }
  out = *format;
  return true;
}

namespace {

constexpr std::size_t kPatternsMax = 16;

/// format and pattern: what the stream's lines look like.
void read_lines(const TableReader& table, StreamOptions& out) {
  if (read_format(table, out.format) && out.format == Format::csv) {
    table.error("format", "CSV comes with a header line, so it is the format of a file",
                "say so in [source.NAME]: format = \"csv\"");
    out.format = Format::json;
  }
  const Value* pattern = table.find("pattern");
  if (pattern != nullptr && pattern->kind == Value::Kind::array) {
    table.texts("pattern", out.patterns);
  } else if (pattern != nullptr) {
    SourceText one;
    table.text("pattern", one);
    if (!one.empty()) out.patterns.push_back(std::move(one));
  }
  if (out.patterns.size() > kPatternsMax) {
    table.error("pattern", fmt::format("{} are too many", out.patterns.size()),
                fmt::format("at most {}; they are tried one after the other", kPatternsMax));
    out.patterns.resize(kPatternsMax);
  }
  // A pattern that is there and wrong has been told.
  if (out.format == Format::pattern && pattern == nullptr) {
    table.missing("pattern", "pattern = '{timestamp} [{level}] {service}: {message}'");
  }
}

/// template = { from = "message", as = "template", max = 5000, learn = "1h" }
void read_template(const TableReader& stream, StreamOptions& out) {
  const Value* value = stream.find("template");
  if (value == nullptr) return;
  if (value->kind != Value::Kind::table) {
    stream.error("template", "expected a table, found " + describe(*value),
                 "write template = { from = \"message\" }");
    out.names_missing = true;
    return;
  }
  const TableReader table(*value, value->span, "template", kTemplate, stream.report());
  table.text("from", out.templates.from);
  if (!table.has("from")) {
    table.missing("from", "which field holds the messages? template = { from = \"message\" }");
  }
  table.text("as", out.templates.as);
  if (!is_field_name(out.templates.as.text)) {
    table.error("as", "templates need a name", "leave it out for \"template\"");
  }
  // Then there is no telling what the columns are called.
  const Value* const as = table.find("as");
  const bool named = !out.templates.from.empty() && is_field_name(out.templates.as.text) &&
                     (as == nullptr || as->kind == Value::Kind::string);
  if (!named || table.lost_names()) out.names_missing = true;
  table.integer("max", 10, 100'000, out.templates.templates_max);
  table.duration("learn", 0, 366 * kDay, out.templates.learn);
}

}  // namespace

void read_stream(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[stream.{}]", entry.key),
                          kStream, report);
  StreamOptions out;
  out.name = label_of(entry, "stream", ": the name stands in addresses", report);
  table.text("time", out.time);
  if (!table.has("time")) {
    table.missing("time", "which field says when the event happened? time = \"timestamp\"");
  }
  if (const Value* fields = table.find("fields")) {
    if (fields->kind == Value::Kind::table) {
      read_fields(*fields, "field", out.fields, report);
    } else {
      out.names_missing = true;
      table.error("fields", "expected a table of names and types, found " + describe(*fields),
                  "write fields = { service = \"string\", latency_ms = \"float\" }");
    }
  }
  read_required(table, out);
  // The time need not be among the fields; without its name there is no telling how it is called.
  if (!read_named(table, "derive", out.derive) || table.lost_names() || out.time.empty()) {
    out.names_missing = true;
  }
  check_derived(out, report);
  table.expression("filter", out.filter);
  read_named(table, "check", out.checks);
  check_checks(out, report);
  read_time_zone(table, out.timezone);
  table.duration("max_future", 0, 366 * kDay, out.max_future);
  table.duration("idle_timeout", 100 * kMillisecond, 7 * kDay, out.idle_timeout);
  table.bytes("max_event_bytes", 64, 64 << 20, out.max_event_bytes);
  read_paths(table, out);
  read_id(table, out);
  table.choice("keep", kKeeps, out.keep_raw);
  read_lines(table, out);
  read_template(table, out);
  read_stream_health(table, out, config);
  config.streams.push_back(std::move(out));
}

}  // namespace streamobs::config
