// ${NAME} in the texts of a config.
#include <cstdlib>
#include <string>

#include "config/support.h"

namespace streamobs::config {

namespace {

struct Variable {
  Variable(const char* n, const char* value) : name(n) { ::setenv(n, value, 1); }
  ~Variable() { ::unsetenv(name); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  const char* name;
};

/// A config whose `where` is that text.
std::string with_where(const std::string& text) {
  return std::string(kMinimal) + "fields = { a = \"string\" }\n[window.w]\nsize = \"1m\"\n" +
         "select = { n = \"count(*)\" }\nwhere = " + text + "\n";
}

std::string where_of(const std::string& text) {
  return parse_good(with_where(text)).windows.at(0).where.text;
}

}  // namespace

TEST_CASE("a variable is put into a text", "[config]") {
  const Variable set("STREAMOBS_TEST_A", "eu-1");
  const Variable empty("STREAMOBS_TEST_EMPTY", "");
  ::unsetenv("STREAMOBS_TEST_NONE");
  CHECK(where_of(R"("a = '${STREAMOBS_TEST_A}'")") == "a = 'eu-1'");
  CHECK(where_of(R"('${STREAMOBS_TEST_A}${STREAMOBS_TEST_A:-x}.')") == "eu-1eu-1.");
  CHECK(where_of(R"("${STREAMOBS_TEST_NONE:-us}")") == "us");
  CHECK(where_of(R"("x${STREAMOBS_TEST_NONE:-}y")") == "xy");
  CHECK(where_of(R"("x${STREAMOBS_TEST_EMPTY:-default}y")") == "xdefaulty");
  CHECK(where_of(R"("x${STREAMOBS_TEST_EMPTY}y")") == "xy");
  CHECK(where_of(R"("${STREAMOBS_TEST_NONE:-a:-b}")") == "a:-b");
  // In lists and tables, and where a text is read as something else.
  const Variable size("STREAMOBS_TEST_SIZE", "5m");
  const Config config =
      parse_good(std::string(kMinimal) +
                 "fields = { a = \"${STREAMOBS_TEST_T:-int}\" }\n[window.w]\n"
                 "size = \"${STREAMOBS_TEST_SIZE}\"\nby = [\"${STREAMOBS_TEST_K:-a}\"]\n"
                 "select = { n = \"count(*)\" }\n");
  CHECK(config.windows.at(0).size == 5 * kMinute);
  CHECK(config.windows.at(0).by.at(0).name.text == "a");
  CHECK(config.streams.at(0).fields.at(0).type.kind == Kind::integer);
}

TEST_CASE("what is no variable stays as it is", "[config]") {
  CHECK(where_of(R"("$a $ {b} }")") == "$a $ {b} }");
  CHECK(where_of(R"("a = '$${HOME}'")") == "a = '${HOME}'");
  CHECK(where_of(R"("$$${HOME}")") == "$${HOME}");
}

TEST_CASE("what a variable holds is part of the text and nothing else", "[config]") {
  const Variable hostile("STREAMOBS_TEST_A",
                         "x\"\nmax_keys = 1\n[http]\ninsecure = true\n# ${HOME} $${");
  const Config config = parse_good(with_where("\"${STREAMOBS_TEST_A}\""));
  CHECK(config.windows.at(0).where.text == std::getenv("STREAMOBS_TEST_A"));
  CHECK(config.windows.at(0).max_keys != 1);
  CHECK_FALSE(config.http.insecure);
  // Nor is it looked through again when the log's text is read.
  Diagnostics diagnostics;
  const auto past = parse_past(config.text, "the log", diagnostics);
  INFO(config.text);
  REQUIRE(past.has_value());
  CHECK(past->windows.at(0).where.text == std::getenv("STREAMOBS_TEST_A"));
}

TEST_CASE("the log keeps what a variable held", "[config]") {
  std::string text;
  {
    const Variable set("STREAMOBS_TEST_A", "then");
    text = parse_good(with_where("\"${STREAMOBS_TEST_A}\"")).text;
  }
  Diagnostics diagnostics;
  const auto past = parse_past(text, "the log", diagnostics);
  REQUIRE(past.has_value());
  CHECK(past->windows.at(0).where.text == "then");
  // And reads texts of before there were variables as they were meant.
  const auto old = parse_past(with_where(R"("'${NAME}'")"), "the log", diagnostics);
  REQUIRE(old.has_value());
  CHECK(old->windows.at(0).where.text == "'${NAME}'");
}

TEST_CASE("a variable that cannot be put in is told with its place", "[config]") {
  ::unsetenv("STREAMOBS_TEST_NONE");
  const std::string unset = messages(with_where("\"a = '${STREAMOBS_TEST_NONE}'\""));
  CHECK(mentions(unset,
                 "test.toml:7:9: error: the environment variable STREAMOBS_TEST_NONE is not "
                 "set"));
  CHECK(mentions(unset, "${STREAMOBS_TEST_NONE:-…}"));
  CHECK(mentions(messages(with_where("\"${A-B}\"")), "\"A-B\" is no name of a variable"));
  CHECK(mentions(messages(with_where("\"${}\"")), "$${ stands for the characters ${"));
  CHECK(mentions(messages(with_where("\"${HOME\"")), "${ has no }"));
  const Variable broken("STREAMOBS_TEST_A", "\xff");
  CHECK(mentions(messages(with_where("\"${STREAMOBS_TEST_A}\"")), "is no UTF-8"));
}

TEST_CASE("no secret is put in by a variable", "[config]") {
  const Variable secret("STREAMOBS_TEST_A", "0123456789abcdefghij");
  const std::string token =
      messages(std::string(kMinimal) + "[http]\ntoken = \"${STREAMOBS_TEST_A:-hidden-default}\"\n");
  CHECK(mentions(token, "token: a secret is not put in by ${…}"));
  CHECK(mentions(token, "written into the log"));
  CHECK_FALSE(mentions(token, "0123456789"));
  CHECK_FALSE(mentions(token, "hidden-default"));
  const std::string kafka =
      std::string(kMinimal) +
      "[source.k]\ntype = \"kafka\"\nbrokers = \"${STREAMOBS_TEST_B:-b:9092}\"\n"
      "topics = [\"x\"]\n[source.k.options]\n";
  CHECK(mentions(messages(kafka + "\"sasl.password\" = \"${STREAMOBS_TEST_A}\"\n"),
                 "sasl.password: a secret is not put in by ${…}"));
  CHECK(parse_good(kafka + "\"client.id\" = \"${STREAMOBS_TEST_A}\"\n")
            .sources.at(0)
            .kafka.properties.at(0)
            .value == "0123456789abcdefghij");
}

}  // namespace streamobs::config
