// Which aggregate a metric is, for people and pages that put values of several groups or windows
// together: only what adds up may be added, and a metric's name does not tell.
//
// Plain functions; made while a config is compiled, asked on any thread.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "expr/ast.h"

namespace streamobs::window {

struct AccumulatorPlan;
struct AggregatePlan;
struct StreamWindowsPlan;

/// What a metric's expression is over its columns: the aggregate itself where it is nothing but
/// one; "sum" where it adds up all the same (sums and counts that are added, subtracted or taken
/// times a constant); else empty. `aggregate_of` knows what a column is.
std::string_view aggregate_of(
    const expr::Node& node,
    const std::function<std::string_view(const expr::Node& column)>& aggregate_of_column);

/// As docs/api.md has them: "count", "sum", "avg", "min", "max", "quantile", "distinct_count",
/// "first", "last", "rate".
std::string_view name_of(const AggregatePlan& aggregate, const AccumulatorPlan& accumulator);

/// By window of a stream and metric; empty: it is computed of others.
std::vector<std::vector<std::string_view>> metric_aggregates(const StreamWindowsPlan& plan);

}  // namespace streamobs::window
