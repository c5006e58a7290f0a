#include "window/metric_aggregate.h"

#include "window/plan.h"

namespace streamobs::window {

namespace {

bool adds_up(std::string_view aggregate) {
  return aggregate == "count" || aggregate == "sum";
}

bool is_number(const expr::Node& node) {
  return node.op == expr::Op::literal && !node.literal.null && is_numeric(node.literal.type.kind);
}

}  // namespace

std::string_view aggregate_of(
    const expr::Node& node,
    const std::function<std::string_view(const expr::Node& column)>& aggregate_of_column) {
  const auto arg_adds_up = [&](std::size_t at) {
    return adds_up(aggregate_of(*node.args[at], aggregate_of_column));
  };
  bool sum = false;
  switch (node.op) {
    case expr::Op::column:
      return aggregate_of_column(node);
    case expr::Op::negate:
      sum = arg_adds_up(0);
      break;
    case expr::Op::add:
    case expr::Op::subtract:
      sum = arg_adds_up(0) && arg_adds_up(1);
      break;
    case expr::Op::multiply:
      sum = (arg_adds_up(0) && is_number(*node.args[1])) ||
            (is_number(*node.args[0]) && arg_adds_up(1));
      break;
    case expr::Op::divide:
      sum = arg_adds_up(0) && is_number(*node.args[1]);
      break;
    default:
      break;
  }
  return sum ? "sum" : "";
}

std::string_view name_of(const AggregatePlan& aggregate, const AccumulatorPlan& accumulator) {
  switch (aggregate.finish) {
    case Finish::count:
      return "count";
    case Finish::distinct:
      return "distinct_count";
    case Finish::sum:
      return "sum";
    case Finish::average:
      return "avg";
    case Finish::quantile:
      return "quantile";
    case Finish::rate_count:
    case Finish::rate_sum:
      return "rate";
    case Finish::value:
      break;
  }
  switch (accumulator.kind) {
    case AccumulatorKind::min_int:
    case AccumulatorKind::min_float:
    case AccumulatorKind::min_text:
      return "min";
    case AccumulatorKind::max_int:
    case AccumulatorKind::max_float:
    case AccumulatorKind::max_text:
      return "max";
    case AccumulatorKind::first_int:
    case AccumulatorKind::first_float:
    case AccumulatorKind::first_text:
      return "first";
    case AccumulatorKind::last_int:
    case AccumulatorKind::last_float:
    case AccumulatorKind::last_text:
      return "last";
    default:
      return "";
  }
}

std::vector<std::vector<std::string_view>> metric_aggregates(const StreamWindowsPlan& plan) {
  std::vector<std::vector<std::string_view>> all;
  for (const WindowPlan& window : plan.windows) all.push_back(window.metric_aggregates);
  return all;
}

}  // namespace streamobs::window
