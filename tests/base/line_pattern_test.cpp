#include "base/line_pattern.h"

#include <random>
#include <regex>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace streamobs;

namespace {

LinePattern made(std::string_view text) {
  LinePattern::Fault fault;
  auto pattern = LinePattern::parse(text, fault);
  INFO(text << ": " << fault.message);
  REQUIRE(pattern);
  return *pattern;
}

/// The named parts joined by '|', or "no".
std::string cut(std::string_view pattern, std::string_view line) {
  const LinePattern made_of = made(pattern);
  std::vector<std::string_view> parts(made_of.names().size());
  if (!made_of.cut(line, parts.data())) return "no";
  std::string out(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) out += "|" + std::string(parts[i]);
  return out;
}

std::string fault_of(std::string_view text) {
  LinePattern::Fault fault;
  if (LinePattern::parse(text, fault)) return "none";
  return std::to_string(fault.at) + " " + fault.message;
}

}  // namespace

TEST_CASE("parts reach to the text behind them, the last one to the end") {
  CHECK(cut("{time} [{level}] {service}: {message}", "12:00 [WARN] shop: a: b [c]") ==
        "12:00|WARN|shop|a: b [c]");
  CHECK(cut("{a}, {b}", "x, y, z") == "x|y, z");
  CHECK(cut("id={id};", "id=5;") == "5");
  CHECK(cut("id={id};", "id=5;6;") == "5;6");
  CHECK(cut("id={id};", "id=5") == "no");
  CHECK(cut("id={id};", "xid=5;") == "no");
  CHECK(cut("{a}-{_}-{b}", "1-2-3-4") == "1|3-4");
  CHECK(cut("{{{a}}}", "{x}") == "x");
  CHECK(cut("\"{method} {path}\" {status}", "\"GET /a b\" 200") == "GET|/a b|200");
}

TEST_CASE("a blank is one or more blanks or tabs") {
  CHECK(cut("{level} {message}", "INFO  \t two") == "INFO|two");
  CHECK(cut("{level}  {message}", "INFO two") == "INFO|two");
  CHECK(cut("{a} - {b}", "x   -   y - z") == "x|y - z");
  CHECK(cut("{a} - {b}", "x y  - z") == "x y|z");
  CHECK(cut(" {a}", "   x") == "x");
  CHECK(cut(" {a}", "x") == "no");
  CHECK(cut("{a} ", "x y  ") == "x y");
  CHECK(cut("{a} ;", "x   ;") == "x");
}

TEST_CASE("a part can go on with what stands between") {
  CHECK(cut("{time} {+time} {level} {message}", "2015-07-29 17:41:44,747 INFO up and away") ==
        "2015-07-29 17:41:44,747|INFO|up and away");
  CHECK(cut("{time} {+time} {+time}", "a b c d") == "a b c d");
}

TEST_CASE("parts may be empty, and what does not fit says so") {
  CHECK(cut("[{a}] {b}", "[] ") == "|");
  CHECK(cut("[{a}] {b}", "[x]") == "no");
  CHECK(cut("[{a}] {b}", "") == "no");
}

TEST_CASE("a wrong pattern says where") {
  CHECK(fault_of("{a}{b}") ==
        "3 pattern: nothing stands between two parts, so there is no telling "
        "them apart");
  CHECK(fault_of("x {a") == "2 pattern: a { without its }");
  CHECK(fault_of("x } y") == "2 pattern: a } without its {");
  CHECK(fault_of("{a} {a}") == "4 pattern: there are two parts a");
  CHECK(fault_of("{a} {b} {+a}") == "8 pattern: {+a} does not stand directly behind {a}");
  CHECK(fault_of("{+a} b") == "0 pattern: {+a} does not stand directly behind {a}");
  CHECK(fault_of("{} b") == "0 pattern: \"\" cannot name a part");
  CHECK(fault_of("{a b}") == "0 pattern: \"a b\" cannot name a part");
  CHECK(fault_of("{_} x") == "0 pattern: the pattern has no named part");
  CHECK(fault_of("") == "0 pattern: the pattern has no named part");
  CHECK(fault_of("{a}\n{b}").starts_with("3 "));
  CHECK(fault_of(std::string(2000, 'x')).starts_with("0 "));
  std::string many;
  for (int i = 0; i < 70; ++i) many += "{p" + std::to_string(i) + "} ";
  CHECK(fault_of(many).find("at most 64 parts") != std::string::npos);
}

/// Without repeated parts a pattern is a regular expression with lazy parts.
TEST_CASE("patterns cut as the regular expression does that says the same") {
  std::mt19937_64 random(7);
  const std::string letters = "ab :-";
  const auto word = [&](std::size_t least, std::size_t most) {
    const std::size_t size = least + random() % (most - least + 1);
    std::string out;
    for (std::size_t i = 0; i < size; ++i) out += letters[random() % letters.size()];
    return out;
  };
  std::size_t fitted = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::string start = word(0, 1);
    const std::string between = word(1, 2);
    std::string text = start + "{x}" + between + "{y}";
    const auto as_regex = [](const std::string& literal) {
      std::string out;
      for (const char c : literal) {
        if (c == ' ' && out.ends_with("[ ]+")) continue;
        out += c == ' ' ? "[ ]+" : std::string(1, c);
      }
      return out;
    };
    // A run of blanks is taken whole.
    std::string expression = "^" + as_regex(start) + (start == " " ? "(?! )" : "") + "([^]*?)" +
                             as_regex(between) + (between.ends_with(' ') ? "(?! )" : "") +
                             "([^]*)$";
    const std::string line = word(0, 12);
    std::smatch match;
    std::string expected = "no";
    if (std::regex_match(line, match, std::regex(expression))) {
      expected = match[1].str() + "|" + match[2].str();
      ++fitted;
    }
    INFO(text << " over '" << line << "' as " << expression);
    CHECK(cut(text, line) == expected);
  }
  CHECK(fitted > 500);
}
