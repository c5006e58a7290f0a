// A document as TOML text again: what the log notes of a config that was made of several files or
// has variables in it, so that it can be read when those have changed.
#pragma once

#include <string>

#include "config/document.h"

namespace streamobs::config {

/// Reading it gives the same document, places aside. Not for documents with times, which no config
/// has.
std::string write_toml(const Value& root);
/// The same of one value, on one line.
std::string write_toml_value(const Value& value);

}  // namespace streamobs::config
