// [join.NAME]: what it says, and what it cannot say.
#include <string>

#include "config/support.h"
#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::config;  // NOLINT
using window::Side;

const std::string kStreams =
    "[stream.a]\ntime = \"t\"\nfields = { id = \"string\", n = \"int\" }\n"
    "[stream.b]\ntime = \"t\"\nfields = { ref = \"string\", n = \"int\" }\n";

/// A join of both, with further lines.
std::string join(const std::string& lines = "", const std::string& sides =
                                                    "left = \"a\"\n"
                                                    "right = \"b\"\n") {
  return kStreams + "[join.j]\n" + sides + "on = \"id = ref\"\nwithin = \"1m\"\n" + lines;
}

const std::string kWindow =
    "[window.w]\nfrom = \"j\"\nsize = \"1m\"\nselect = { all = \"count(*)\" }\n";

}  // namespace

TEST_CASE("a join left to itself has every default", "[config][join]") {
  const Config config = parse_good(join() + kWindow);
  const window::JoinOptions& options = config.joins.at(0).options;
  CHECK(options.within == kMinute);
  CHECK(options.hold == kMinute);
  CHECK(options.time == Side::right);
  CHECK_FALSE((options.keep_left || options.one_to_one || options.drop_unmatched));
  CHECK(options.pending_bytes_max == std::size_t{256} << 20);
  REQUIRE(options.on.size() == 1);
  CHECK((options.on[0].fields[0].text == "id" && options.on[0].fields[1].text == "ref"));
  CHECK(config.joins[0].stream.joined);
}

TEST_CASE("a join is what it says", "[config][join]") {
  const Config config = parse_good(
      join(
          "kind = \"left\"\ntime = \"left\"\nmatch = \"one\"\nunmatched = \"drop\"\nhold = \"5s\"\n"
          "max_pending_bytes = \"1MiB\"\nderive = { twice = \"2 * a.n\" }\nfilter = \"a.n > "
          "0\"\n") +
      kWindow);
  const window::JoinOptions& options = config.joins.at(0).options;
  CHECK((options.keep_left && options.one_to_one && options.drop_unmatched));
  CHECK(options.time == Side::left);
  CHECK(options.hold == 5 * kSecond);
  CHECK(options.pending_bytes_max == std::size_t{1} << 20);
  CHECK(config.joins[0].stream.derive.size() == 1);
}

TEST_CASE("what a join cannot be is told with the way out", "[config][join]") {
  const auto of = [](const std::string& lines) { return messages(join(lines) + kWindow); };
  CHECK(mentions(of("kind = \"outer\"\n"), "kind: \"outer\" is none of inner and left"));
  CHECK(mentions(of("hold = \"2m\"\n"), "hold"));
  CHECK(mentions(messages(kStreams + "[join.j]\nright = \"b\"\non = \"id\"\nwithin = \"1m\"\n"),
                 "which stream? left = \"requests\""));
  CHECK(mentions(messages(kStreams + "[join.j]\nleft = \"a\"\nright = \"b\"\nwithin = \"1m\"\n"),
                 "what is equal on both sides?"));
  CHECK(mentions(messages(join("", "left = \"a\"\nright = \"a\"\n") + kWindow),
                 "right: a is the left side already"));
  CHECK(mentions(messages(join("", "left = \"a\"\nright = \"c\"\n") + kWindow),
                 "right: there is no stream \"c\""));
  CHECK(mentions(messages(join() + kWindow +
                          "[join.k]\nleft = \"a\"\nright = \"j\"\non = \"id\"\n"
                          "within = \"1m\"\n"),
                 "right: \"j\" is a join"));
  CHECK(mentions(messages(join() + "[window.j]\nfrom = \"a\"\nsize = \"1m\"\n"
                                   "select = { all = \"count(*)\" }\n"),
                 "there is a window \"j\" as well"));
  CHECK(mentions(messages(join() + kWindow + "[stream.j]\ntime = \"t\"\n"),
                 "there is a stream \"j\" as well"));
  CHECK(mentions(messages(join() + kWindow +
                          "[sink.s]\ntype = \"kafka\"\nbrokers = \"b:9092\"\n"
                          "from = \"j\"\ntopic = \"t\"\n"),
                 "from: \"j\" is a join"));
  CHECK(mentions(messages(join() + kWindow + "[source.s]\ntype = \"http\"\nstream = \"j\"\n"),
                 "\"j\""));
}
