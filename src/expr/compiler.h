// From trees to steps: names, types, implicit conversions, constant folding, shared parts.
//
// Lives as long as a ProgramBuilder, while a config is loaded. A part that cannot be typed adds a
// diagnostic and comes back empty; its siblings are still looked at, so that all mistakes of an
// expression are told at once. A name that the scope knows to be broken comes back empty too, and
// says nothing: the mistake has been told where it was made.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "expr/kernels.h"
#include "expr/program.h"
#include "expr/step.h"

namespace streamobs::expr {

class Compiler {
 public:
  using Ref = std::optional<StepId>;

  explicit Compiler(const Scope& scope) : scope_(scope) {}

  /// The step that computes `node`, or nothing: after a diagnostic, or over a broken name.
  Ref compile(const NodePtr& node, const SourceText& source, Diagnostics& diagnostics,
              std::optional<Kind> expected);
  const std::vector<Step>& steps() const { return steps_; }

  // For the functions of functions.cpp.

  DataType type(StepId id) const { return steps_[id].type; }
  bool is_constant(StepId id) const { return steps_[id].what == Step::What::constant; }
  const Value& literal(StepId id) const { return steps_[id].literal; }
  StepId constant(Value value);

  struct Options {
    std::int64_t a = 0;
    std::int64_t b = 0;
    bool strict = true;
    bool reads_values = true;
    bool foldable = true;  ///< False: what constants give is not known before it is run.
  };
  /// The step that runs `kernel` over `args`: folded where all are constant, shared where there
  /// is one like it.
  StepId emit(Kernel kernel, DataType type, std::vector<StepId> args) {
    return emit(kernel, type, std::move(args), Options());
  }
  StepId emit(Kernel kernel, DataType type, std::vector<StepId> args, Options options);
  StepId now();
  const std::vector<const LookupSchema*>& lookups() const { return scope_.lookups(); }
  /// The step that is the event's time; nothing where the scope has none.
  Ref event_time();
  /// The same step where it has that type already, or what it is converted to without being asked;
  /// else a diagnostic.
  Ref as_type(const Node& node, StepId id, DataType wanted);

  /// Converts without being asked: NULL to anything, numbers to wider kinds. The caller has made
  /// sure by common_type() that it can be done.
  StepId widen(StepId id, DataType to);
  /// Converts as cast() does; nothing (and no diagnostic) where there is no such conversion.
  Ref convert(StepId id, DataType to);
  StepId to_text(StepId id);
  StepId to_float(StepId id) { return widen(id, {Kind::floating, 0}); }
  /// The type all of `ids` can be widened to; else a diagnostic at `span`.
  std::optional<DataType> common_type(std::span<StepId> ids, std::span<const NodePtr> nodes,
                                      Span span, std::string_view what);
  StepId compare(Op op, StepId left, StepId right);
  StepId is_null(StepId id, bool negated);

  Ref fail(Span span, std::string message, std::string hint = {});
  /// Says which kind argument `node` should have had.
  Ref wrong_kind(const Node& node, StepId id, std::string_view wanted);

 private:
  Ref compile_node(const NodePtr& node);
  Ref dispatch(const Node& node);
  Ref compile_column(const Node& node);
  Ref compile_definition(std::size_t index);
  Ref compile_call(const Node& node);
  Ref negate(const Node& node, StepId arg);
  Ref arithmetic(const Node& node, StepId left, StepId right);
  Ref time_arithmetic(const Node& node, StepId left, StepId right);
  Ref decimal_arithmetic(const Node& node, StepId left, StepId right);
  Ref concat(const Node& node, StepId left, StepId right);
  Ref comparison(const Node& node, StepId left, StepId right);
  Ref logical(const Node& node, std::span<const StepId> args);
  Ref in(const Node& node, std::vector<StepId> args);
  Ref between(const Node& node, std::span<const StepId> args);
  Ref like(const Node& node, std::span<const StepId> args);
  Ref case_when(const Node& node, std::vector<StepId> args);
  Ref cast(const Node& node, StepId arg);
  Ref element(const Node& node, std::span<const StepId> args);
  Ref distinct(const Node& node, StepId left, StepId right);
  Ref require(Ref id, const Node& node, Kind expected);

  std::optional<StepId> boolean(const Node& node, StepId id);
  StepId logical_not(StepId id);
  /// Makes both sides comparable, or says why they are not.
  bool align(const Node& node, StepId& left, StepId& right);
  /// A text literal beside a time or a span is read as one, as in PostgreSQL.
  bool adapt_literal(const Node& node, StepId& id, Kind wanted);
  StepId add_step(Step step);
  StepId fold(const Step& step);

  struct Definition {
    bool done = false;
    Ref result;
  };

  const Scope& scope_;
  std::vector<Step> steps_;
  std::unordered_map<std::string, StepId> known_;  ///< Steps by everything that makes them up.
  std::unordered_map<const Node*, Ref> memo_;      ///< Of the expression being compiled.
  std::vector<Definition> definitions_;
  std::size_t visible_definitions_ = 0;
  const SourceText* source_ = nullptr;
  Diagnostics* diagnostics_ = nullptr;
  int depth_ = 0;
  int mistakes_ = 0;  ///< Of the expression being compiled, also those that are not told.
};

/// The type both can be widened to, if there is one.
std::optional<DataType> unite(DataType x, DataType y);

/// A literal as a kernel sees it. `value` and `text` (a view of value.text) must outlive the
/// result.
ColumnView constant_view(const Value& value, const std::string_view& text);

/// A scalar function, as compiler and documentation know it.
struct Function {
  std::string_view name;
  std::size_t least_args;
  std::size_t most_args;
  Compiler::Ref (*resolve)(Compiler& compiler, const Node& call, std::span<StepId> args);
};
const Function* find_function(std::string_view name);
/// "did you mean" over all function names, aggregates included.
std::string similar_function(std::string_view name);
bool is_aggregate(std::string_view name);

/// The candidate nearest to `name` if it is near enough, else nothing.
std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace streamobs::expr
