// How scalar functions are typed: each takes its compiled arguments and emits the step that
// computes it, or says what is wrong with them. The table of all of them is in functions.cpp.
//
// Used only while a program is compiled.
#pragma once

#include <cstddef>
#include <span>

#include "expr/compiler.h"

namespace streamobs::expr {

using Ref = Compiler::Ref;
using Args = std::span<StepId>;

/// Argument `i` is of that kind, widened where it is NULL or (to a float) a number; false after a
/// mistake.
bool want_text(Compiler& c, const Node& call, Args args, std::size_t i);
bool want_int(Compiler& c, const Node& call, Args args, std::size_t i);
bool want_number(Compiler& c, const Node& call, Args args, std::size_t i);
bool want_float(Compiler& c, const Node& call, Args args, std::size_t i);

/// lookup('table', 'column', key …).
Ref lookup(Compiler& c, const Node& call, Args args);

namespace time_functions {

Ref now(Compiler& c, const Node& call, Args args);
Ref date_trunc(Compiler& c, const Node& call, Args args);
/// Also extract(field from time).
Ref date_part(Compiler& c, const Node& call, Args args);
Ref to_timestamp(Compiler& c, const Node& call, Args args);
Ref epoch_ms(Compiler& c, const Node& call, Args args);

}  // namespace time_functions

}  // namespace streamobs::expr
