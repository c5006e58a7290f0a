// The functions of time: now(), date_trunc, extract and the ways from numbers to times.
#include <algorithm>

#include <fmt/format.h>

#include "base/clock.h"
#include "expr/functions.h"
#include "expr/lexer.h"

namespace streamobs::expr::time_functions {

namespace {

constexpr DataType kInt = {Kind::integer, 0};
constexpr DataType kTimestamp = {Kind::timestamp, 0};

/// The constant text of argument 0, in lower case.
std::optional<std::string> field_name(Compiler& c, const Node& call, Args args) {
  const StepId id = args[0];
  if (c.is_constant(id) && c.type(id).kind == Kind::string && !c.literal(id).null) {
    return ascii_lower(c.literal(id).text);
  }
  c.fail(call.args[0]->span, fmt::format("{} needs a fixed unit here", call.name),
         "such as 'minute', 'hour', 'day'");
  return std::nullopt;
}

struct Field {
  std::string_view name;
  kernels::TimeField field;
  std::uint8_t scale;  ///< Of the result: a decimal where there is a fraction.
  bool of_interval;
};
using enum kernels::TimeField;
constexpr Field kFields[] = {{"epoch", epoch, 6, true},
                             {"microseconds", microseconds, 0, true},
                             {"milliseconds", milliseconds, 3, true},
                             {"second", second, 6, true},
                             {"minute", minute, 0, true},
                             {"hour", hour, 0, true},
                             {"day", day, 0, true},
                             {"dow", day_of_week, 0, false},
                             {"isodow", iso_day_of_week, 0, false},
                             {"doy", day_of_year, 0, false},
                             {"week", week, 0, false},
                             {"month", month, 0, false},
                             {"quarter", quarter, 0, false},
                             {"year", year, 0, false},
                             {"isoyear", iso_year, 0, false}};

}  // namespace

Ref now(Compiler& c, const Node&, Args) {
  return c.now();
}

Ref date_trunc(Compiler& c, const Node& call, Args args) {
  struct Unit {
    std::string_view name;
    kernels::TimeUnit unit;
  };
  using enum kernels::TimeUnit;
  static constexpr Unit kUnits[] = {{"microseconds", microsecond},
                                    {"milliseconds", millisecond},
                                    {"second", second},
                                    {"minute", minute},
                                    {"hour", hour},
                                    {"day", day},
                                    {"week", week},
                                    {"month", month},
                                    {"quarter", quarter},
                                    {"year", year}};
  const auto name = field_name(c, call, args);
  if (!name) return std::nullopt;
  const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& u) {
    return *name == u.name || (u.name.ends_with('s') && *name + "s" == u.name) ||
           *name == std::string(u.name) + "s";
  });
  if (unit == std::end(kUnits)) {
    return c.fail(call.args[0]->span, fmt::format("date_trunc knows no unit '{}'", *name),
                  "second, minute, hour, day, week, month, quarter, year");
  }
  if (c.type(args[1]).kind == Kind::null) args[1] = c.widen(args[1], kTimestamp);
  if (c.type(args[1]).kind != Kind::timestamp) {
    return c.wrong_kind(*call.args[1], args[1], "timestamp");
  }
  Compiler::Options options;
  options.a = static_cast<std::int64_t>(unit->unit);
  return c.emit(kernels::date_trunc, kTimestamp, {args[1]}, options);
}

Ref date_part(Compiler& c, const Node& call, Args args) {
  const auto name = field_name(c, call, args);
  if (!name) return std::nullopt;
  if (c.type(args[1]).kind == Kind::null) args[1] = c.widen(args[1], kTimestamp);
  const Kind kind = c.type(args[1]).kind;
  if (kind != Kind::timestamp && kind != Kind::interval) {
    return c.wrong_kind(*call.args[1], args[1], "timestamp or interval");
  }
  const auto* field = std::find_if(std::begin(kFields), std::end(kFields), [&](const Field& f) {
    return *name == f.name || *name == std::string(f.name) + "s" || *name + "s" == f.name;
  });
  if (field == std::end(kFields) || (kind == Kind::interval && !field->of_interval)) {
    return c.fail(
        call.args[0]->span, fmt::format("{} has no field '{}'", to_text(DataType{kind, 0}), *name),
        kind == Kind::interval ? "epoch, second, minute, hour, day"
                               : "epoch, second, minute, hour, day, dow, isodow, doy, week, month, "
                                 "quarter, year, isoyear");
  }
  const DataType type = field->scale == 0 ? kInt : DataType{Kind::decimal, field->scale};
  Compiler::Options options;
  options.a = static_cast<std::int64_t>(field->field);
  return c.emit(kind == Kind::interval ? kernels::interval_part : kernels::date_part, type,
                {args[1]}, options);
}

/// Seconds since the epoch.
Ref to_timestamp(Compiler& c, const Node& call, Args args) {
  if (!want_number(c, call, args, 0)) return std::nullopt;
  const auto micros = c.convert(args[0], {Kind::decimal, 6});
  Compiler::Options options;
  options.a = 1;
  return c.emit(kernels::scale_int, kTimestamp, {*micros}, options);
}

/// Milliseconds since the epoch.
Ref epoch_ms(Compiler& c, const Node& call, Args args) {
  if (!want_int(c, call, args, 0)) return std::nullopt;
  Compiler::Options options;
  options.a = kMillisecond;
  return c.emit(kernels::scale_int, kTimestamp, {args[0]}, options);
}

}  // namespace streamobs::expr::time_functions
