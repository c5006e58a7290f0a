// Random batches of every kind of column, and what differs between two batches: for the tests and
// the fuzzer of the batch codec.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "event/event_batch.h"

namespace streamobs::wal::test {

using Random = std::mt19937_64;

/// One field of each kind, text twice: with a dictionary and without.
inline StreamSchema all_kinds() {
  StreamSchema schema;
  schema.stream = "everything";
  schema.stream_id = 3;
  schema.time_field = "at";
  const auto add = [&](const char* name, Kind kind, std::uint8_t scale = 0) {
    schema.fields.push_back({name, name, {kind, scale}, false, {}});
  };
  add("at", Kind::timestamp);
  add("ok", Kind::boolean);
  add("count", Kind::integer);
  add("value", Kind::floating);
  add("amount", Kind::decimal, 2);
  add("service", Kind::string);
  add("message", Kind::string);
  add("seen", Kind::timestamp);
  add("tags", Kind::map);
  return schema;
}

/// Makes batches; owns the dictionary their columns share, as a decoding lane does.
class BatchMaker {
 public:
  BatchMaker(const StreamSchema& schema, std::uint64_t seed) : schema_(schema), random_(seed) {
    dictionary_->intern("");
  }

  EventBatch make() {
    EventBatch batch;
    batch.schema = &schema_;
    static constexpr std::size_t kSizes[] = {0, 1, 2, 3, 7, 127, 128, 129, 300, 1000};
    batch.rows = kSizes[below(std::size(kSizes))];
    fill_origin(batch);
    fill_times(batch);
    batch.columns.resize(schema_.fields.size());
    for (std::size_t i = 0; i < batch.columns.size(); ++i) {
      batch.columns[i].type = schema_.fields[i].type;
      fill_column(batch, batch.columns[i], schema_.fields[i].name);
    }
    fill_refused(batch);
    fill_raw(batch);
    return batch;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  std::int64_t some_integer() {
    static constexpr std::int64_t kEdges[] = {0,         -1,        1,          INT64_MIN,
                                              INT64_MAX, INT32_MAX, 4294967296, -4294967296};
    return one_in(4) ? kEdges[below(std::size(kEdges))] : static_cast<std::int64_t>(random_());
  }
  void fill_integers(PodVector<std::int64_t>& to, std::size_t rows, bool times) {
    to.resize(rows);
    const std::uint64_t how = below(10);
    const std::int64_t base =
        times ? 1'704'804'000'000'000 : static_cast<std::int64_t>(below(1000)) - 500;
    const std::int64_t unit = one_in(2) ? 1 : one_in(2) ? 1000 : 1'000'000;
    std::int64_t last = base;
    for (std::int64_t& v : to) {
      const auto n = static_cast<std::int64_t>(below(3000));
      switch (how) {
        case 0:
          v = base;
          break;
        case 1:
          v = some_integer();
          break;
        case 2:
          v = last += n * unit;
          break;  // Rising.
        case 3:
          v = last -= 7 * unit;
          break;  // Even steps.
        case 4:
          v = base + (n % 5) * 101;
          break;  // Few different ones.
        case 5:
          v = base + n * n * 40'000 * unit;
          break;  // Beyond 32 bits.
        case 6:
          v = one_in(200) ? some_integer() : base + n;
          break;  // Outliers.
        case 7:
          v = last += one_in(50) ? 5'000'000'000 * unit : unit;
          break;  // Gaps.
        default:
          v = base + n * unit;
          break;
      }
    }
  }
  double some_double() {
    static constexpr double kEdges[] = {0.0,
                                        -0.0,
                                        1e300,
                                        5e-324,
                                        0.1,
                                        1.7976931348623157e308,
                                        -1e-7,
                                        1e15,
                                        4503599627370496.5 / 2,
                                        9007199254740993.0,
                                        2251799813685248.0,
                                        -2251799813685249.0,
                                        1e22};
    if (one_in(3)) return kEdges[below(std::size(kEdges))];
    double v = std::bit_cast<double>(random_());
    while (!(v - v == 0)) v = std::bit_cast<double>(random_());
    return v;
  }
  void fill_floats(PodVector<double>& to, std::size_t rows) {
    to.resize(rows);
    const std::uint64_t how = below(5);
    const double power = std::pow(10, static_cast<double>(below(8)));
    for (double& v : to) {
      const double decimal = static_cast<double>(below(2'000'000)) / power - 5;
      switch (how) {
        case 0:
          v = some_double();
          break;
        case 1:
          v = one_in(20) ? some_double() : std::round(decimal * power) / power;
          break;
        case 2:
          v = decimal / 3;
          break;
        default:
          v = std::round(decimal * power) / power;
          break;
      }
    }
  }
  std::string some_text() {
    static constexpr const char* kWords[] = {
        "",
        "checkout",
        "payments",
        "search",
        "a b",
        "größe",
        "{\"region\":\"eu\"}",
        "a text longer than the thirty-two bytes of a short one"};
    if (one_in(2)) return kWords[below(std::size(kWords))];
    if (one_in(50)) return std::string(below(5000), 'x');
    return fmt::format("id-{:016x}", random_());
  }

  void fill_origin(EventBatch& batch) {
    BlockOrigin& origin = batch.origin;
    origin.source_id = static_cast<std::uint32_t>(below(5));
    origin.partition = one_in(3) ? UINT32_MAX : 0;
    origin.number = random_() >> below(64);
    origin.offset = one_in(2) ? 0 : random_();
    origin.first_line = one_in(2) ? 0 : random_();
    origin.received_at = one_in(5) ? kMinTimestamp : 1'704'804'000'000'000;
    if (one_in(2)) origin.name = "127.0.0.1:54321";
    if (one_in(3)) {
      for (std::uint32_t event = 0; event < 40;
           event += 1 + static_cast<std::uint32_t>(below(20))) {
        const std::uint64_t offset = random_();
        origin.messages.push_back({event, offset, one_in(4)});
      }
    }
    if (one_in(3)) {
      origin.resume = {"/var/log/a.log", random_(), random_(), random_(), random_(), random_()};
    }
    if (one_in(3)) {
      origin.request_key = "key-1";
      origin.request_digest = random_();
    }
  }
  void fill_times(EventBatch& batch) {
    fill_integers(batch.time, batch.rows, true);
    std::uint32_t event = 0;
    const bool gaps = one_in(2);
    for (std::size_t i = 0; i < batch.rows; ++i) {
      if (gaps && one_in(4)) event += static_cast<std::uint32_t>(1 + below(3));
      batch.event_index.push_back(event++);
      batch.time_max = std::max(batch.time_max, batch.time[i]);
    }
    batch.events = event + static_cast<std::uint32_t>(below(2));
    if (one_in(5)) batch.time_max = some_integer();
  }
  void fill_column(const EventBatch& batch, Column& column, const std::string& name) {
    const std::size_t rows = batch.rows;
    const Kind kind = column.type.kind;
    if (name == batch.schema->time_field) {
      column.ints.assign(batch.time.data(), rows);
      return;
    }
    if (one_in(2)) {
      column.has_nulls = true;
      const std::uint64_t rare = one_in(4) ? 1 : 1 + below(20);
      for (std::size_t i = 0; i < rows; ++i) column.nulls.push_back(one_in(rare) ? 1 : 0);
    }
    if (kind == Kind::boolean) {
      for (std::size_t i = 0; i < rows; ++i) column.bools.push_back(one_in(3) ? 1 : 0);
    } else if (kind == Kind::floating) {
      fill_floats(column.floats, rows);
    } else if (!is_text(kind)) {
      fill_integers(column.ints, rows, kind == Kind::timestamp);
    } else if (name != "message" && !one_in(5)) {
      column.dictionary = dictionary_;
      const std::uint64_t entries = 1 + below(60);
      for (std::size_t i = 0; i < rows; ++i) {
        const std::string text = fmt::format("service-{}", below(entries) * 7919 % 997);
        const Dictionary::Id id = dictionary_->intern(one_in(9) ? some_text().substr(0, 40) : text);
        column.ids.push_back(id == Dictionary::kNone ? 0 : id);
      }
    } else {
      for (std::size_t i = 0; i < rows; ++i) {
        texts_.push_back(std::make_unique<std::string>(some_text()));
        column.strings.push_back(*texts_.back());
      }
    }
  }
  void fill_refused(EventBatch& batch) {
    if (one_in(2)) return;
    const std::size_t letters = below(20);
    for (std::size_t i = 0; i < letters; ++i) {
      DeadLetter letter;
      letter.reason = one_in(2) ? reason::not_json : reason::bad_time;
      letter.detail = some_text();
      letter.stream = one_in(5) ? "" : batch.schema->stream;
      letter.source = one_in(5) ? "other" : "http";
      letter.origin = one_in(5) ? "elsewhere" : batch.origin.name;
      letter.position = random_() >> below(64);
      letter.event_index = static_cast<std::uint32_t>(i);
      letter.window = one_in(5) ? "minutes" : "";
      letter.received_at = one_in(5) ? some_integer() : batch.origin.received_at;
      letter.payload = some_text();
      if (!one_in(4)) letter.format = static_cast<Format>(below(4));
      if (one_in(3)) letter.header = std::make_shared<const std::string>("a,b");
      if (one_in(9)) letter.header = std::make_shared<const std::string>("a,\"b\n\"");
      batch.dead_letters.push_back(std::move(letter));
    }
    if (one_in(3)) batch.refused_unkept["not_json"] = random_();
    if (one_in(3)) batch.refused_unkept["late"] = 1;
    batch.refused = letters + below(3);
  }

  void fill_raw(EventBatch& batch) {
    if (one_in(2)) return;
    for (std::size_t i = 0; i < batch.rows; ++i) {
      texts_.push_back(std::make_unique<std::string>(
          fmt::format("{{\"n\":{},\"text\":\"{}\"}}", i, some_text())));
      batch.raw.push_back(*texts_.back());
    }
  }

  const StreamSchema& schema_;
  Random random_;
  std::shared_ptr<Dictionary> dictionary_ = std::make_shared<Dictionary>();
  std::vector<std::unique_ptr<std::string>> texts_;  ///< What batches point into.
};

/// Which part of a letter differs; empty: none.
inline std::string difference(const DeadLetter& a, const DeadLetter& b) {
  if (a.reason != b.reason) return "reason";
  if (a.detail != b.detail) return "detail";
  if (a.stream != b.stream) return "stream";
  if (a.source != b.source) return "source";
  if (a.origin != b.origin) return "origin";
  if (a.position != b.position) return "position";
  if (a.event_index != b.event_index) return "event_index";
  if (a.window != b.window) return "window";
  if (a.received_at != b.received_at) return "received_at";
  if (a.format != b.format) return "format";
  if ((a.header == nullptr) != (b.header == nullptr)) return "header";
  if (a.header != nullptr && *a.header != *b.header) return "header";
  return a.payload != b.payload ? "payload" : "";
}

/// What differs between two columns of the same kind; empty: nothing that has a meaning.
inline std::string difference(const Column& a, const Column& b, std::size_t rows) {
  if (a.type != b.type) return "type";
  const ColumnView left = a.view();
  const ColumnView right = b.view();
  for (std::size_t i = 0; i < rows; ++i) {
    if (left.is_null(i) != right.is_null(i)) return fmt::format("null in row {}", i);
    if (left.is_null(i)) continue;
    bool same = false;
    if (a.type.kind == Kind::boolean) {
      same = left.bool_at(i) == right.bool_at(i);
    } else if (a.type.kind == Kind::floating) {
      same = std::bit_cast<std::uint64_t>(left.float_at(i)) ==
             std::bit_cast<std::uint64_t>(right.float_at(i));
    } else if (is_text(a.type.kind)) {
      same = left.string_at(i) == right.string_at(i);
    } else {
      same = left.int_at(i) == right.int_at(i);
    }
    if (!same) return fmt::format("value in row {}", i);
  }
  return "";
}

/// The first thing that differs in what the log keeps of two batches; empty: nothing.
inline std::string difference(const EventBatch& a, const EventBatch& b) {
  if (a.schema != b.schema) return "schema";
  if (a.rows != b.rows) return "rows";
  if (a.events != b.events) return "events";
  if (a.time_max != b.time_max) return "time_max";
  if (a.refused != b.refused) return "refused";
  if (a.refused_unkept != b.refused_unkept) return "refused_unkept";
  for (std::size_t i = 0; i < a.rows; ++i) {
    if (a.time[i] != b.time[i]) return fmt::format("time of row {}", i);
    if (a.event_index[i] != b.event_index[i]) return fmt::format("event index of row {}", i);
  }
  if (a.raw.size() != b.raw.size()) return "raw texts";
  for (std::size_t i = 0; i < a.raw.size(); ++i) {
    if (a.raw[i] != b.raw[i]) return fmt::format("raw text of row {}", i);
  }
  for (std::size_t i = 0; i < a.columns.size(); ++i) {
    const std::string column = difference(a.columns[i], b.columns[i], a.rows);
    if (!column.empty()) return fmt::format("{}: {}", a.schema->fields[i].name, column);
  }
  if (a.dead_letters.size() != b.dead_letters.size()) return "dead letters";
  for (std::size_t i = 0; i < a.dead_letters.size(); ++i) {
    const std::string letter = difference(a.dead_letters[i], b.dead_letters[i]);
    if (!letter.empty()) return fmt::format("dead letter {}: {}", i, letter);
  }
  const BlockOrigin& x = a.origin;
  const BlockOrigin& y = b.origin;
  if (x.source_id != y.source_id || x.partition != y.partition || x.number != y.number) {
    return "origin's source";
  }
  if (x.offset != y.offset || x.first_line != y.first_line || x.received_at != y.received_at) {
    return "origin's place";
  }
  if (x.name != y.name || x.resume != y.resume) return "origin's name or resume point";
  if (x.request_key != y.request_key || x.request_digest != y.request_digest) return "request";
  return "";
}

}  // namespace streamobs::wal::test
