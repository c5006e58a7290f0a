// Compiles one window's select list: finds the aggregate calls, plans their accumulators, and
// makes a program of what is left over them. Used only while a config is compiled.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expr/program.h"
#include "window/options.h"
#include "window/plan.h"
#include "window/program_outputs.h"

namespace streamobs::window {

/// A key column that has been compiled: what the select list may call it.
struct CompiledKey {
  std::string name;
  std::string sql;  ///< Of its expression.
  DataType type;
};

class SelectCompiler {
 public:
  SelectCompiler(const WindowOptions& options, const std::vector<CompiledKey>& keys,
                 ProgramOutputs& outputs, Diagnostics& diagnostics)
      : options_(options), keys_(keys), outputs_(outputs), diagnostics_(diagnostics) {}

  /// The metric columns, in the config's order. Not `good`: there were mistakes, and those that
  /// are wrong have the type null.
  struct Metrics {
    std::vector<ResultColumn> columns;
    bool good = true;
  };
  /// Fills the plan's accumulators, aggregates and, if all is well, the select program.
  Metrics compile(WindowPlan& plan);

 private:
  struct Item {
    const NamedExpression* options = nullptr;
    expr::NodePtr node;             ///< Aggregate calls replaced by columns.
    std::vector<std::size_t> uses;  ///< Other items it names.
    enum class State { fresh, visiting, done, failed } state = State::fresh;
  };

  bool check_names();
  bool parse_items(WindowPlan& plan);
  /// Items in an order in which each comes after those it uses; false on a cycle.
  bool order_items(std::vector<std::size_t>& order);
  bool visit(std::size_t item, std::vector<std::size_t>& order);
  expr::NodePtr replace_aggregates(const expr::NodePtr& root, const SourceText& source,
                                   WindowPlan& plan);
  /// The column that stands for an aggregate call; empty where the call is wrong.
  std::string add_aggregate(const expr::Node& call, const SourceText& source, WindowPlan& plan);
  bool check_call(const expr::Node& call, const SourceText& source);
  std::optional<double> quantile_of(const expr::Node& call, const SourceText& source);
  std::size_t add_accumulator(WindowPlan& plan, const Signature& signature, DataType type,
                              const expr::Node& call, int argument, int filter);
  /// What the select list may name: keys, aggregates, and the items themselves.
  expr::Scope item_scope(const WindowPlan& plan, const std::vector<std::size_t>& order) const;
  /// The types of the items, null where something is wrong.
  std::vector<DataType> check_items(const expr::Scope& scope,
                                    const std::vector<std::size_t>& order);
  bool has_unknown_function(const expr::NodePtr& node, const SourceText& source,
                            const WindowPlan& plan);
  bool check_column(const expr::Node& column, const SourceText& source);
  /// ResultColumn::definition of an item.
  std::uint64_t definition_of(const Item& item, const expr::Scope& scope,
                              const WindowPlan& plan) const;
  /// What it is of the window's aggregates (window/metric_aggregate.h).
  std::string_view aggregate_of_item(const Item& item, const WindowPlan& plan) const;
  std::size_t item_named(const std::string& name) const;
  bool key_named(const std::string& name) const;
  void complain(const SourceText& source, expr::Span span, std::string message, std::string hint);

  const WindowOptions& options_;
  const std::vector<CompiledKey>& keys_;
  ProgramOutputs& outputs_;
  Diagnostics& diagnostics_;
  std::vector<Item> items_;
  std::vector<std::string> aggregate_columns_;  ///< Names, one for each aggregate of the plan.
};

}  // namespace streamobs::window
