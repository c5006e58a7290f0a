// The decoder: any bytes, in any format, with the shapes and without, must give the same batch.
//
// The first byte chooses format, stream and arrangement; the rest is the block, alone, or among
// typical events, or many times over, so that many lines are read together. The shapes are learned
// anew for each input, from typical events that stand in front of it.
#include <algorithm>
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
  StreamOptions o;
  if (!metrics) {
    o = services();
    o.keep_raw = true;
    o.fields[0].aliases = {"app_name", "sd.a.service"};
    o.fields[1].aliases = {"message"};
    o.patterns = {"{service}: {+service} [{status_code}] {endpoint}",
                  "{event_time} {_}={message}\""};
    o.fields.push_back(field("timestamp", "timestamp"));
    o.fields.push_back(field("severity", "int"));
    return o;
  }
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
  o.fields[7].aliases = {"usage.tokens", "tokens.total"};
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

/// What stands in the block, `arrangement` being 0 to 3.
std::string arrange(std::string_view body, std::size_t arrangement, std::string_view typical) {
  std::string out;
  const auto add = [&out](std::string_view text, int times) {
    for (; times > 0; --times) out += text;
  };
  switch (arrangement) {
    case 1:  // Refused or odd lines in the midst of many good ones.
      add(typical, 5);
      add(body, 1);
      out += '\n';
      add(typical, 5);
      break;
    case 2:  // Enough for lines to be read together.
      for (std::size_t i = 0; i < 12 && out.size() < 4096; ++i) {
        add(body, 1);
        out += '\n';
      }
      break;
    case 3:  // The same among others, so that lines of several shapes are read together.
      for (int times = 0; times < 4; ++times) {
        add(typical, 1);
        add(body, 1);
        out += '\n';
      }
      break;
    default:
      out = body;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::vector<std::string> sources = {"fuzz"};
  static const std::shared_ptr<const StreamPlan> plans[] = {compile(stream(false)),
                                                            compile(stream(true))};
  static const auto header = std::make_shared<const std::string>(
      "event_time,service,endpoint,latency_ms,status_code,timestamp,serviceId,tags\n");
  const std::size_t which = data[0] & 1;
  // Two bits, and a third elsewhere for the formats that came later.
  const auto format = static_cast<Format>(
      std::min((data[0] >> 1 & 3) | (data[0] >> 5 & 1) << 2, static_cast<int>(Format::pattern)));
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);

  Decoder quick(plans[which], sources);
  Decoder portable(plans[which], sources, {.wide_loops = false});
  Decoder plain(plans[which], sources, {.shapes = false});
  EventBatch quick_batch;
  EventBatch plain_batch;
  const Block typical = block(kTypical[which]);
  quick.decode(typical, quick_batch);
  portable.decode(typical, quick_batch);
  const std::string text = arrange(body, data[0] >> 3 & 3, kTypical[which]);
  const Block input = block(text, format, header);
  // Twice: what the input itself taught is used the second time.
  plain.decode(input, plain_batch);
  const std::string expected = render(plain_batch);
  for (Decoder* const decoder : {&quick, &quick, &portable, &portable}) {
    decoder->decode(input, quick_batch);
    if (const std::string got = render(quick_batch); got != expected) {
      std::fprintf(stderr, "with %s shapes:\n%s\nwithout:\n%s\n",
                   decoder == &quick ? "wide" : "portable", got.c_str(), expected.c_str());
      std::abort();
    }
  }
  return 0;
}
