// What the decoder's tests share: a plan from a few lines, a block from text, a batch as text.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/time_format.h"
#include "decode/decoder.h"
#include "event/value.h"

namespace streamobs::decode::test {

inline constexpr Timestamp kNow = 1'800'000'000 * kSecond;  // 2027-01-15T08:00:00Z

inline FieldOptions field(std::string name, std::string type, bool required = false) {
  FieldOptions f;
  f.name = std::move(name);
  f.type = parse_data_type(type).value();
  f.required = required;
  return f;
}

/// The stream of services.toml.
inline StreamOptions services() {
  StreamOptions o;
  o.name = "requests";
  o.time = "event_time";
  o.fields = {field("service", "string"), field("endpoint", "string"), field("latency_ms", "float"),
              field("status_code", "int")};
  return o;
}

inline std::shared_ptr<const StreamPlan> compile(const StreamOptions& options) {
  Diagnostics diagnostics;
  auto plan = compile_stream(options, 0, diagnostics);
  for (const Diagnostic& d : diagnostics) {
    if (!plan) throw std::runtime_error(d.message);
  }
  return plan;
}

inline Block block(std::string_view text, Format format = Format::json,
                   std::shared_ptr<const std::string> header = nullptr) {
  Block b;
  b.format = format;
  b.bytes = std::make_shared<BlockBuffer>();
  b.bytes->append(text);
  b.header = std::move(header);
  b.origin.received_at = kNow;
  b.origin.name = "here";
  return b;
}

/// Everything a batch says, one line a row and one a dead letter.
inline std::string render(const EventBatch& batch) {
  std::string out = fmt::format("events {} rows {} time_max {}\n", batch.events, batch.rows,
                                batch.rows == 0 ? std::string("-") : to_rfc3339(batch.time_max));
  for (std::size_t row = 0; row < batch.rows; ++row) {
    out += fmt::format("#{} {}", batch.event_index[row], to_rfc3339(batch.time[row]));
    for (const Column& column : batch.columns) {
      const Value v = Value::from(column.view(), row);
      out += ' ';
      JsonWriter json(out);
      v.write_json(json);
    }
    if (!batch.raw.empty()) out += fmt::format(" | {}", batch.raw[row]);
    out += '\n';
  }
  for (const DeadLetter& d : batch.dead_letters) {
    out += fmt::format("!{} {} | {} | {} {} {} {} | {}\n", d.event_index, d.reason, d.detail,
                       d.stream, d.source, d.origin, d.position, d.payload);
  }
  return out;
}

/// Decodes one block with a decoder of its own.
inline std::string decode_text(const StreamOptions& options, std::string_view text,
                               Format format = Format::json,
                               std::shared_ptr<const std::string> header = nullptr) {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(options), sources);
  EventBatch batch;
  decoder.decode(block(text, format, std::move(header)), batch);
  return render(batch);
}

}  // namespace streamobs::decode::test
