#include "serve/parameters.h"
#include "support/catch.h"
TEST_CASE("placeholder") { CHECK(streamobs::serve::enumerate({"a","b"}) == "a and b"); }
