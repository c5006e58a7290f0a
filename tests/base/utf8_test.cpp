#include "base/utf8.h"

#include <string>

#include "support/catch.h"

using namespace streamobs;

TEST_CASE("bytes that are no UTF-8 are replaced", "[serve]") {
  const std::string mark = "\xef\xbf\xbd";
  CHECK(valid_utf8("plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(valid_utf8("a\xff"
                   "b") == "a" + mark + "b");
  CHECK(valid_utf8("\xc3") == mark);
  CHECK(valid_utf8("\xe2\x82") == mark + mark);
  CHECK(valid_utf8("\xc0\x80") == mark + mark);
  CHECK(valid_utf8("\xed\xa0\x80") == mark + mark + mark);
  CHECK(valid_utf8("\xf4\x90\x80\x80") == mark + mark + mark + mark);
}
