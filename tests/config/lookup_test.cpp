// [lookup.NAME]: tables that events are looked up in.
#include <string>

#include "config/support.h"
#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::config;  // NOLINT

std::string tables(std::size_t count) {
  std::string toml(kMinimal);
  for (std::size_t i = 0; i < count; ++i) {
    toml += "[lookup.t" + std::to_string(i) + "]\nfile = \"t.csv\"\nkey = [\"k\"]\n" +
            "columns = { k = \"string\", v = \"int\" }\n";
  }
  return toml;
}

}  // namespace

TEST_CASE("lookup: there are so many tables and no more", "[config]") {
  constexpr std::size_t kMost = decode::LookupOptions::kTablesMax;
  CHECK(parse_good(tables(kMost)).lookups.size() == kMost);
  const std::string said = messages(tables(kMost + 3));
  CHECK(mentions(said, "[lookup.t64]: there are more than 64 look-up tables"));
  CHECK_FALSE(mentions(said, "[lookup.t65]"));
}
