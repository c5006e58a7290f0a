// Small columns and a way to run an expression over them, shared by the tests of src/expr.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "event/event_batch.h"
#include "expr/program.h"

namespace streamobs::expr::test {

/// A column made of values; text may be kept plain or as dictionary ids.
struct TestColumn {
  std::string name;
  DataType type;
  Column column;
  std::shared_ptr<Dictionary> dictionary;

  TestColumn(std::string name_in, DataType type_in, const std::vector<Value>& values,
             TextArena& arena, bool as_dictionary = false)
      : name(std::move(name_in)), type(type_in) {
    column.type = type;
    as_dictionary = as_dictionary && is_text(type.kind);
    if (as_dictionary) dictionary = std::make_shared<Dictionary>(1 << 16);
    column.dictionary = dictionary;
    for (const Value& value : values) {
      column.nulls.push_back(value.null);
      column.has_nulls = column.has_nulls || value.null;
      switch (type.kind) {
        case Kind::boolean:
          column.bools.push_back(!value.null && value.integer != 0);
          break;
        case Kind::floating:
          column.floats.push_back(value.null ? 0 : value.floating);
          break;
        case Kind::string:
        case Kind::map:
          if (as_dictionary) {
            column.ids.push_back(value.null ? 0 : dictionary->intern(value.text));
          } else {
            column.strings.push_back(value.null ? std::string_view() : arena.keep(value.text));
          }
          break;
        default:
          column.ints.push_back(value.null ? 0 : value.integer);
          break;
      }
    }
  }
};

inline constexpr Timestamp kNow = 1'704'803'696'500'000;  // 2024-01-09T12:34:56.5Z

struct Table {
  TextArena arena;
  std::vector<std::unique_ptr<TestColumn>> columns;
  std::size_t rows = 0;

  void add(std::string name, DataType type, const std::vector<Value>& values,
           bool as_dictionary = false) {
    rows = values.size();
    columns.push_back(
        std::make_unique<TestColumn>(std::move(name), type, values, arena, as_dictionary));
  }
  Scope scope() const {
    Scope scope;
    for (const auto& column : columns) scope.add_column(column->name, column->type);
    return scope;
  }
  std::vector<ColumnView> views() const {
    std::vector<ColumnView> views;
    for (const auto& column : columns) views.push_back(column->column.view());
    return views;
  }
};

inline std::string text_of(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) {
    out += std::to_string(d.place.line) + ":" + std::to_string(d.place.column) + ": " + d.message;
    if (!d.hint.empty()) out += " (" + d.hint + ")";
    out += "\n" + d.excerpt + "\n";
  }
  return out;
}

/// Compiles one expression; null where it is wrong.
inline std::shared_ptr<const Program> compile(const Scope& scope, const std::string& text,
                                              Diagnostics& diagnostics,
                                              std::optional<Kind> expected = std::nullopt) {
  const SourceText source(text);
  const NodePtr node = parse(source, diagnostics);
  if (node == nullptr) return nullptr;
  ProgramBuilder builder(scope);
  if (!builder.add(node, source, diagnostics, expected)) return nullptr;
  return builder.build();
}

/// The value of an expression in every row; throws with the diagnostics where it is wrong.
inline std::vector<Value> evaluate(const Table& table, const std::string& text) {
  Diagnostics diagnostics;
  const auto program = compile(table.scope(), text, diagnostics);
  if (program == nullptr) throw std::runtime_error(text + "\n" + text_of(diagnostics));
  Evaluator evaluator(program);
  evaluator.run(table.views(), table.rows, kNow);
  std::vector<Value> values;
  for (std::size_t i = 0; i < table.rows; ++i) {
    values.push_back(Value::from(evaluator.output(0), i));
  }
  return values;
}

/// A value for comparison in a test: NULL, its text, texts in quotes.
inline std::string shown(const Value& value) {
  if (value.null) return "NULL";
  if (is_text(value.type.kind)) return "'" + value.text + "'";
  return value.to_string();
}

}  // namespace streamobs::expr::test
