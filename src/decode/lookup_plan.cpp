#include "decode/lookup_plan.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/wording.h"
#include "decode/csv_reader.h"
#include "decode/decoder.h"
#include "decode/field_index.h"

namespace streamobs::decode {

namespace {

class Checker {
 public:
  Checker(const LookupOptions& options, Diagnostics& diagnostics)
      : options_(options), diagnostics_(diagnostics), plan_(std::make_shared<LookupPlan>()) {}

  std::shared_ptr<const LookupPlan> check() {
    failed_ = options_.mistaken;
    plan_->options = options_;
    LookupSchema& schema = plan_->schema;
    schema.name = options_.name.text;
    schema.incomplete = options_.names_missing;
    for (const FieldOptions& column : options_.columns) {
      schema.columns.push_back({column.name.text, column.type});
    }
    add_key();
    add_valid_from();
    StreamOptions rows;
    rows.name = options_.name;
    rows.timeless = true;
    rows.fields = options_.columns;
    for (const std::size_t key : schema.keys) rows.fields[key].required = true;
    rows.timezone = options_.timezone;
    rows.mistaken = options_.mistaken;
    rows.names_missing = options_.names_missing;
    Diagnostics of_rows;
    auto compiled = compile_stream(rows, 0, of_rows);
    if (!failed_) plan_->rows = std::move(compiled);
    for (Diagnostic& d : of_rows) diagnostics_.push_back(std::move(d));
    return plan_;
  }

 private:
  void error(const SourcePlace& place, const std::string& message, std::string hint) {
    failed_ = true;
    Diagnostic d;
    d.place = place.line != 0 ? place : options_.name.place;
    d.message = fmt::format("lookup {}: {}", options_.name.text, message);
    d.hint = std::move(hint);
    diagnostics_.push_back(std::move(d));
  }

  std::optional<std::size_t> column(const SourceText& name, std::string_view key) {
    const auto& columns = plan_->schema.columns;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].name == name.text) return i;
    }
    if (!options_.names_missing) {
      std::vector<std::string_view> names;
      for (const LookupSchema::Column& one : columns) names.emplace_back(one.name);
      error(name.place, fmt::format("{}: there is no column \"{}\"", key, name.text),
            names.empty() ? "declare it: columns = { model = \"string\", … }"
                          : "its columns are " + listed(names));
    }
    failed_ = true;
    return std::nullopt;
  }

  void add_key() {
    LookupSchema& schema = plan_->schema;
    if (options_.key.empty() && !options_.mistaken) {
      error(options_.name.place, "it does not say which columns are the key",
            "for example key = [\"model\"]");
    }
    if (options_.key.empty()) schema.incomplete = true;
    for (const SourceText& name : options_.key) {
      const std::optional<std::size_t> index = column(name, "key");
      if (!index) {
        schema.incomplete = true;
        continue;
      }
      const Kind kind = schema.columns[*index].type.kind;
      if (kind == Kind::null) {  // Its type is wrong, which has been told.
        schema.incomplete = true;
      } else if (kind == Kind::floating || kind == Kind::map) {
        error(name.place,
              fmt::format("key: {} is a {}", name.text, to_text(schema.columns[*index].type)),
              "a key is of strings, ints, bools, decimals or timestamps");
        schema.incomplete = true;
      } else if (std::find(schema.keys.begin(), schema.keys.end(), *index) != schema.keys.end()) {
        error(name.place, fmt::format("key: {} is there twice", name.text), "remove one of them");
      } else {
        schema.keys.push_back(*index);
      }
    }
  }

  void add_valid_from() {
    if (options_.valid_from.empty()) return;
    LookupSchema& schema = plan_->schema;
    schema.valid_from = column(options_.valid_from, "valid_from");
    if (!schema.valid_from) return;
    const DataType type = schema.columns[*schema.valid_from].type;
    if (type.kind != Kind::timestamp && type.kind != Kind::null) {
      error(options_.valid_from.place,
            fmt::format("valid_from: {} is a {}", options_.valid_from.text, to_text(type)),
            fmt::format("declare it so: columns = {{ {} = \"timestamp\" }}",
                        options_.valid_from.text));
    }
    if (std::find(schema.keys.begin(), schema.keys.end(), *schema.valid_from) !=
        schema.keys.end()) {
      error(options_.valid_from.place, "valid_from: this column is part of the key",
            "take it out of `key`: rows of one key are told apart by it");
    }
  }

  const LookupOptions& options_;
  Diagnostics& diagnostics_;
  std::shared_ptr<LookupPlan> plan_;
  bool failed_ = false;
};

/// Whether any row of a JSON file has a member for a column: it may be null in every one, so what
/// was decoded does not tell.
bool has_member(const Field& field, std::string_view json) {
  const auto stands_there = [&](std::string_view path) {
    const std::string_view last = path.substr(path.rfind('.') + 1);
    return json.find(fmt::format("\"{}\"", last)) != std::string_view::npos;
  };
  return stands_there(field.path) ||
         std::any_of(field.aliases.begin(), field.aliases.end(), stands_there);
}

/// Whether a CSV's header has a cell for a column.
bool has_cell(std::size_t column, const FieldIndex& index, const CsvHeader& header) {
  const std::vector<std::uint32_t>& slots = index.column_slots(column);
  return std::any_of(slots.begin(), slots.end(), [&](std::uint32_t slot) {
    return std::find(header.slots.begin(), header.slots.end(), slot) != header.slots.end();
  });
}

std::string no_column(const Field& field) {
  return fmt::format(
      "there is no column {} in it; if it is called something else there, say so: {} = {{ type = "
      "\"{}\", path = \"NAME\" }}",
      field.path, field.name, to_text(field.type));
}

/// What keeps a CSV file from being read whatever its rows say; empty: nothing.
std::string fault_of_header(const LookupPlan& plan, std::string_view text) {
  const StreamSchema& rows = plan.rows->schema;
  const FieldIndex index(rows);
  TextArena unquoted;
  const CsvHeader header = read_csv_header(text.substr(0, text.find('\n')), index, unquoted);
  if (!header.fault.empty()) return header.fault;
  for (std::size_t i = 0; i < rows.fields.size(); ++i) {
    if (!has_cell(i, index, header)) return no_column(rows.fields[i]);
  }
  return {};
}

std::string row_name(const LookupOptions& options, std::uint64_t position) {
  return options.format == Format::json ? fmt::format("row {}", position + 1)
                                        : fmt::format("line {}", position);
}

}  // namespace

Result<std::shared_ptr<const LookupTable>> LookupPlan::read(std::string_view text) const {
  const auto refuse = [this](std::string_view what) {
    return fail(ErrorCode::invalid, fmt::format("{}: {}", options.path, what));
  };
  if (text.size() > kMaxBytes) {
    return refuse(
        fmt::format("{} bytes are more than a table may have, {}", text.size(), kMaxBytes));
  }
  if (options.format == Format::csv && !text.empty()) {
    const std::string fault = fault_of_header(*this, text);
    if (!fault.empty()) return refuse("line 1: " + fault);
  }
  Block block;
  block.format = options.format;
  block.bytes = std::make_shared<BlockBuffer>();
  block.bytes->append(text);
  block.origin.first_line = options.format == Format::json ? 0 : 1;
  const std::vector<std::string> no_names;
  EventBatch batch;
  Decoder(rows, no_names).decode(block, batch);
  if (!batch.dead_letters.empty()) {
    const DeadLetter& first = batch.dead_letters.front();
    return refuse(fmt::format("{}: {}{}", row_name(options, first.position), first.detail,
                              batch.refused == 1
                                  ? std::string()
                                  : fmt::format(" ({} rows cannot be read)", batch.refused)));
  }
  if (batch.rows == 0) return refuse("there is no row in it");
  if (options.format != Format::csv) {
    for (const Field& field : rows->schema.fields) {
      if (!has_member(field, text)) return refuse(no_column(field));
    }
  }
  const BlockOrigin origin = batch.origin;
  PodVector<std::uint32_t> events;
  for (const std::uint32_t event : batch.event_index) events.push_back(event);
  const auto name = [&](std::size_t row) {
    // Behind the header, one a line.
    const std::uint64_t line = events[row] + (options.format == Format::csv ? 1 : 0);
    return row_name(options, position_of(origin, events[row], line));
  };
  Result<std::shared_ptr<const LookupTable>> table =
      LookupTable::make(schema, std::move(batch), name);
  if (table.has_error()) {
    const std::string times = idle_times();
    if (times.empty()) return refuse(table.error().message);
    return refuse(fmt::format("{}; if rows hold from their {} on, say valid_from = \"{}\"",
                              table.error().message, times, times));
  }
  return table;
}

std::string LookupPlan::idle_times() const {
  if (schema.valid_from) return {};
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const bool is_key = std::find(schema.keys.begin(), schema.keys.end(), i) != schema.keys.end();
    if (!is_key && schema.columns[i].type.kind == Kind::timestamp) return schema.columns[i].name;
  }
  return {};
}

std::string LookupPlan::blank_keys(const LookupTable& table) const {
  constexpr std::string_view kBlanks = " \t";
  for (const std::size_t key : schema.keys) {
    if (schema.columns[key].type.kind != Kind::string) continue;
    std::size_t count = 0;
    std::string_view first;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const std::string_view text = table.column(key).string_at(row);
      if (text.empty()) continue;
      const bool blank = kBlanks.find(text.front()) != std::string_view::npos ||
                         kBlanks.find(text.back()) != std::string_view::npos;
      if (blank && count++ == 0) first = text;
    }
    if (count == 0) continue;
    return fmt::format(
        "{} begins or ends with a blank in {} of {} rows (\"{}\"): keys are compared as they "
        "stand, so only events with the same blank find {}",
        schema.columns[key].name, count, table.rows(), first, count == 1 ? "it" : "them");
  }
  return {};
}

std::shared_ptr<const LookupPlan> check_lookup(const LookupOptions& options,
                                               Diagnostics& diagnostics) {
  return Checker(options, diagnostics).check();
}

}  // namespace streamobs::decode
