// Where things stand in the file: every name and expression knows its place, and order is kept.
#include <string>
#include <string_view>

#include "config/config.h"
#include "config/support.h"
#include "support/catch.h"

namespace streamobs::config {
namespace {

/// The line and column of `part` in `text`, counted here by hand.
SourcePlace place_of(std::string_view text, std::string_view part) {
  const std::size_t at = text.find(part);
  REQUIRE(at != std::string_view::npos);
  SourcePlace place{"test.toml", 1, 1};
  for (const char c : text.substr(0, at)) {
    ++place.column;
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    }
  }
  return place;
}

void check_place(const SourceText& text, const std::string& toml, std::string_view part) {
  INFO(part);
  const SourcePlace expected = place_of(toml, part);
  CHECK(text.place.file == "test.toml");
  CHECK(text.place.line == expected.line);
  CHECK(text.place.column == expected.column);
}

}  // namespace

TEST_CASE("tables and keys keep the order of the file") {
  const Config config = parse_good(R"~(
[window.zulu]
size = "1m"
select = { z = "count(*)", a = "count(*)", m = "count(*)" }
[window.alpha]
size = "1m"
[window.mike.select]
n = "count(*)"
[window.alpha.select]
y = "count(*)"
b = "count(*)"
[window.mike]
size = "1m"
[stream.s]
time = "t"
fields = { z = "int", a = "int" }
)~");
  REQUIRE(config.windows.size() == 3);
  CHECK(config.windows[0].name.text == "zulu");
  CHECK(config.windows[1].name.text == "alpha");
  CHECK(config.windows[2].name.text == "mike");
  CHECK(config.windows[0].select.at(0).name.text == "z");
  CHECK(config.windows[0].select.at(2).name.text == "m");
  CHECK(config.windows[1].select.at(0).name.text == "y");
  CHECK(config.streams.at(0).fields.at(0).name.text == "z");
}

TEST_CASE("an expression's place is its first character, whatever the quotes") {
  const std::string toml = R"~([stream.s]
time = "t"
filter = 'single > 1'
derive = { d1 = "double + 1", d2 = '''triple + 2''' }
[stream.s.check]
  next_line = """
below > 3"""
	tab = """same > 4"""
[window.w]
size = "1m"
by = [ "key_one", 'key_two' ]
[window.w.select]
"quoted" = "count(*)"
)~";
  const Config config = parse_good(toml);
  const decode::StreamOptions& stream = config.streams.at(0);
  check_place(stream.name, toml, "s]");
  check_place(stream.time, toml, "t\"\nfilter");
  check_place(stream.filter, toml, "single");
  check_place(stream.derive.at(0).expression, toml, "double");
  check_place(stream.derive.at(0).name, toml, "d1");
  check_place(stream.derive.at(1).expression, toml, "triple");
  check_place(stream.checks.at(0).expression, toml, "below");
  check_place(stream.checks.at(1).expression, toml, "same");
  const window::WindowOptions& window = config.windows.at(0);
  check_place(window.by.at(0).expression, toml, "key_one");
  check_place(window.by.at(1).expression, toml, "key_two");
  check_place(window.select.at(0).expression, toml, "count(*)");
  CHECK(stream.checks.at(0).expression.text == "below > 3");
}

TEST_CASE("places hold under CRLF and behind a byte order mark") {
  const std::string crlf = "[stream.s]\r\ntime = \"t\"\r\nfilter = \"\"\"\r\nhere > 1\"\"\"\r\n";
  const Config config = parse_good(crlf);
  CHECK(config.streams.at(0).filter.place.line == 4);
  CHECK(config.streams.at(0).filter.place.column == 1);
  const Config marked = parse_good("\xEF\xBB\xBF" + crlf);
  CHECK(marked.streams.at(0).filter.place.line == 4);
}

}  // namespace streamobs::config
