// How a step of one type becomes one of another: without being asked, and by cast().
#include <algorithm>

#include <fmt/format.h>

#include "base/decimal.h"
#include "expr/compiler.h"
#include "expr/text_values.h"

namespace streamobs::expr {
namespace {

constexpr DataType kFloat = {Kind::floating, 0};
constexpr DataType kString = {Kind::string, 0};
constexpr DataType kInterval = {Kind::interval, 0};

std::string name_of(DataType type) {
  return streamobs::to_text(type);
}

}  // namespace

std::optional<DataType> unite(DataType x, DataType y) {
  if (x == y || y.kind == Kind::null) return x;
  if (x.kind == Kind::null) return y;
  if (!is_numeric(x.kind) || !is_numeric(y.kind)) return std::nullopt;
  if (x.kind == Kind::floating || y.kind == Kind::floating) return kFloat;
  return DataType{Kind::decimal, std::max(x.scale, y.scale)};
}

Compiler::Ref Compiler::require(Ref id, const Node& node, Kind expected) {
  if (!id) return std::nullopt;
  const Kind kind = type(*id).kind;
  if (kind == expected) return id;
  const bool widens =
      kind == Kind::null ||
      (kind == Kind::integer && (expected == Kind::floating || expected == Kind::decimal)) ||
      (kind == Kind::decimal && expected == Kind::floating);
  if (widens) return widen(*id, {expected, 0});
  return wrong_kind(node, *id, name_of({expected, 0}).substr(0, name_of({expected, 0}).find('(')));
}

Compiler::Ref Compiler::as_type(const Node& node, StepId id, DataType wanted) {
  const std::optional<DataType> both = unite(type(id), wanted);
  if (both == wanted) return widen(id, wanted);
  return wrong_kind(node, id, name_of(wanted));
}

StepId Compiler::widen(StepId id, DataType to) {
  const DataType from = type(id);
  if (from == to) return id;
  if (from.kind == Kind::null) return constant(Value::of_null(to));
  Options options;
  if (to.kind == Kind::floating) {
    options.a = from.scale;
    return emit(kernels::int_to_float, to, {id}, options);
  }
  options.a = power_of_ten(to.scale - from.scale);
  return emit(kernels::scale_int, to, {id}, options);
}

Compiler::Ref Compiler::convert(StepId id, DataType to) {
  const DataType from = type(id);
  if (from == to) return id;
  if (from.kind == Kind::null) return widen(id, to);
  if (to.kind == Kind::string) return to_text(id);
  Options options;
  if (from.kind == Kind::string) {
    switch (to.kind) {
      case Kind::integer:
        return emit(kernels::string_to_int, to, {id});
      case Kind::floating:
        return emit(kernels::string_to_float, to, {id});
      case Kind::decimal:
        return emit(kernels::string_to_decimal, to, {id});
      case Kind::boolean:
        return emit(kernels::string_to_bool, to, {id});
      case Kind::timestamp:
        return emit(kernels::string_to_timestamp, to, {id});
      case Kind::interval:
        return emit(kernels::string_to_interval, to, {id});
      default:
        return std::nullopt;
    }
  }
  if (from.kind == Kind::boolean && to.kind == Kind::integer) {
    return emit(kernels::bool_to_int, to, {id});
  }
  if (from.kind == Kind::integer && to.kind == Kind::boolean) {
    return emit(kernels::int_to_bool, to, {id});
  }
  if (!is_numeric(from.kind) || !is_numeric(to.kind)) return std::nullopt;
  if (to.kind == Kind::floating) return widen(id, to);
  if (from.kind == Kind::floating) {
    options.a = to.scale;
    const bool whole = to.kind == Kind::integer;
    return emit(whole ? kernels::float_to_int : kernels::float_to_decimal, to, {id}, options);
  }
  if (to.scale >= from.scale) return widen(id, to);
  options.a = kernels::round_parameter(from.scale - to.scale, kernels::Rounding::half_away);
  return emit(kernels::round_int, to, {id}, options);
}

StepId Compiler::to_text(StepId id) {
  if (type(id).kind == Kind::string) return id;
  if (type(id).kind == Kind::null) return widen(id, kString);
  return emit(kernels::to_string, kString, {id});
}

std::optional<DataType> Compiler::common_type(std::span<StepId> ids, std::span<const NodePtr> nodes,
                                              Span span, std::string_view what) {
  DataType common;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // A text literal among times is a time.
    if (common.kind == Kind::timestamp || common.kind == Kind::interval) {
      if (!adapt_literal(*nodes[i], ids[i], common.kind)) return std::nullopt;
    }
    const auto united = unite(common, type(ids[i]));
    if (!united) {
      fail(i < nodes.size() ? nodes[i]->span : span,
           fmt::format("{} mixes {} and {}", what, name_of(common), name_of(type(ids[i]))),
           "make them one type with cast(… as …)");
      return std::nullopt;
    }
    common = *united;
  }
  return common;
}

bool Compiler::adapt_literal(const Node& node, StepId& id, Kind wanted) {
  if (node.op != Op::literal || node.literal.type.kind != Kind::string) return true;
  if (wanted == Kind::timestamp) {
    if (const auto time = parse_timestamp(node.literal.text)) {
      id = constant(Value::of_timestamp(*time));
      return true;
    }
    fail(node.span, "not a time", "for example '2024-01-09 12:34:56'");
    return false;
  }
  if (wanted == Kind::interval) {
    if (const auto span = parse_interval(node.literal.text)) {
      Value value = Value::of_int(*span);
      value.type = kInterval;
      id = constant(std::move(value));
      return true;
    }
    fail(node.span, "not a span of time", "for example '5 minutes'");
    return false;
  }
  return true;
}

Compiler::Ref Compiler::cast(const Node& node, StepId arg) {
  const Ref converted = convert(arg, node.type);
  if (converted) return converted;
  std::string hint;
  const Kind from = type(arg).kind;
  if (from == Kind::timestamp && is_numeric(node.type.kind)) {
    hint = "write extract(epoch from …) for seconds since 1970";
  } else if (is_numeric(from) && node.type.kind == Kind::timestamp) {
    hint = "write to_timestamp(seconds) or epoch_ms(milliseconds)";
  } else if (from == Kind::interval && is_numeric(node.type.kind)) {
    hint = "write extract(epoch from …) for seconds";
  }
  return fail(node.span,
              fmt::format("{} cannot be cast to {}", name_of(type(arg)), name_of(node.type)),
              std::move(hint));
}

}  // namespace streamobs::expr
