// From the tokens of one event to one row: the declared types, what is required, the event's time.
//
// A decoder owns one and uses it on its strand. It is the only place that says what a value of one
// type may look like in the event; the shapes take the same values, only faster.
#pragma once

#include <cstdint>
#include <string_view>

#include "decode/batch_writer.h"
#include "decode/field_index.h"
#include "decode/json_reader.h"
#include "decode/stream_plan.h"
#include "decode/time_text.h"
#include "decode/token.h"

namespace streamobs::decode {

class RowReader {
 public:
  /// All of them outlive the reader.
  RowReader(const StreamPlan& plan, const FieldIndex& index, TimeParser& times, JsonReader& json,
            BatchWriter& writer, Refusal& refusal);

  /// Events later than this are refused.
  void set_time_limit(Timestamp limit) { time_limit_ = limit; }
  /// When the block came: it tells the year of times that name none.
  void set_arrival(Timestamp arrival) { times_.set_arrival(arrival); }
  Timestamp time_limit() const { return time_limit_; }

  /// Sets every column of the writer's row from the tokens of its slots. False: the event is
  /// refused, and the refusal says why. Fields are looked at in the schema's order.
  bool read(const Token* tokens);

  /// One column from one value that is neither absent nor null; the event's time with it, if this
  /// is its column.
  bool read_value(std::size_t column, const Token& token) {
    return read_column(column, token) &&
           (column != index_.time_column() || read_event_time(field(column), token));
  }

 private:
  bool read_column(std::size_t column, const Token& token);
  bool read_event_time(const Field& field, const Token& token);
  bool read_bool(std::size_t column, const Token& token);
  bool read_number(std::size_t column, const Token& token);
  bool read_string(std::size_t column, const Token& token);
  bool read_timestamp(std::size_t column, const Token& token);
  bool read_map(std::size_t column, const Token& token);
  std::string_view plain_text(const Token& token);
  const Field& field(std::size_t column) const { return plan_.schema.fields[column]; }
  bool wrong_type(std::size_t column, const Token& token);
  bool refuse(std::string_view reason, const Field& field, std::string_view what,
              const Token& token);

  const StreamPlan& plan_;
  const FieldIndex& index_;
  TimeParser& times_;
  JsonReader& json_;
  BatchWriter& writer_;
  Refusal& refusal_;
  Timestamp time_limit_ = kMaxTimestamp;
};

}  // namespace streamobs::decode
