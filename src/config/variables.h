// ${NAME} and ${NAME:-default} in the texts of a config: variables of the environment.
//
// They are put in after the file has been parsed, so what a variable holds is part of that one text
// and nothing else. "$${" stands for "${".
#pragma once

#include "config/document.h"
#include "config/source_file.h"

namespace streamobs::config {

/// Whether any text below has one of these.
bool has_variables(const Value& value);

/// Replaces them in a text, a list or a table. False after an error: one that is not set and has no
/// default, or one in the place of a secret.
bool put_variables(Value& value, Report& report);

}  // namespace streamobs::config
