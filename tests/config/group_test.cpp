// Sources in a consumer group, and what follows for the rows of the windows they feed.
#include <string>

#include "config/support.h"
#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::config;  // NOLINT

std::string config_of(const std::string& top, const std::string& source,
                      const std::string& by = "by = [\"shop\"]\n") {
  return top + "[source.in]\ntype = \"kafka\"\nbrokers = \"b:9092\"\ntopics = [\"orders\"]\n" +
         source +
         "[stream.orders]\ntime = \"t\"\nfields = { shop = \"string\" }\n"
         "[window.w]\nsize = \"1m\"\n" +
         by + "select = { n = \"count(*)\" }\n";
}

}  // namespace

TEST_CASE("group: rows of what a group feeds say which process they are of", "[config]") {
  const Config config = parse_good(config_of("instance = \"a-1.eu_2\"\n", "group = \"readers\"\n"));
  CHECK(config.instance == "a-1.eu_2");
  REQUIRE(config.sources.size() == 1);
  CHECK(config.sources[0].group.text == "readers");
  CHECK(config.sources[0].instance == "a-1.eu_2");
  REQUIRE(config.windows.at(0).by.size() == 2);
  CHECK(config.windows[0].by[1].name.text == "instance");
  CHECK(config.windows[0].by[1].expression.text == "'a-1.eu_2'");
}

TEST_CASE("group: without one nothing is added", "[config]") {
  const Config config = parse_good(config_of("instance = \"a\"\n", ""));
  CHECK(config.sources.at(0).group.empty());
  CHECK(config.windows.at(0).by.size() == 1);
}

TEST_CASE("group: rows of a join with such a side are partial, too", "[config]") {
  const std::string joined =
      "[stream.paid]\ntime = \"t\"\nfields = { shop = \"string\" }\n"
      "[join.both]\nleft = \"paid\"\nright = \"orders\"\non = \"shop\"\nwithin = \"1m\"\n"
      "[window.j]\nfrom = \"both\"\nsize = \"1m\"\nselect = { n = \"count(*)\" }\n"
      "[window.p]\nfrom = \"paid\"\nsize = \"1m\"\nselect = { n = \"count(*)\" }\n";
  const Config config = parse_good(config_of("instance = \"a\"\n",
                                             "stream = \"orders\"\n"
                                             "group = \"readers\"\n",
                                             "from = \"orders\"\nby = [\"shop\"]\n") +
                                   joined);
  REQUIRE(config.windows.size() == 3);
  CHECK(config.windows[0].by.size() == 2);
  REQUIRE(config.windows[1].by.size() == 1);
  CHECK(config.windows[1].by[0].name.text == "instance");
  CHECK(config.windows[2].by.empty());
}

TEST_CASE("group: what is wrong is told with the way out", "[config]") {
  CHECK(mentions(messages(config_of("", "group = \"readers\"\n")), "this process needs a name"));
  CHECK(mentions(messages(config_of("instance = \"a b\"\n", "group = \"readers\"\n")),
                 "this cannot name an instance"));
  CHECK(mentions(messages(config_of("instance = \"\"\n", "")), "this cannot name an instance"));
  CHECK(mentions(messages(config_of("instance = \"a\"\n", "group = \"\"\n")),
                 "a consumer group has a name"));
  CHECK(mentions(messages(config_of("instance = \"a\"\n", "group = \"readers\"\n",
                                    "by = { instance = \"shop\" }\n")),
                 "the column instance is that of the process"));
  CHECK(mentions(messages(config_of("", "instance = \"a\"\n")), "it belongs to the top level"));
}

TEST_CASE("group: two members for one topic in one process are refused", "[config]") {
  const auto second = [](const std::string& more) {
    return config_of("instance = \"a\"\n",
                     "group = \"readers\"\n[source.again]\ntype = \"kafka\"\n" + more);
  };
  const std::string same = "brokers = \"b:9092\"\ntopics = [\"orders\"]\n";
  CHECK(mentions(messages(second(same + "group = \"readers\"\n")),
                 "[source.in] is in the group \"readers\" already"));
  CHECK(
      mentions(messages(second("brokers = \"b:9092\"\ntopics = [\"ord*\"]\ngroup = \"readers\"\n")),
               "already"));
  parse_good(second(same + "group = \"others\"\n"));
  parse_good(second(same));
  parse_good(second("brokers = \"b:9092\"\ntopics = [\"others\"]\ngroup = \"readers\"\n"));
  parse_good(second("brokers = \"c:9092\"\ntopics = [\"orders\"]\ngroup = \"readers\"\n"));
}
