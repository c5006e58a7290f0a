// A second, naive implementation of the language: one row at a time, straight from the tree, every
// rule written down without a thought for speed. The engine's results are compared with its.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/decimal.h"
#include "expr/ast.h"

namespace streamobs::expr::test {

/// Types are dynamic here; a decimal keeps the scale it happens to have.
class Reference {
 public:
  Reference(std::vector<std::string> names, std::vector<Value> row)
      : names_(std::move(names)), row_(std::move(row)) {}

  Value eval(const Node& n) const {
    switch (n.op) {
      case Op::literal:
        return n.literal;
      case Op::column:
        for (std::size_t i = 0; i < names_.size(); ++i) {
          if (names_[i] == n.name) return row_[i];
        }
        throw std::logic_error("no column " + n.name);
      case Op::logical_and: {
        const Value a = eval(*n.args[0]);
        const Value b = eval(*n.args[1]);
        if ((!a.null && a.integer == 0) || (!b.null && b.integer == 0))
          return Value::of_bool(false);
        return a.null || b.null ? null() : Value::of_bool(true);
      }
      case Op::logical_or: {
        const Value a = eval(*n.args[0]);
        const Value b = eval(*n.args[1]);
        if ((!a.null && a.integer != 0) || (!b.null && b.integer != 0)) return Value::of_bool(true);
        return a.null || b.null ? null() : Value::of_bool(false);
      }
      case Op::logical_not:
        return inverted(eval(*n.args[0]));
      case Op::is_null:
        return Value::of_bool(eval(*n.args[0]).null != n.negated);
      case Op::is_true:
      case Op::is_false: {
        const Value a = eval(*n.args[0]);
        const bool hit = !a.null && (a.integer != 0) == (n.op == Op::is_true);
        return Value::of_bool(hit != n.negated);
      }
      case Op::is_distinct: {
        const Value a = eval(*n.args[0]);
        const Value b = eval(*n.args[1]);
        const bool distinct = a.null || b.null ? a.null != b.null : order(a, b) != 0;
        return Value::of_bool(distinct != n.negated);
      }
      case Op::in: {
        const Value a = eval(*n.args[0]);
        bool unknown = a.null;
        bool found = false;
        for (std::size_t i = 1; i < n.args.size(); ++i) {
          const Value item = eval(*n.args[i]);
          if (a.null || item.null) {
            unknown = true;
          } else {
            found = found || order(a, item) == 0;
          }
        }
        if (!found && unknown) return null();
        return Value::of_bool(found != n.negated);
      }
      case Op::between: {
        const Value a = eval(*n.args[0]);
        const Value low = eval(*n.args[1]);
        const Value high = eval(*n.args[2]);
        const bool below = !a.null && !low.null && order(a, low) < 0;
        const bool above = !a.null && !high.null && order(a, high) > 0;
        if (below || above) return Value::of_bool(n.negated);
        return a.null || low.null || high.null ? null() : Value::of_bool(!n.negated);
      }
      case Op::like: {
        const Value a = eval(*n.args[0]);
        const Value b = eval(*n.args[1]);
        if (a.null || b.null) return null();
        return Value::of_bool(like(a.text, b.text, 0, 0, n.ilike) != n.negated);
      }
      case Op::case_when:
        for (std::size_t i = 0; i + 1 < n.args.size(); i += 2) {
          const Value condition = eval(*n.args[i]);
          if (!condition.null && condition.integer != 0) return eval(*n.args[i + 1]);
        }
        return eval(*n.args.back());
      case Op::negate: {
        Value a = eval(*n.args[0]);
        if (a.null) return a;
        if (a.type.kind == Kind::floating) return Value::of_float(-a.floating);
        return exact(-static_cast<__int128>(a.integer), a.type);
      }
      case Op::concat: {
        const Value a = eval(*n.args[0]);
        const Value b = eval(*n.args[1]);
        if (a.null || b.null) return null();
        return Value::of_string(a.to_string() + b.to_string());
      }
      case Op::cast:
        return cast(eval(*n.args[0]), n.type);
      case Op::call:
        return call(n);
      case Op::element:
        throw std::logic_error("not in the reference");
      default:
        break;
    }
    const Value a = eval(*n.args[0]);
    const Value b = eval(*n.args[1]);
    if (a.null || b.null) return null();
    switch (n.op) {
      case Op::equal:
        return Value::of_bool(order(a, b) == 0);
      case Op::not_equal:
        return Value::of_bool(order(a, b) != 0);
      case Op::less:
        return Value::of_bool(order(a, b) < 0);
      case Op::less_equal:
        return Value::of_bool(order(a, b) <= 0);
      case Op::greater:
        return Value::of_bool(order(a, b) > 0);
      case Op::greater_equal:
        return Value::of_bool(order(a, b) >= 0);
      default:
        return arithmetic(n.op, a, b);
    }
  }

 private:
  static Value null() { return Value::of_null({}); }
  static Value inverted(const Value& a) { return a.null ? a : Value::of_bool(a.integer == 0); }
  static Value exact(__int128 units, DataType type) {
    if (units > INT64_MAX || units < INT64_MIN) return null();
    Value v = Value::of_int(static_cast<std::int64_t>(units));
    v.type = type;
    return v;
  }
  static Value real(double x) { return std::isfinite(x) ? Value::of_float(x) : null(); }
  static bool is_real(const Value& v) { return v.type.kind == Kind::floating; }
  static double number(const Value& v) { return is_real(v) ? v.floating : v.as_double(); }
  static __int128 units(const Value& v, int scale) {
    return static_cast<__int128>(v.integer) * power_of_ten(scale - v.type.scale);
  }

  static int order(const Value& a, const Value& b) {
    if (is_text(a.type.kind)) return a.text.compare(b.text);
    if (is_real(a) || is_real(b)) {
      return number(a) < number(b) ? -1 : number(a) > number(b) ? 1 : 0;
    }
    const int scale = std::max(a.type.scale, b.type.scale);
    const __int128 x = units(a, scale);
    const __int128 y = units(b, scale);
    return x < y ? -1 : x > y ? 1 : 0;
  }

  static Value arithmetic(Op op, const Value& a, const Value& b) {
    if (op == Op::divide) return number(b) == 0 ? null() : real(number(a) / number(b));
    if (is_real(a) || is_real(b)) {
      const double x = number(a);
      const double y = number(b);
      if (op == Op::add) return real(x + y);
      if (op == Op::subtract) return real(x - y);
      if (op == Op::multiply) return real(x * y);
      return y == 0 ? null() : real(std::fmod(x, y));
    }
    const bool decimal = a.type.kind == Kind::decimal || b.type.kind == Kind::decimal;
    const int scale =
        op == Op::multiply ? a.type.scale + b.type.scale : std::max(a.type.scale, b.type.scale);
    const DataType type = {decimal ? Kind::decimal : Kind::integer,
                           static_cast<std::uint8_t>(scale)};
    if (op == Op::multiply) return exact(static_cast<__int128>(a.integer) * b.integer, type);
    const __int128 x = units(a, scale);
    const __int128 y = units(b, scale);
    // The engine brings both sides to one scale first, and that must fit, too.
    if (exact(x, type).null || exact(y, type).null) return null();
    if (op == Op::add) return exact(x + y, type);
    if (op == Op::subtract) return exact(x - y, type);
    return y == 0 ? null() : exact(x % y, type);
  }

  static Value cast(const Value& a, DataType to) {
    if (a.null) return a;
    if (to.kind == Kind::string) return Value::of_string(a.to_string());
    if (to.kind == Kind::floating) return Value::of_float(number(a));
    if (to.kind == Kind::integer && is_real(a)) {
      const double x = std::nearbyint(a.floating);
      return x >= -0x1p63 && x < 0x1p63 ? Value::of_int(static_cast<std::int64_t>(x)) : null();
    }
    if (to.scale >= a.type.scale) return exact(units(a, to.scale), to);
    const std::int64_t unit = power_of_ten(a.type.scale - to.scale);
    __int128 whole = a.integer / unit;
    const __int128 rest = a.integer % unit;
    if (2 * rest >= unit) ++whole;
    if (-2 * rest >= unit) --whole;
    return exact(whole, to);
  }

  Value call(const Node& n) const {
    std::vector<Value> args;
    for (const NodePtr& arg : n.args) args.push_back(eval(*arg));
    if (n.name == "coalesce") {
      for (const Value& v : args) {
        if (!v.null) return v;
      }
      return null();
    }
    if (n.name == "greatest" || n.name == "least") {
      Value best = null();
      for (const Value& v : args) {
        if (v.null) continue;
        const bool better =
            best.null || (n.name == "greatest" ? order(v, best) > 0 : order(v, best) < 0);
        if (better) best = v;
      }
      return best;
    }
    if (n.name == "nullif") {
      const bool same = !args[0].null && !args[1].null && order(args[0], args[1]) == 0;
      return same ? null() : args[0];
    }
    for (const Value& v : args) {
      if (v.null) return null();
    }
    const Value& a = args[0];
    if (n.name == "abs") {
      if (is_real(a)) return Value::of_float(std::fabs(a.floating));
      return exact(a.integer < 0 ? -static_cast<__int128>(a.integer) : a.integer, a.type);
    }
    if (n.name == "length") {
      std::int64_t count = 0;
      for (const char c : a.text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
      return Value::of_int(count);
    }
    std::string text = a.text;
    for (char& c : text) {
      if (n.name == "lower" && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
      if (n.name == "upper" && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    }
    return Value::of_string(text);
  }

  /// ASCII texts only.
  static bool like(const std::string& text, const std::string& pattern, std::size_t t,
                   std::size_t p, bool fold) {
    if (p == pattern.size()) return t == text.size();
    if (pattern[p] == '%') {
      for (std::size_t skip = t; skip <= text.size(); ++skip) {
        if (like(text, pattern, skip, p + 1, fold)) return true;
      }
      return false;
    }
    if (t == text.size()) return false;
    if (pattern[p] == '_') return like(text, pattern, t + 1, p + 1, fold);
    if (pattern[p] == '\\' && p + 1 < pattern.size()) ++p;
    const bool same =
        fold ? std::tolower(text[t]) == std::tolower(pattern[p]) : text[t] == pattern[p];
    return same && like(text, pattern, t + 1, p + 1, fold);
  }

  std::vector<std::string> names_;
  std::vector<Value> row_;
};

}  // namespace streamobs::expr::test
