#include <array>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/time_format.h"
#include "expr/ast.h"
#include "expr/lexer.h"

namespace streamobs::expr {
namespace {

constexpr int kPrimary = 12;

/// How tightly a node's outermost operator binds: the parser's levels.
int level_of(const Node& node) {
  switch (node.op) {
    case Op::logical_or:
      return 1;
    case Op::logical_and:
      return 2;
    case Op::logical_not:
      return 3;
    case Op::is_null:
    case Op::is_true:
    case Op::is_false:
    case Op::is_distinct:
      return 4;
    case Op::equal:
    case Op::not_equal:
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
      return 5;
    case Op::in:
    case Op::between:
    case Op::like:
      return 6;
    case Op::concat:
      return 7;
    case Op::add:
    case Op::subtract:
      return 8;
    case Op::multiply:
    case Op::divide:
    case Op::modulo:
      return 9;
    case Op::negate:
      return 10;
    case Op::literal: {
      // A negative number reads as a sign in front of a number.
      const Value& v = node.literal;
      const bool negative = !v.null && (v.integer < 0 || v.floating < 0) && is_numeric(v.type.kind);
      return negative ? 10 : kPrimary;
    }
    case Op::element:
      return 11;
    case Op::column:
    case Op::call:
    case Op::case_when:
    case Op::cast:
      return kPrimary;
  }
  return kPrimary;
}

std::string_view symbol_of(Op op) {
  switch (op) {
    case Op::logical_or:
      return " or ";
    case Op::logical_and:
      return " and ";
    case Op::equal:
      return " = ";
    case Op::not_equal:
      return " <> ";
    case Op::less:
      return " < ";
    case Op::less_equal:
      return " <= ";
    case Op::greater:
      return " > ";
    case Op::greater_equal:
      return " >= ";
    case Op::concat:
      return " || ";
    case Op::add:
      return " + ";
    case Op::subtract:
      return " - ";
    case Op::multiply:
      return " * ";
    case Op::divide:
      return " / ";
    case Op::modulo:
      return " % ";
    default:
      return " ? ";
  }
}

class Writer {
 public:
  std::string take() { return std::move(out_); }

  void write(const Node& node) {
    switch (node.op) {
      case Op::literal:
        literal(node.literal);
        break;
      case Op::column:
        column(node.name);
        break;
      case Op::call:
        call(node);
        break;
      case Op::negate: {
        // -5 would be read back as one literal.
        const bool number = node.args[0]->op == Op::literal;
        out_ += number ? "-(" : "-";
        operand(*node.args[0], number ? 0 : kPrimary);
        if (number) out_ += ')';
        break;
      }
      case Op::logical_not:
        out_ += "not ";
        operand(*node.args[0], 3);
        break;
      case Op::is_null:
        is(node, "null");
        break;
      case Op::is_true:
        is(node, "true");
        break;
      case Op::is_false:
        is(node, "false");
        break;
      case Op::is_distinct:
        is(node, "distinct from ");
        operand(*node.args[1], 5);
        break;
      case Op::in:
        in(node);
        break;
      case Op::between:
        range(node, "between ");
        operand(*node.args[1], 7);
        out_ += " and ";
        operand(*node.args[2], 7);
        break;
      case Op::like:
        range(node, node.ilike ? "ilike " : "like ");
        operand(*node.args[1], 7);
        break;
      case Op::case_when:
        case_when(node);
        break;
      case Op::cast:
        out_ += "cast(";
        write(*node.args[0]);
        out_ += " as " + to_text(node.type) + ")";
        break;
      case Op::element:
        operand(*node.args[0], 11);
        out_ += '[';
        write(*node.args[1]);
        out_ += ']';
        break;
      default:
        infix(node);
        break;
    }
  }

 private:
  void operand(const Node& node, int least_level) {
    const bool parentheses = level_of(node) < least_level;
    if (parentheses) out_ += '(';
    write(node);
    if (parentheses) out_ += ')';
  }

  void infix(const Node& node) {
    const int level = level_of(node);
    // Comparisons cannot be chained; and, or and || are associative, so that a tree of any shape
    // reads the same.
    const bool associative =
        node.op == Op::logical_or || node.op == Op::logical_and || node.op == Op::concat;
    operand(*node.args[0], level == 5 ? 6 : level);
    out_ += symbol_of(node.op);
    operand(*node.args[1], associative ? level : level + 1);
  }

  void is(const Node& node, std::string_view what) {
    operand(*node.args[0], 4);
    out_ += node.negated ? " is not " : " is ";
    out_ += what;
  }

  void range(const Node& node, std::string_view what) {
    operand(*node.args[0], 7);
    out_ += node.negated ? " not " : " ";
    out_ += what;
  }

  void list(const std::vector<NodePtr>& nodes, std::size_t from) {
    for (std::size_t i = from; i < nodes.size(); ++i) {
      if (i > from) out_ += ", ";
      write(*nodes[i]);
    }
  }

  void in(const Node& node) {
    range(node, "in (");
    list(node.args, 1);
    out_ += ')';
  }

  void call(const Node& node) {
    out_ += node.name;
    out_ += '(';
    if (node.star) out_ += '*';
    if (node.distinct) out_ += "distinct ";
    list(node.args, 0);
    out_ += ')';
    if (node.filter != nullptr) {
      out_ += " filter (where ";
      write(*node.filter);
      out_ += ')';
    }
  }

  void case_when(const Node& node) {
    out_ += "case";
    for (std::size_t i = 0; i + 1 < node.args.size(); i += 2) {
      out_ += " when ";
      write(*node.args[i]);
      out_ += " then ";
      write(*node.args[i + 1]);
    }
    out_ += " else ";
    write(*node.args.back());
    out_ += " end";
  }

  void quoted(std::string_view text, char quote) {
    out_ += quote;
    for (const char c : text) {
      if (c == quote) out_ += quote;
      out_ += c;
    }
    out_ += quote;
  }

  /// The parts between dots are quoted one by one where they need it.
  void column(std::string_view name) {
    const auto plain = [](std::string_view part) {
      if (part.empty() || is_reserved(ascii_lower(part))) return false;
      for (std::size_t i = 0; i < part.size(); ++i) {
        const char c = part[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                            static_cast<unsigned char>(c) >= 0x80;
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '$'))) return false;
      }
      return true;
    };
    bool all_plain = !name.empty();
    for (std::size_t begin = 0; begin <= name.size();) {
      const std::size_t end = std::min(name.find('.', begin), name.size());
      all_plain = all_plain && plain(name.substr(begin, end - begin));
      begin = end + 1;
    }
    if (all_plain) {
      out_ += name;
    } else {
      quoted(name, '"');
    }
  }

  void literal(const Value& value) {
    if (value.null) {
      out_ += "null";
      return;
    }
    switch (value.type.kind) {
      case Kind::string:
      case Kind::map:
        quoted(value.text, '\'');
        break;
      case Kind::interval:
        out_ += "interval '" + to_text(static_cast<Duration>(value.integer)) + "'";
        break;
      case Kind::timestamp:
        out_ += "timestamp '" + to_rfc3339(value.integer) + "'";
        break;
      case Kind::floating: {
        const std::string text = fmt::format("{}", value.floating);
        out_ += text;
        // 1000 would be an integer, 0.5 a decimal: only the exponent makes a float.
        if (text.find('e') == std::string::npos) out_ += "e0";
        break;
      }
      default:
        out_ += value.to_string();
        break;
    }
  }

  std::string out_;
};

}  // namespace

std::string to_sql(const Node& node) {
  Writer writer;
  writer.write(node);
  return writer.take();
}

}  // namespace streamobs::expr
