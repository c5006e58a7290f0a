#include <array>
#include <cfloat>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/decimal.h"
#include "expr/kernel_loops.h"
#include "expr/kernels.h"
#include "expr/text_values.h"

namespace streamobs::expr::kernels {
namespace {

using Int = std::int64_t;
constexpr Int kLeastInt = std::numeric_limits<Int>::min();

Int wrap_add(Int x, Int y) {
  return static_cast<Int>(static_cast<std::uint64_t>(x) + static_cast<std::uint64_t>(y));
}
Int wrap_subtract(Int x, Int y) {
  return static_cast<Int>(static_cast<std::uint64_t>(x) - static_cast<std::uint64_t>(y));
}

struct Defined {
  template <class T>
  static bool undefined(T, T) {
    return false;
  }
};

struct AddInt : Defined {
  static Int apply(Int x, Int y) { return wrap_add(x, y); }
  static bool failed(Int x, Int y, Int r) { return ((x ^ r) & (y ^ r)) < 0; }
};
struct SubtractInt : Defined {
  static Int apply(Int x, Int y) { return wrap_subtract(x, y); }
  static bool failed(Int x, Int y, Int r) { return ((x ^ y) & (x ^ r)) < 0; }
};
struct MultiplyInt : Defined {
  static Int apply(Int x, Int y) {
    return static_cast<Int>(static_cast<std::uint64_t>(x) * static_cast<std::uint64_t>(y));
  }
  static bool failed(Int x, Int y, Int) {
    Int ignored;
    return __builtin_mul_overflow(x, y, &ignored);
  }
};
struct ModuloInt {
  static Int apply(Int x, Int y) { return y == 0 || y == -1 ? 0 : x % y; }
  static bool failed(Int, Int y, Int) { return y == 0; }
  static bool undefined(Int, Int y) { return y == 0; }
};
struct NegateInt {
  static Int apply(Int x) { return wrap_subtract(0, x); }
  static bool failed(Int x, Int) { return x == kLeastInt; }
};
struct AbsInt {
  static Int apply(Int x) { return x < 0 ? wrap_subtract(0, x) : x; }
  static bool failed(Int x, Int) { return x == kLeastInt; }
};

bool is_finite(double x) {
  return std::fabs(x) <= DBL_MAX;
}

struct FiniteFloat : Defined {
  static bool failed(double, double, double r) { return !is_finite(r); }
  static bool failed(double, double r) { return !is_finite(r); }
};
struct AddFloat : FiniteFloat {
  static double apply(double x, double y) { return x + y; }
};
struct SubtractFloat : FiniteFloat {
  static double apply(double x, double y) { return x - y; }
};
struct MultiplyFloat : FiniteFloat {
  static double apply(double x, double y) { return x * y; }
};
struct DivideFloat : FiniteFloat {
  static double apply(double x, double y) { return x / y; }
  static bool undefined(double, double y) { return y == 0; }
};
struct ModuloFloat : FiniteFloat {
  static double apply(double x, double y) { return std::fmod(x, y); }
  static bool undefined(double, double y) { return y == 0; }
};
struct PowerFloat : FiniteFloat {
  static double apply(double x, double y) { return std::pow(x, y); }
};
struct SqrtFloat : FiniteFloat {
  static double apply(double x) { return std::sqrt(x); }
};
struct ExpFloat : FiniteFloat {
  static double apply(double x) { return std::exp(x); }
};
struct LnFloat : FiniteFloat {
  static double apply(double x) { return std::log(x); }
};
struct Log10Float : FiniteFloat {
  static double apply(double x) { return std::log10(x); }
};

/// round(x · 10^digits), half away from zero as it is written in decimal: 2.675 rounds to 2.68
/// although the double is a little less. As in PostgreSQL the 15 digits that a double surely has
/// decide; text is only made where the answer hangs on them.
double rounded_units(double x, int digits) {
  const double scaled = digits >= 0 ? x * static_cast<double>(power_of_ten(digits))
                                    : x / static_cast<double>(power_of_ten(-digits));
  const double magnitude = std::fabs(scaled);
  if (magnitude >= 0x1p52) return scaled;
  const double whole = std::floor(magnitude);
  const double fraction = magnitude - whole;
  double result = fraction < 0.5 ? whole : whole + 1;
  if (std::fabs(fraction - 0.5) <= 1e-13 * (magnitude + 1)) {
    std::array<char, 40> text;
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), std::fabs(x),
                                            std::chars_format::scientific, 14);
    Int units = 0;
    const std::string_view written(text.data(), static_cast<std::size_t>(end - text.data()));
    if (error == std::errc() && digits >= 0 &&
        parse_decimal(written, digits, units) == NumberError::none) {
      result = static_cast<double>(units);
    }
  }
  return std::copysign(result, scaled);
}

/// The greatest doubles that fit: 2^63 itself does not.
bool fits_int(double x) {
  return x >= -0x1p63 && x < 0x1p63;
}

}  // namespace

void add_int(Frame& f) {
  checked_two<Int, Int, AddInt>(f);
}
void subtract_int(Frame& f) {
  checked_two<Int, Int, SubtractInt>(f);
}
void multiply_int(Frame& f) {
  checked_two<Int, Int, MultiplyInt>(f);
}
void modulo_int(Frame& f) {
  checked_two<Int, Int, ModuloInt>(f);
}
void negate_int(Frame& f) {
  checked_one<Int, Int, NegateInt>(f);
}
void abs_int(Frame& f) {
  checked_one<Int, Int, AbsInt>(f);
}
void sign_int(Frame& f) {
  map_one<Int, Int>(f, [](Int x) { return static_cast<Int>(x > 0) - static_cast<Int>(x < 0); });
}

void scale_int(Frame& f) {
  const Int factor = f.a;
  bool failed = false;
  map_one<Int, Int>(f, [&](Int x) {
    failed |= MultiplyInt::failed(x, factor, 0);
    return MultiplyInt::apply(x, factor);
  });
  if (!failed) return;
  for (std::size_t i = 0; i < f.rows; ++i) {
    if (!MultiplyInt::failed(f.args[0].ints[i], factor, 0)) continue;
    if (!f.is_null(i)) f.set_overflow(i);
    f.ints[i] = 0;
  }
}

std::int64_t round_parameter(int digits, Rounding rounding) {
  return digits * 16 + static_cast<std::int64_t>(rounding);
}

void round_int(Frame& f) {
  const Int divisor = power_of_ten(static_cast<int>(f.a / 16));
  const auto rounding = static_cast<Rounding>(f.a % 16);
  const Int factor = power_of_ten(static_cast<int>(f.b));
  for (std::size_t i = 0; i < f.rows; ++i) {
    const Int x = f.args[0].ints[i];
    Int whole = x / divisor;
    const Int rest = x % divisor;
    switch (rounding) {
      case Rounding::half_away:
        // |rest| < 10^18 and half of it compares without overflow.
        if (rest >= divisor - rest && rest > 0) ++whole;
        if (-rest >= divisor + rest && rest < 0) --whole;
        break;
      case Rounding::truncate:
        break;
      case Rounding::floor:
        whole -= rest < 0;
        break;
      case Rounding::ceiling:
        whole += rest > 0;
        break;
    }
    f.ints[i] = MultiplyInt::apply(whole, factor);
    if (MultiplyInt::failed(whole, factor, 0)) {
      f.ints[i] = 0;
      if (!f.is_null(i)) f.set_overflow(i);
    }
  }
}

void add_float(Frame& f) {
  checked_two<double, double, AddFloat>(f);
}
void subtract_float(Frame& f) {
  checked_two<double, double, SubtractFloat>(f);
}
void multiply_float(Frame& f) {
  checked_two<double, double, MultiplyFloat>(f);
}
void divide_float(Frame& f) {
  checked_two<double, double, DivideFloat>(f);
}
void modulo_float(Frame& f) {
  checked_two<double, double, ModuloFloat>(f);
}
void power_float(Frame& f) {
  checked_two<double, double, PowerFloat>(f);
}
void negate_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return -x; });
}
void abs_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return std::fabs(x); });
}
void sign_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return static_cast<double>((x > 0) - (x < 0)); });
}
void floor_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return std::floor(x); });
}
void ceiling_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return std::ceil(x); });
}
void truncate_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return std::trunc(x); });
}
void round_float(Frame& f) {
  map_one<double, double>(f, [](double x) { return std::nearbyint(x); });
}

void round_float_digits(Frame& f) {
  const int digits = static_cast<int>(f.a);
  const double unit = static_cast<double>(power_of_ten(std::abs(digits)));
  for (std::size_t i = 0; i < f.rows; ++i) {
    const double x = f.args[0].floats[i];
    const double units = rounded_units(x, digits);
    const double r = digits >= 0 ? units / unit : units * unit;
    // Beyond 2^52 units a double has no such digits to round (and infinity would be one step off).
    f.floats[i] = is_finite(r) && std::fabs(units) < 0x1p52 ? r : x;
  }
}

void truncate_float_digits(Frame& f) {
  const int digits = static_cast<int>(f.a);
  const double unit = static_cast<double>(power_of_ten(std::abs(digits)));
  for (std::size_t i = 0; i < f.rows; ++i) {
    const double x = f.args[0].floats[i];
    const double units = digits >= 0 ? x * unit : x / unit;
    if (std::fabs(units) >= 0x1p52) {
      f.floats[i] = x;
      continue;
    }
    // 1.15 · 100 is 114.99…: what is within a rounding error of a whole number is one.
    const double near = std::nearbyint(units);
    const double whole =
        std::fabs(units - near) <= 1e-14 * (std::fabs(units) + 1) ? near : std::trunc(units);
    f.floats[i] = digits >= 0 ? whole / unit : whole * unit;
  }
}

void sqrt_float(Frame& f) {
  checked_one<double, double, SqrtFloat>(f);
}
void exp_float(Frame& f) {
  checked_one<double, double, ExpFloat>(f);
}
void ln_float(Frame& f) {
  checked_one<double, double, LnFloat>(f);
}
void log10_float(Frame& f) {
  checked_one<double, double, Log10Float>(f);
}

void int_to_float(Frame& f) {
  if (f.a == 0) {
    map_one<double, Int>(f, [](Int x) { return static_cast<double>(x); });
    return;
  }
  const double unit = static_cast<double>(power_of_ten(static_cast<int>(f.a)));
  map_one<double, Int>(f, [unit](Int x) { return static_cast<double>(x) / unit; });
}

void float_to_int(Frame& f) {
  for (std::size_t i = 0; i < f.rows; ++i) {
    const double x = std::nearbyint(f.args[0].floats[i]);
    if (fits_int(x)) {
      f.ints[i] = static_cast<Int>(x);
    } else {
      f.ints[i] = 0;
      if (!f.is_null(i)) f.set_overflow(i);
    }
  }
}

void float_to_decimal(Frame& f) {
  const int digits = static_cast<int>(f.a);
  for (std::size_t i = 0; i < f.rows; ++i) {
    const double x = rounded_units(f.args[0].floats[i], digits);
    if (fits_int(x)) {
      f.ints[i] = static_cast<Int>(x);
    } else {
      f.ints[i] = 0;
      if (!f.is_null(i)) f.set_overflow(i);
    }
  }
}

void bool_to_int(Frame& f) {
  map_one<Int, std::uint8_t>(f, [](std::uint8_t x) { return static_cast<Int>(x != 0); });
}
void int_to_bool(Frame& f) {
  map_one<std::uint8_t, Int>(f, [](Int x) { return static_cast<std::uint8_t>(x != 0); });
}

}  // namespace streamobs::expr::kernels
