// The decoder: any bytes, in any format, with the shapes and without, must give the same batch.
//
// The first byte chooses format and stream; the rest is the block. The shapes are learned anew for
// each input, from typical events that stand in front of it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "../decode/decode_support.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

StreamOptions stream(bool metrics) {
  if (!metrics) return services();
  StreamOptions o;
  o.name = "metrics";
  o.time = "timestamp";
  o.timezone = "Europe/Berlin";
  o.fields = {field("serviceId", "string", true),
              field("value", "float"),
              field("amount", "decimal(2)"),
              field("ok", "bool"),
              field("tags", "map"),
              field("metadata.traceId", "string"),
              field("at", "timestamp"),
              field("tokens", "int")};
  o.fields[7].aliases = {"usage.tokens"};
  o.checks = {{"not_large", "value is null or value < 1000"}};
  o.max_event_bytes = 4096;
  return o;
}

constexpr const char* kTypical[] = {
    R"({"event_time":"2024-01-09T12:34:56.789Z","service":"checkout","endpoint":"/api/cart","latency_ms":57,"status_code":200}
{"service":"search","endpoint":"/","status_code":500,"region":"eu","latency_ms":1.5,"event_time":1704803696123}
)",
    R"({"timestamp":"2024-01-09 12:34:56","serviceId":"a","value":1.5,"tags":{"a":"b"},"metadata":{"traceId":"t","spanId":1}}
{"timestamp":1704803696123,"serviceId":"b","amount":1.25,"ok":true,"metadata":null,"usage":{"tokens":5},"at":"2024-01-09"}
)"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::vector<std::string> sources = {"fuzz"};
  static const std::shared_ptr<const StreamPlan> plans[] = {compile(stream(false)),
                                                            compile(stream(true))};
  static const auto header = std::make_shared<const std::string>(
      "event_time,service,endpoint,latency_ms,status_code,timestamp,serviceId,tags\n");
  const std::size_t which = data[0] & 1;
  const auto format = static_cast<Format>(data[0] >> 1 & 3);
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);

  Decoder quick(plans[which], sources);
  Decoder plain(plans[which], sources, {false});
  EventBatch quick_batch;
  EventBatch plain_batch;
  const Block typical = block(kTypical[which]);
  quick.decode(typical, quick_batch);
  const Block input = block(body, format, header);
  // Twice: what the input itself taught is used the second time.
  plain.decode(input, plain_batch);
  const std::string expected = render(plain_batch);
  for (int round = 0; round < 2; ++round) {
    quick.decode(input, quick_batch);
    if (const std::string got = render(quick_batch); got != expected) {
      std::fprintf(stderr, "with shapes:\n%s\nwithout:\n%s\n", got.c_str(), expected.c_str());
      std::abort();
    }
  }
  return 0;
}
