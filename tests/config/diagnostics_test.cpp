// How mistakes are shown: excerpts with carets, colours, order, and an end to them.
#include <string>

#include "config/config.h"
#include "support/catch.h"

namespace streamobs::config {

TEST_CASE("colours are only there when asked for") {
  Diagnostics diagnostics;
  parse("x = 1\n", "obs.toml", diagnostics);
  CHECK(to_text(diagnostics, false).find('\x1b') == std::string::npos);
  CHECK(to_text(diagnostics, true).find("\x1b[1;31merror") != std::string::npos);
}

TEST_CASE("what a file says cannot steer a terminal") {
  Diagnostics diagnostics;
  parse("\"a\\u001b[2J\" = 1\n", "obs\x1b.toml", diagnostics);
  CHECK(to_text(diagnostics, false).find('\x1b') == std::string::npos);
}

TEST_CASE("a caret stands under its column") {
  // Tabs and characters of several bytes before it.
  const std::string toml =
      "[stream.s]\ntime = \"t\"\n\tfields = { \"größe\" = \"int\", x = \"wrong\" }\n";
  Diagnostics diagnostics;
  CHECK_FALSE(parse(toml, "f", diagnostics).has_value());
  REQUIRE(diagnostics.size() == 1);
  CHECK(diagnostics[0].place.line == 3);
  CHECK(diagnostics[0].place.column == 34);
  CHECK(diagnostics[0].excerpt ==
        "\tfields = { \"größe\" = \"int\", x = \"wrong\" }\n\t" + std::string(32, ' ') + "^^^^^^^");
}

TEST_CASE("a long line is cut around its caret") {
  const std::string toml = "[stream.s]\ntime = \"t\"\nfields = { " + std::string(400, ' ') +
                           "x = \"wrong\" }" + std::string(400, ' ') + "\n";
  Diagnostics diagnostics;
  CHECK_FALSE(parse(toml, "f", diagnostics).has_value());
  REQUIRE(diagnostics.size() == 1);
  const std::string& excerpt = diagnostics[0].excerpt;
  CHECK(excerpt.size() < 300);
  CHECK(excerpt.find("\"wrong\"") != std::string::npos);
  CHECK(excerpt.find("^^^^^^^") != std::string::npos);
}

TEST_CASE("all mistakes are told at once and in the order of the file") {
  Diagnostics diagnostics;
  CHECK_FALSE(parse("[rule.r]\nseverity = \"x\"\n[http]\nlisten = 5\n[window.w]\nsize = 1\n", "f",
                    diagnostics)
                  .has_value());
  REQUIRE(diagnostics.size() >= 6);
  for (std::size_t i = 1; i < diagnostics.size(); ++i) {
    CHECK(diagnostics[i - 1].place.line <= diagnostics[i].place.line);
  }
}

TEST_CASE("a file full of mistakes is not answered without end") {
  std::string toml;
  for (int i = 0; i < 5'000; ++i) toml += "key_" + std::to_string(i) + " = 1\n";
  Diagnostics diagnostics;
  CHECK_FALSE(parse(toml, "f", diagnostics).has_value());
  REQUIRE(diagnostics.size() == 101);
  CHECK(diagnostics.back().message == "4901 more problems are not listed");
}

}  // namespace streamobs::config
