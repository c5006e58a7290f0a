// Filters of dead letters that name what there never was.
#include "app/letter_names.h"

#include "app/engine_run.h"
#include "support/catch.h"

using namespace streamobs;           // NOLINT
using namespace streamobs::app;      // NOLINT
using namespace streamobs::testing;  // NOLINT

TEST_CASE("a filter of dead letters that can find nothing is told with what there is", "[app]") {
  const auto plan = plan_of(R"toml(
[http]
listen = "127.0.0.1:0"
[stream.orders]
time = "at"
fields = { amount = "int" }
check = { positive = "amount > 0" }
)toml",
                            "");
  const std::vector<store::DeadLetterCount> counts = {
      {"orders", "late", 7}, {"gone", "late", 5}, {"gone", "large", 1}};
  const auto said = [&](const char* column, const char* name, const Plan* of) {
    store::ListQuery filter;
    filter.equal.emplace_back(column, name);
    return unknown_name(filter, counts, of);
  };
  for (const Plan* of : {plan.get(), static_cast<const Plan*>(nullptr)}) {
    CHECK(said("reason", "late", of).empty());
    CHECK(said("reason", "large", of).empty());     // A check of earlier.
    CHECK(said("reason", "not_json", of).empty());  // There may be such.
    CHECK(said("stream", "orders", of).empty());
    CHECK(said("stream", "gone", of).empty());
    CHECK(said("source", "whatever", of).empty());
    CHECK(said("reason", "latte", of) ==
          "no dead letter ever had the reason \"latte\": there have been large (1) and late (12)");
    CHECK(said("stream", "order", of) ==
          "no dead letter was ever of a stream \"order\": there have been gone (6) and orders (7)");
  }
  CHECK(said("reason", "positive", plan.get()).empty());
  CHECK_FALSE(said("reason", "positive", nullptr).empty());
}
