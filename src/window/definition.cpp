#include "window/definition.h"

#include <map>

namespace streamobs::window {

namespace {

void add_names(const expr::NodePtr& root, const expr::Scope& scope,
               std::map<std::string, std::string>& names) {
  expr::walk(root, [&](const expr::Node& node) {
    if (node.op != expr::Op::column || names.contains(node.name)) return;
    if (const auto column = scope.column(node.name)) {
      names[node.name] = ": " + to_text(scope.columns()[*column].type);
    } else if (const expr::Scope::Definition* derived = scope.definition(node.name)) {
      names[node.name] = " = " + expr::to_sql(*derived->node);
      add_names(derived->node, scope, names);  // It uses only names from before it.
    }
  });
}

}  // namespace

std::string expression_definition(const expr::NodePtr& node, const expr::Scope& scope) {
  std::map<std::string, std::string> names;
  add_names(node, scope, names);
  std::string out = expr::to_sql(*node);
  for (const auto& [name, meaning] : names) out += "; " + name + meaning;
  return out;
}

}  // namespace streamobs::window
