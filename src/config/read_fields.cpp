// What events and the rows of tables are made of: names and types.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/decimal.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using decode::FieldOptions;

constexpr std::string_view kTypeHint =
    "types are string, int, float, bool, decimal(2), timestamp and map";

/// A table is a field of its own if it says so by one of a field's keys; otherwise it is what a
/// dotted name such as metadata.traceId looks like to TOML.
bool is_field_table(const Value& value) {
  return std::any_of(value.entries.begin(), value.entries.end(), [](const Entry& e) {
    return std::find(kField.keys.begin(), kField.keys.end(), e.key) != kField.keys.end();
  });
}

class FieldsReader {
 public:
  FieldsReader(std::string_view what, std::vector<FieldOptions>& out, Report& report)
      : what_(what), out_(out), report_(report) {}

  void read(const Value& value, const std::string& prefix) {
    for (const Entry& entry : value.entries) {
      FieldOptions field;
      field.name = SourceText(prefix + entry.key, report_.file().place(entry.key_span));
      if (entry.value.kind != Value::Kind::table) {
        read_type(entry.value, field);
      } else if (is_field_table(entry.value)) {
        read_table(entry.value, entry.key_span, field);
      } else if (entry.value.entries.empty()) {
        report_.error(entry.key_span, fmt::format("{} {} has no type", what_, field.name.text),
                      std::string(kTypeHint));
      } else {
        read(entry.value, field.name.text + ".");
        continue;
      }
      add(std::move(field), entry.key_span);
    }
  }

 private:
  void read_type(const Value& value, FieldOptions& out) {
    const std::string& name = out.name.text;
    if (value.kind != Value::Kind::string) {
      report_.error(
          value.span,
          fmt::format("{} {}: expected a type in quotes, found {}", what_, name, describe(value)),
          std::string(kTypeHint));
      return;
    }
    const auto type = parse_data_type(value.text);
    if (!type && (value.text.starts_with("decimal(") || value.text.starts_with("numeric("))) {
      report_.error(
          value.span,
          fmt::format("{} {}: a decimal has at most {} digits after the point, not \"{}\"", what_,
                      name, kMaxDecimalScale, value.text),
          fmt::format("decimal(0) to decimal({0}), or numeric(p, 0) to numeric(p, {0})",
                      kMaxDecimalScale));
      return;
    }
    if (!type || type->kind == Kind::interval || type->kind == Kind::null) {
      static constexpr std::string_view kTypes[] = {"string",  "int",       "float", "bool",
                                                    "decimal", "timestamp", "map"};
      const std::string_view near = nearest(value.text, kTypes);
      report_.error(value.span,
                    fmt::format("{} {}: there is no type \"{}\"", what_, name, value.text),
                    near.empty() || near == "decimal"
                        ? std::string(kTypeHint)
                        : fmt::format("did you mean \"{}\"? {}", near, kTypeHint));
      return;
    }
    out.type = *type;
  }

  void read_table(const Value& value, Span at, FieldOptions& field) {
    const TableReader table(value, at, fmt::format("{} {}", what_, field.name.text), kField,
                            report_);
    if (const Value* type = table.find("type")) {
      read_type(*type, field);
    } else {
      table.missing("type", std::string(kTypeHint));
    }
    table.text("path", field.path);
    std::vector<SourceText> aliases;
    table.texts("aliases", aliases);
    for (const SourceText& alias : aliases) field.aliases.push_back(alias.text);
    table.flag("required", field.required);
  }

  void add(FieldOptions field, Span at) {
    const bool twice = std::any_of(out_.begin(), out_.end(), [&](const FieldOptions& f) {
      return f.name.text == field.name.text;
    });
    if (twice) {
      report_.error(at, fmt::format("there are two {}s \"{}\"", what_, field.name.text),
                    "remove one of the two");
    } else if (!is_field_name(field.name.text)) {
      report_.error(at, fmt::format("a {} needs a name without control characters", what_));
    } else {
      out_.push_back(std::move(field));
    }
  }

  const std::string_view what_;
  std::vector<FieldOptions>& out_;
  Report& report_;
};

}  // namespace

bool is_field_name(std::string_view name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

bool read_named(const TableReader& table, std::string_view key,
                std::vector<decode::NamedExpression>& out) {
  const Value* value = table.find(key);
  if (value == nullptr) return true;
  if (value->kind != Value::Kind::table) {
    table.error(key, "expected a table of names and expressions, found " + describe(*value),
                fmt::format("write {} = {{ name = \"expression\" }}", key));
    return false;
  }
  for (const Entry& entry : value->entries) {
    const auto text =
        expression_of(entry.value, fmt::format("{}.{}", key, entry.key), table.report());
    out.push_back({SourceText(entry.key, table.report().file().place(entry.key_span)),
                   text.value_or(SourceText())});
  }
  return true;
}

void read_fields(const Value& value, std::string_view what, std::vector<FieldOptions>& out,
                 Report& report) {
  FieldsReader(what, out, report).read(value, "");
}

}  // namespace streamobs::config
