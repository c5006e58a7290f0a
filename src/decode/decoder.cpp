#include "decode/decoder.h"

#include <algorithm>
#include <utility>

#include "decode/access_log_reader.h"
#include "decode/batch_writer.h"
#include "decode/csv_reader.h"
#include "decode/event_collector.h"
#include "decode/field_index.h"
#include "decode/json_block.h"
#include "decode/json_reader.h"
#include "decode/logfmt_reader.h"
#include "decode/pattern_reader.h"
#include "decode/row_reader.h"
#include "decode/shapes.h"
#include "decode/syslog_reader.h"
#include "decode/time_text.h"

namespace streamobs::decode {

struct Decoder::Impl {
  Impl(std::shared_ptr<const StreamPlan> p, const std::vector<std::string>& source_names,
       DecoderOptions options)
      : plan(std::move(p)),
        index(plan->schema),
        times(plan->zone),
        // The checks want the texts as well, for the dead letters.
        writer(plan->schema, index.time_column(), plan->options.keep_raw || plan->checks),
        json(index, refusal),
        rows(*plan, index, times, json, writer, refusal),
        collector(*plan, source_names, writer, rows, refusal),
        shapes(plan->schema, index, times, json, rows, writer, options.wide_loops),
        json_block(index, json, shapes, writer, collector, refusal, options.shapes),
        csv(index, writer, collector),
        access_log(index, writer, collector),
        syslog(index, writer, collector),
        logfmt(index, writer, collector),
        pattern(plan->patterns, index, writer, collector) {}

  std::shared_ptr<const StreamPlan> plan;
  FieldIndex index;
  Refusal refusal;
  TimeParser times;
  BatchWriter writer;
  JsonReader json;
  RowReader rows;
  EventCollector collector;
  Shapes shapes;
  JsonBlock json_block;
  CsvReader csv;
  AccessLogReader access_log;
  SyslogReader syslog;
  LogfmtReader logfmt;
  PatternReader pattern;
  std::size_t bytes_per_event = 128;  ///< Of the last block: the guess for the next one.
};

Decoder::Decoder(std::shared_ptr<const StreamPlan> plan,
                 const std::vector<std::string>& source_names, DecoderOptions options)
    : impl_(std::make_unique<Impl>(std::move(plan), source_names, options)) {}

Decoder::~Decoder() = default;

void Decoder::decode(const Block& block, EventBatch& out) {
  Impl& d = *impl_;
  const char* const begin = block.bytes->data();
  const std::size_t size = block.bytes->size();
  const char* const end = begin + size;
  out.clear();
  d.collector.begin(block, out);
  d.writer.begin(out, size / d.bytes_per_event + 16);
  switch (block.format) {
    case Format::json:
      d.json_block.read_any(begin, end);
      break;
    case Format::ndjson:
      d.json_block.read_lines(begin, end);
      break;
    case Format::csv:
      d.csv.read(begin, end, block.header.get());
      break;
    case Format::access_log:
      d.access_log.read(begin, end);
      break;
    case Format::syslog:
      d.syslog.read(begin, end);
      break;
    case Format::logfmt:
      d.logfmt.read(begin, end);
      break;
    case Format::pattern:
      d.pattern.read(begin, end, block.header.get());
      break;
  }
  d.collector.finish();
  if (out.events != 0) d.bytes_per_event = std::max<std::size_t>(size / out.events, 8);
}

}  // namespace streamobs::decode
