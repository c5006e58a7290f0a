// [view.NAME].
#include <string>

#include "config/support.h"

namespace streamobs::config {

namespace {

const std::string kHead = R"toml([stream.s]
time = "t"
fields = { region = "string" }
[window.m1]
size = "1m"
by = ["region"]
select = { n = "count(*)" }
[window.m5]
size = "5m"
by = ["region"]
select = { n = "count(*)" }
[window.hops]
size = "5m"
hop = "1m"
by = ["region"]
select = { n = "count(*)" }
[window.also5]
size = "300s"
by = ["region"]
select = { n = "count(*)" }
[window.visits]
gap = "5m"
by = ["region"]
select = { n = "count(*)" }
)toml";

std::string view(const std::string& windows, const std::string& name = "sizes") {
  return kHead + "[view." + name + "]\nwindows = " + windows + "\n";
}

}  // namespace

TEST_CASE("a view tells its windows apart by their sizes", "[config]") {
  const Config config = parse_good(view("[\"m5\", \"m1\", \"hops\"]"));
  REQUIRE(config.store.views.size() == 1);
  const store::ViewOptions& sizes = config.store.views[0];
  CHECK(sizes.name.text == "sizes");
  REQUIRE(sizes.windows.size() == 3);
  CHECK(sizes.windows[0].text == "m5");
  CHECK(sizes.sizes == std::vector<std::string>{"5m", "1m", "5m/1m"});
}

TEST_CASE("an endpoint answers with a view, by size as well", "[config]") {
  const std::string both = view("[\"m5\", \"m1\"]");
  const Config config = parse_good(both +
                                   "[endpoint.\"GET /v1/m\"]\nwindow = \"sizes\"\n"
                                   "required = { size = \"window_size\" }\n"
                                   "optional = [\"region\"]\n");
  CHECK(config.endpoints.at(0).parameters.at(0).of.text == "window_size");
  CHECK(mentions(messages(both + "[endpoint.\"GET /v1/m\"]\nwindow = \"sizes\"\n"
                                 "optional = [\"regoin\"]\n"),
                 "optional: view sizes has no key \"regoin\""));
  // Of one window there is only one size.
  CHECK(mentions(messages(both + "[endpoint.\"GET /v1/m\"]\nwindow = \"m1\"\n"
                                 "optional = [\"window_size\"]\n"),
                 "optional: window m1 has no key \"window_size\""));
}

TEST_CASE("windows that cannot be told apart are not united", "[config]") {
  CHECK(mentions(messages(view("[\"m5\", \"also5\"]")),
                 "windows: m5 and also5 both have the window_size \"5m\""));
  CHECK(mentions(messages(view("[\"m5\", \"m5\"]")),
                 "test.toml:26:19: error: windows: m5 is named "
                 "twice"));
  CHECK(mentions(messages(view("[\"m5\", \"visits\"]")), "windows: visits are sessions"));
  CHECK(mentions(messages(view("[\"m5\", \"m6\"]")), "windows: there is no window \"m6\""));
  CHECK(mentions(messages(view("[]")), "windows: there are none"));
  CHECK(mentions(messages(view("\"m1\"")), "windows: expected a list"));
  CHECK(mentions(messages(kHead + "[view.v]\n"), "whose rows does it show?"));
}

TEST_CASE("a view's name is nobody else's", "[config]") {
  CHECK(mentions(messages(view("[\"m1\"]", "M5")), "there is a window or a view M5 already"));
  CHECK(mentions(messages(view("[\"m1\"]") + "[view.SIZES]\nwindows = [\"m5\"]\n"),
                 "there is a window or a view SIZES already"));
  CHECK(mentions(messages(view("[\"m1\"]", "anomalies")), "keeps the name anomalies for itself"));
  CHECK(mentions(messages(view("[\"m1\"]", "window_m1")), "choose another name for the view"));
  CHECK(mentions(messages(view("[\"m1\"]", "a-b")), "\"a-b\" cannot name a view"));
}

}  // namespace streamobs::config
