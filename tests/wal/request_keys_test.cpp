#include "wal/request_keys.h"

#include <string>

#include "event/schema.h"
#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using wal::RequestKeys;

struct Requests {
  StreamSchema schema;
  EventBatch batch;
  std::uint64_t sequence = 0;

  explicit Requests(const char* stream) { schema.stream = stream; }

  EventBatch& of(const std::string& key, Timestamp received_at, std::uint64_t digest = 1) {
    batch.schema = &schema;
    batch.origin.request_key = key;
    batch.origin.request_digest = digest;
    batch.origin.received_at = received_at;
    batch.stamp.sequence = ++sequence;
    return batch;
  }
};

std::string bytes_of(const RequestKeys& keys) {
  std::string bytes;
  keys.snapshot(bytes);
  return bytes;
}

}  // namespace

TEST_CASE("a key is known for its stream, with the first answer", "[request_keys]") {
  RequestKeys keys;
  Requests orders("orders");
  CHECK(keys.find("orders", "a") == nullptr);
  keys.remember(orders.of("a", kHour, 7), "first");
  keys.remember(orders.of("a", kHour, 8), "second");
  REQUIRE(keys.find("orders", "a") != nullptr);
  CHECK(keys.find("orders", "a")->answer == "first");
  CHECK(keys.find("orders", "a")->digest == 7);
  CHECK(keys.find("orders", "a")->position == 1);
  CHECK(keys.find("other", "a") == nullptr);
}

TEST_CASE("keys are forgotten after a day, and the oldest when they take too much",
          "[request_keys]") {
  RequestKeys keys;
  Requests orders("orders");
  keys.remember(orders.of("old", kHour), "x");
  keys.remember(orders.of("young", 2 * kHour), "x");
  keys.remember(orders.of("now", kHour + RequestKeys::kRemembered + 1), "x");
  CHECK(keys.find("orders", "old") == nullptr);
  CHECK(keys.find("orders", "young") != nullptr);
  const std::string large(RequestKeys::kBytesMax / 4, 'a');
  for (const char* key : {"1", "2", "3", "4", "5"}) {
    keys.remember(orders.of(key, 26 * kHour), large);
  }
  CHECK(keys.find("orders", "1") == nullptr);
  CHECK(keys.find("orders", "now") == nullptr);
  CHECK(keys.find("orders", "5") != nullptr);
}

TEST_CASE("restored keys are the same keys, and damaged ones are refused", "[request_keys]") {
  RequestKeys keys;
  Requests orders("orders");
  for (int i = 0; i < 50; ++i) {
    keys.remember(orders.of("k" + std::to_string(i), kHour + i, static_cast<std::uint64_t>(i)),
                  std::string(static_cast<std::size_t>(i), 'z'));
  }
  const std::string bytes = bytes_of(keys);
  RequestKeys again;
  REQUIRE(again.restore(bytes).has_value());
  CHECK((bytes_of(again) == bytes));
  CHECK(again.find("orders", "k7")->answer == "zzzzzzz");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    RequestKeys damaged;
    CHECK(damaged.restore(std::string_view(bytes).substr(0, cut)).has_error());
  }
}
