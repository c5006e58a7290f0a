// Configs out of text and what is said about them, for the tests of src/config.
#pragma once

#include <string>
#include <string_view>

#include "config/config.h"
#include "support/catch.h"

namespace streamobs::config {

inline constexpr std::string_view kMinimal = "[stream.s]\ntime = \"t\"\n";

inline Config parse_good(const std::string& toml) {
  Diagnostics diagnostics;
  auto config = parse(toml, "test.toml", diagnostics);
  INFO(to_text(diagnostics, false));
  REQUIRE(config.has_value());
  return *config;
}

inline std::string messages(const std::string& toml) {
  Diagnostics diagnostics;
  parse(toml, "test.toml", diagnostics);
  return to_text(diagnostics, false);
}

inline bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace streamobs::config
