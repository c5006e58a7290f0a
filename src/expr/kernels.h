// The loops that do the work, chosen once by the compiler and then called through a pointer.
//
// A kernel is a pure function over arrays. Unless said otherwise it is strict (see Step::strict)
// and takes its arguments already converted to the kinds it names.
#pragma once

#include "expr/ast.h"
#include "expr/step.h"

namespace streamobs::expr::kernels {

// --- numbers. "int" stands for whatever is stored as a 64-bit integer.
void add_int(Frame& f);
void subtract_int(Frame& f);
void multiply_int(Frame& f);
void modulo_int(Frame& f);
void negate_int(Frame& f);
void abs_int(Frame& f);
void sign_int(Frame& f);
/// Multiplies by `a`.
void scale_int(Frame& f);
enum class Rounding : std::int64_t { half_away = 0, truncate = 1, floor = 2, ceiling = 3 };
/// Divides by 10^(a / 16), rounding by `a % 16`, and multiplies by 10^b.
void round_int(Frame& f);
std::int64_t round_parameter(int digits, Rounding rounding);

void add_float(Frame& f);
void subtract_float(Frame& f);
void multiply_float(Frame& f);
void divide_float(Frame& f);  ///< x / 0 is NULL.
void modulo_float(Frame& f);
void negate_float(Frame& f);
void abs_float(Frame& f);
void sign_float(Frame& f);
void floor_float(Frame& f);
void ceiling_float(Frame& f);
void truncate_float(Frame& f);
void round_float(Frame& f);         ///< Half to even, as PostgreSQL's round(double precision).
void round_float_digits(Frame& f);  ///< To `a` digits, half away from zero.
void truncate_float_digits(Frame& f);
void sqrt_float(Frame& f);
void exp_float(Frame& f);
void ln_float(Frame& f);
void log10_float(Frame& f);
void power_float(Frame& f);

// --- comparison
/// The kernel for `op` over two columns of `kind`, NULL where an argument is.
Kernel comparison(Op op, Kind kind);
/// Two integral columns of different scale: left · a against right · b, in 128 bits.
Kernel scaled_comparison(Op op);

// --- truth; not strict: they follow SQL's three-valued logic themselves.
void logical_and(Frame& f);
void logical_or(Frame& f);
void logical_not(Frame& f);  ///< Strict.
void is_null(Frame& f);      ///< `a` = 1 in these three: negated.
void is_true(Frame& f);
void is_false(Frame& f);
/// Of the arguments (a = b, a is null, b is null): a is distinct from b.
void is_distinct(Frame& f);

// --- choice, by the kind of the values; not strict.
Kernel select(Kind kind);  ///< condition, value, …, else.
Kernel coalesce(Kind kind);
Kernel greatest(Kind kind);
Kernel least(Kind kind);
Kernel in_list(Kind kind);  ///< args[0] in (args[1] …).

// --- text
void like(Frame& f);
void ilike(Frame& f);
void concat(Frame& f);           ///< The operator ||.
void concat_skipping(Frame& f);  ///< The function concat(): a NULL is nothing. Not strict.
void lower(Frame& f);
void upper(Frame& f);
void length(Frame& f);
void octet_length(Frame& f);
void trim_both(Frame& f);
void trim_left(Frame& f);
void trim_right(Frame& f);
void substring(Frame& f);  ///< text, from[, length], in characters from 1.
void left(Frame& f);
void right(Frame& f);
void strpos(Frame& f);
void starts_with(Frame& f);
void replace(Frame& f);
void split_part(Frame& f);
/// One name for each level of a log; NULL where the text is none.
void log_level(Frame& f);
/// A map's value by key, as text. NULL where there is no such key.
void element(Frame& f);

/// Column `b` of the row of table `a` for the arguments, of which the last is the time where the
/// table has one; NULL where there is no such row.
void lookup(Frame& f);

// --- time
enum class TimeUnit : std::int64_t {
  microsecond,
  millisecond,
  second,
  minute,
  hour,
  day,
  week,
  month,
  quarter,
  year
};
void date_trunc(Frame& f);  ///< To the TimeUnit in `a`.
enum class TimeField : std::int64_t {
  epoch,
  microseconds,
  milliseconds,
  second,
  minute,
  hour,
  day,
  day_of_week,
  iso_day_of_week,
  day_of_year,
  week,
  month,
  quarter,
  year,
  iso_year
};
void date_part(Frame& f);      ///< The TimeField in `a` of a time.
void interval_part(Frame& f);  ///< The same of a span.

// --- conversion
void int_to_float(Frame& f);      ///< Divides by 10^a.
void float_to_int(Frame& f);      ///< Half to even.
void float_to_decimal(Frame& f);  ///< To `a` digits, half away from zero.
void bool_to_int(Frame& f);
void int_to_bool(Frame& f);
void to_string(Frame& f);      ///< From any kind.
void string_to_int(Frame& f);  ///< What cannot be read is NULL, here and below.
void string_to_float(Frame& f);
void string_to_decimal(Frame& f);
void string_to_bool(Frame& f);
void string_to_timestamp(Frame& f);
void string_to_interval(Frame& f);

}  // namespace streamobs::expr::kernels
