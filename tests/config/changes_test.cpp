// What people are told of a reload: which sections have changed.
#include "config/changes.h"

#include <cstdlib>
#include <string>

#include "config/support.h"

namespace streamobs::config {

namespace {

std::string changes(const std::string& before, const std::string& after) {
  std::string words;
  for (const SectionChange& change : changes_between(parse_good(before), parse_good(after))) {
    words += to_text(change.what) + " " + change.section + "/" + change.name + " ";
  }
  return words;
}

const std::string kOne =
    "data_dir = \"d\"\n[http]\nlisten = \"127.0.0.1:0\"\n[stream.s]\ntime = \"at\"\n"
    "fields = { a = \"string\" }\n[window.w]\nfrom = \"s\"\nsize = \"1m\"\n"
    "[window.w.select]\nn = \"count(*)\"\nm = \"max(a)\"\n";

std::string with(const std::string& what, const std::string& instead) {
  std::string text = kOne;
  return text.replace(text.find(what), what.size(), instead);
}

}  // namespace

TEST_CASE("changes of a config are told by sections", "[config]") {
  CHECK(changes(kOne, kOne).empty());
  CHECK(changes(kOne, with("size = \"1m\"", "size = \"5m\"")) == "changed window/w ");
  CHECK(changes(kOne, kOne + "[rule.r]\non = \"w\"\nwhen = \"n > 1\"\n") == "added rule/r ");
  CHECK(changes(kOne + "[rule.r]\non = \"w\"\nwhen = \"n > 1\"\n", kOne) == "removed rule/r ");
  CHECK(changes(kOne, with("127.0.0.1:0", "127.0.0.1:1")) == "changed http/ ");
  CHECK(changes(kOne, with("\"d\"", "\"e\"")) == "changed data_dir/ ");
}

TEST_CASE("comments, and the order of keys in a section, are no changes", "[config]") {
  CHECK(changes(kOne, "# more words\n" + kOne).empty());
  CHECK(
      changes(kOne, with("from = \"s\"\nsize = \"1m\"", "size = '1m' # !\nfrom = \"s\"")).empty());
  // That of columns is one.
  CHECK(changes(kOne, with("n = \"count(*)\"\nm = \"max(a)\"",
                           "m = \"max(a)\"\nn = \"count(*)\"")) == "changed window/w ");
}

TEST_CASE("what a variable stands for counts, not its name", "[config]") {
  const std::string variable = with("\"1m\"", "\"${STREAMOBS_TEST_SIZE}\"");
  ::setenv("STREAMOBS_TEST_SIZE", "1m", 1);
  CHECK(changes(kOne, variable).empty());
  const Config before = parse_good(variable);
  ::setenv("STREAMOBS_TEST_SIZE", "5m", 1);
  CHECK(changes_between(before, parse_good(variable)).size() == 1);
  ::unsetenv("STREAMOBS_TEST_SIZE");
}

}  // namespace streamobs::config
