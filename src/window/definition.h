// A window's definition as text, so that a snapshot can be told from one of a window that only
// shares the name. Used while a config is compiled.
#pragma once

#include <string>

#include "expr/ast.h"
#include "expr/program.h"

namespace streamobs::window {

/// An expression as SQL, followed by all it is made of: the derived fields it reads, by what they
/// stand for, and declared ones by their types. The same text means the same values.
std::string expression_definition(const expr::NodePtr& node, const expr::Scope& scope);

}  // namespace streamobs::window
