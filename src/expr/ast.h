// The tree of a parsed expression. Immutable and shared; made once when the config is loaded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/source_text.h"
#include "event/value.h"

namespace streamobs::expr {

struct Node;
using NodePtr = std::shared_ptr<const Node>;

enum class Op : std::uint8_t {
  literal,      ///< `literal`
  column,       ///< `name`, dotted names joined: metadata.traceId
  call,         ///< `name` (lower case), args; `star` for count(*); `distinct`; `filter`
  negate,       ///< - a
  logical_not,  ///< not a
  add,
  subtract,
  multiply,
  divide,
  modulo,
  concat,  ///< a || b
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  logical_and,
  logical_or,
  is_null,      ///< a is [not] null: `negated`
  is_true,      ///< a is [not] true: `negated`
  is_false,     ///< a is [not] false: `negated`
  is_distinct,  ///< a is [not] distinct from b: `negated`
  in,           ///< args[0] [not] in (args[1] …): `negated`
  between,      ///< args[0] [not] between args[1] and args[2]: `negated`
  like,         ///< args[0] [not] like args[1]: `negated`; `ilike` ignores case
  case_when,    ///< condition, value, condition, value …, else (NULL where there is none)
  cast,         ///< cast(a as type), a::type: `type`
  element,      ///< a['key']: a map's value by key
};

/// Where in the expression's text a node stands, in bytes.
struct Span {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct Node {
  Op op = Op::literal;
  Span span;
  std::string name;
  std::vector<NodePtr> args;
  NodePtr filter;  ///< Of an aggregate call: filter (where …).
  Value literal;
  DataType type;  ///< Of a cast.
  bool negated = false;
  bool ilike = false;
  bool star = false;
  bool distinct = false;
};

/// Parses `source`; on a mistake adds a diagnostic with line, column and a caret, and returns null.
/// Nesting deeper than 64 is a mistake.
NodePtr parse(const SourceText& source, Diagnostics& diagnostics);

/// `root` with nodes replaced: `replace` is asked for each node from the top down; where it returns
/// a node, that one stands in its place and is not looked into further.
NodePtr rewrite(const NodePtr& root, const std::function<NodePtr(const NodePtr&)>& replace);

/// Calls `visit` for every node, parents first.
void walk(const NodePtr& root, const std::function<void(const Node&)>& visit);

/// As SQL text, normalised: the same text for the same meaning of white space and letter case.
std::string to_sql(const Node& node);

/// A diagnostic that points at `span` of `source`: place in the file, the line, a caret.
Diagnostic diagnose(const SourceText& source, Span span, std::string message,
                    std::string hint = {});

}  // namespace streamobs::expr
