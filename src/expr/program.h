// Expressions, type-checked and compiled once, run over columns.
//
// A Program is immutable and shared by all lanes; it computes several outputs and shares what they
// have in common. An Evaluator is one lane's scratch memory for one program: it belongs to one
// strand, allocates nothing per row, and its outputs stay good until the next run.
//
// SQL's rules as in PostgreSQL hold, with two stated differences: `/` is float division, and
// x / 0 is NULL. A number that leaves its range (integer overflow, an infinite float) becomes NULL
// and is counted. Comparison with NULL is NULL; a filter takes only true.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "event/column.h"
#include "expr/ast.h"

namespace streamobs {
struct LookupSchema;
struct LookupTables;
}  // namespace streamobs

namespace streamobs::expr {

/// The names an expression may use.
class Scope {
 public:
  /// Adds an input column; its index is the order of adding. Of type null: it is meant to be there,
  /// but what it is could not be made out, which has been said. An expression over it has no type
  /// either and no mistake by that.
  void add_column(std::string name, DataType type);
  /// The same under a name that users neither know nor can write, and that is not suggested.
  void add_hidden_column(std::string name, DataType type);
  /// Adds a name that stands for an expression over names added before (a derived field).
  void add_definition(std::string name, NodePtr definition, SourceText source);
  /// Adds a table that lookup() knows by its name; its number is the order of adding. Outlives all
  /// programs.
  void add_lookup(const LookupSchema& table) { lookups_.push_back(&table); }
  /// Which column is the time by which tables are looked at.
  void set_event_time(std::size_t column) { event_time_ = column; }
  /// Names may be missing here because of a mistake that has been told: one that is not known is as
  /// a column of type null.
  void set_incomplete() { incomplete_ = true; }

  struct Column {
    std::string name;
    DataType type;
    bool hidden = false;
  };
  struct Definition {
    std::string name;
    NodePtr node;
    SourceText source;
  };
  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<Definition>& definitions() const { return definitions_; }
  const std::vector<const LookupSchema*>& lookups() const { return lookups_; }
  std::optional<std::size_t> event_time() const { return event_time_; }
  std::optional<std::size_t> column(std::string_view name) const;
  const Definition* definition(std::string_view name) const;
  bool incomplete() const { return incomplete_; }
  /// Names near `name`, for "did you mean".
  std::string suggestion(std::string_view name) const;

 private:
  std::vector<Column> columns_;
  std::vector<Definition> definitions_;
  std::vector<const LookupSchema*> lookups_;
  std::optional<std::size_t> event_time_;
  bool incomplete_ = false;
};

class Program;

/// Collects outputs and compiles them together.
class ProgramBuilder {
 public:
  explicit ProgramBuilder(const Scope& scope);
  ~ProgramBuilder();

  /// Adds `node` (parsed from `source`) as the next output. On a type mistake adds diagnostics and
  /// returns nothing; nothing alone where all that is wrong lies in names of the scope and has been
  /// told. `expected`, where given, is a kind the result must have (integers widen to
  /// floats and decimals).
  std::optional<std::size_t> add(const NodePtr& node, const SourceText& source,
                                 Diagnostics& diagnostics,
                                 std::optional<Kind> expected = std::nullopt);
  /// The type of an output added before.
  DataType type(std::size_t output) const;
  std::shared_ptr<const Program> build();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Program {
 public:
  struct Impl;
  explicit Program(std::unique_ptr<const Impl> impl);
  ~Program();

  std::size_t outputs() const;
  DataType type(std::size_t output) const;
  /// Which input columns any output needs, ascending.
  const std::vector<std::size_t>& inputs_used() const;
  /// Whether any output looks into a table.
  bool looks_up() const;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<const Impl> impl_;
};

class Evaluator {
 public:
  /// Rows per run at most; callers go through longer batches in slices.
  static constexpr std::size_t kMaxRows = 1024;

  explicit Evaluator(std::shared_ptr<const Program> program);
  ~Evaluator();
  Evaluator(Evaluator&&) noexcept;

  /// The tables that lookup() looks into from the next run on; without them it finds nothing.
  void set_lookups(const std::shared_ptr<const LookupTables>& tables);
  /// Computes every output over `rows` ≤ kMaxRows rows. `inputs` holds one view for each column of
  /// the scope; those not in inputs_used() may be empty. `now` is what now() says.
  void run(std::span<const ColumnView> inputs, std::size_t rows, Timestamp now);
  /// An output of the last run. May be a constant, and may look straight at an input column.
  const ColumnView& output(std::size_t i) const;
  /// Numbers that left their range so far. What is computed once for an entry of a dictionary, or
  /// once for constants, counts once, not for each row.
  std::uint64_t overflows() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::expr
