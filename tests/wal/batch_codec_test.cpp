#include "wal/batch_codec.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/hash.h"
#include "batch_support.h"
#include "support/catch.h"
#include "wal/bit_packing.h"

namespace {

using namespace streamobs;  // NOLINT
using namespace streamobs::wal;
using streamobs::wal::test::all_kinds;
using streamobs::wal::test::BatchMaker;
using streamobs::wal::test::difference;

EncodedBatch encoded(const EventBatch& batch) {
  BatchEncoder encoder;
  EncodedBatch out;
  encoder.encode(batch, out);
  return out;
}

/// Requests of five fields, as most tests have them.
struct Requests {
  Requests() {
    schema.stream = "requests";
    schema.time_field = "event_time";
    schema.fields = {{"service", "service", {Kind::string, 0}, false, {}},
                     {"latency_ms", "latency_ms", {Kind::floating, 0}, false, {}},
                     {"status_code", "status_code", {Kind::integer, 0}, false, {}}};
  }
  EventBatch make(std::size_t rows) {
    EventBatch batch;
    batch.schema = &schema;
    batch.rows = rows;
    batch.events = static_cast<std::uint32_t>(rows);
    batch.columns.resize(3);
    for (std::size_t i = 0; i < 3; ++i) batch.columns[i].type = schema.fields[i].type;
    batch.columns[0].dictionary = dictionary;
    for (std::size_t i = 0; i < rows; ++i) {
      const auto n = static_cast<std::int64_t>(i);
      batch.time.push_back(1'704'804'000 * kSecond + (n * 7919 % 2000) * kMillisecond);
      batch.event_index.push_back(static_cast<std::uint32_t>(i));
      batch.columns[0].ids.push_back(dictionary->intern("service-" + std::to_string(i % 50)));
      batch.columns[1].floats.push_back(static_cast<double>(n * 31 % 500) / 4);
      batch.columns[2].ints.push_back(n % 20 == 0 ? 500 : 200);
      batch.time_max = std::max(batch.time_max, batch.time[i]);
    }
    return batch;
  }
  StreamSchema schema;
  std::shared_ptr<Dictionary> dictionary = std::make_shared<Dictionary>();
};

TEST_CASE("packed numbers come back, whatever their widths") {
  std::mt19937_64 random(1);
  for (const std::size_t size : {0, 1, 2, 5, 31, 127, 128, 129, 200, 256, 1000}) {
    for (unsigned width = 0; width <= 32; ++width) {
      std::vector<std::uint32_t> values(size);
      for (auto& v : values) {
        v = width == 0 ? 0 : static_cast<std::uint32_t>(random() >> (64 - width));
      }
      std::string bytes;
      put_packed(bytes, values.data(), size);
      // A head of one byte for each block, and not a byte more than the widest number asks for.
      CHECK(bytes.size() <=
            (size + 127) / 128 + size / 128 * 16 * width + (size % 128 * width + 7) / 8);
      // Read from memory of just this size, so that a sanitizer sees a read beyond it.
      const std::vector<char> exact(bytes.begin(), bytes.end());
      ByteReader in({exact.data(), exact.size()});
      std::vector<std::uint32_t> back(size, 99);
      REQUIRE(get_packed(in, size, back.data()));
      CHECK(in.at_end());
      CHECK(back == values);
      for (std::size_t cut = 0; cut < exact.size(); cut += 1 + exact.size() / 50) {
        ByteReader short_in({exact.data(), cut});
        CHECK_FALSE(get_packed(short_in, size, back.data()));
      }
    }
  }
}

TEST_CASE("columns of numbers use the smallest of the ways to write them") {
  IntegerEncoder encoder;
  const auto bytes_of = [&](const std::vector<std::int64_t>& values) {
    std::string bytes;
    encoder.put(bytes, values.data(), values.size());
    IntegerDecoder decoder;
    ByteReader in(bytes);
    std::vector<std::int64_t> back(values.size());
    REQUIRE(decoder.get(in, values.size(), back.data()));
    CHECK(in.at_end());
    CHECK(back == values);
    return bytes.size();
  };
  std::vector<std::int64_t> same(1000, -77);
  CHECK(bytes_of(same) == 3);
  std::vector<std::int64_t> steps(1000);
  for (std::size_t i = 0; i < 1000; ++i) {
    steps[i] = 1'704'804'000'000'000 + static_cast<std::int64_t>(i) * 250;
  }
  CHECK(bytes_of(steps) < 40);
  std::vector<std::int64_t> seconds(1000);
  for (std::size_t i = 0; i < 1000; ++i) {
    seconds[i] = static_cast<std::int64_t>(i * 7919 % 16) * kSecond;
  }
  CHECK(bytes_of(seconds) < 1000 * 4 / 8 + 40);
  std::vector<std::int64_t> days(1000);  // Beyond 32 bits of microseconds, and of milliseconds too.
  for (std::size_t i = 0; i < 1000; ++i) {
    days[i] = static_cast<std::int64_t>(i * 7919 % 4096) * kDay;
  }
  CHECK(bytes_of(days) < 1000 * 29 / 8 + 60);
  std::vector<std::int64_t> codes(1000);
  for (std::size_t i = 0; i < 1000; ++i)
    codes[i] = i * 7919 % 17 == 0 ? 503 : i % 3 == 0 ? 404 : 200;
  CHECK(bytes_of(codes) < 1000 * 2 / 8 + 40);
  std::vector<std::int64_t> outlier(1280, 5);
  for (std::size_t i = 0; i < 1280; ++i) outlier[i] = static_cast<std::int64_t>(i * 7919 % 8);
  outlier[700] = 1'000'000;
  CHECK(bytes_of(outlier) < 1280 * 3 / 8 + 400);
  CHECK(bytes_of({INT64_MIN, INT64_MAX, 0, -1}) < 60);
}

TEST_CASE("doubles keep every bit") {
  FloatEncoder encoder;
  const auto bytes_of = [&](const std::vector<double>& values) {
    std::string bytes;
    encoder.put(bytes, values.data(), values.size());
    FloatDecoder decoder;
    ByteReader in(bytes);
    std::vector<double> back(values.size());
    REQUIRE(decoder.get(in, values.size(), back.data()));
    CHECK(in.at_end());
    for (std::size_t i = 0; i < values.size(); ++i) {
      CHECK(std::bit_cast<std::uint64_t>(values[i]) == std::bit_cast<std::uint64_t>(back[i]));
    }
    return bytes.size();
  };
  std::vector<double> quarters(1024);
  for (std::size_t i = 0; i < 1024; ++i) quarters[i] = static_cast<double>(i % 16) / 4 - 2;
  CHECK(bytes_of(quarters) < 1024 * 10 / 8 + 40);
  quarters[5] = -0.0;
  quarters[600] = 1.0 / 3;
  CHECK(bytes_of(quarters) < 1024 * 10 / 8 + 80);
  std::vector<double> thirds(1024);
  for (std::size_t i = 0; i < 1024; ++i) thirds[i] = static_cast<double>(i) / 3;
  CHECK(bytes_of(thirds) == 1024 * 8 + 1);
  // Around 2^51, where rounding by addition ends.
  std::vector<double> edge;
  for (int i = -40; i <= 40; ++i) edge.push_back(2251799813685248.0 + i / 4.0);
  for (int i = -40; i <= 40; ++i) edge.push_back(-2251799813685248.0 + i / 4.0);
  bytes_of(edge);
  bytes_of({1e300, -1e300, 1e300, 5e-324, 0.0, -0.0, 9007199254740993.0, 1e22, 4503599627370496.0});
  bytes_of(std::vector<double>(200, 1e300));
  bytes_of(std::vector<double>(200, 6755399441055744.0));  // The rounder itself.
}

TEST_CASE("batches of all kinds of columns come back field by field") {
  const StreamSchema schema = all_kinds();
  BatchEncoder encoder;
  BatchDecoder decoder;
  EncodedBatch bytes;
  EventBatch back;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    BatchMaker maker(schema, seed);
    for (int i = 0; i < 10; ++i) {
      const EventBatch batch = maker.make();
      encoder.encode(batch, bytes);
      CHECK(bytes.crc32c == crc32c(bytes.bytes));
      // What was in the batch before must not shine through.
      const auto decoded = decoder.decode(bytes.bytes, schema, back);
      INFO("seed " << seed << ", batch " << i << ", rows " << batch.rows);
      REQUIRE(decoded.has_value());
      REQUIRE(difference(batch, back) == "");
      CHECK(back.excluded.empty());
      CHECK(back.stamp.sequence == 0);
      const auto head = read_batch_head(bytes.bytes);
      REQUIRE(head.has_value());
      CHECK(head->stream_id == 3);
      CHECK(head->fingerprint == schema_fingerprint(schema));
      CHECK(head->rows == batch.rows);
      CHECK(head->events == batch.events);
    }
  }
}

TEST_CASE("the same batch gives the same bytes, from any encoder and after decoding") {
  const StreamSchema schema = all_kinds();
  BatchEncoder used;
  BatchMaker other(schema, 1000);
  EncodedBatch bytes;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    BatchMaker maker(schema, seed);
    const EventBatch batch = maker.make();
    used.encode(other.make(), bytes);  // Leaves its traces in the scratch memory.
    used.encode(batch, bytes);
    CHECK(bytes.bytes == encoded(batch).bytes);
    BatchDecoder decoder;
    EventBatch back;
    REQUIRE(decoder.decode(bytes.bytes, schema, back).has_value());
    CHECK(encoded(back).bytes == bytes.bytes);
  }
}

TEST_CASE("the bytes of a batch are frozen") {
  Requests requests;
  EventBatch batch = requests.make(2);
  batch.time[0] = 1000;
  batch.time[1] = 3000;
  batch.time_max = 3000;
  batch.columns[0].ids[1] = batch.columns[0].ids[0];
  batch.columns[1].floats[0] = 0.5;
  batch.columns[1].floats[1] = 2.25;
  batch.columns[2].ints[0] = 200;
  batch.columns[2].has_nulls = true;
  batch.columns[2].nulls.push_back(0);
  batch.columns[2].nulls.push_back(1);
  batch.origin.source_id = 1;
  batch.origin.number = 7;
  batch.origin.received_at = 3;
  batch.origin.name = "c";
  // By hand, from docs/wal-format.md.
  std::string schema;
  for (const auto& [name, kind] : {std::pair{"event_time", '\0'}, std::pair{"service", '\5'},
                                   std::pair{"latency_ms", '\3'}, std::pair{"status_code", '\2'}}) {
    schema += static_cast<char>(std::string_view(name).size());
    schema += name;
    if (kind != 0) schema += {kind, '\0'};
  }
  const std::uint64_t fingerprint = hash_bytes(schema);
  std::string expected("\x01\x00\x00", 3);
  for (int i = 0; i < 8; ++i) expected += static_cast<char>(fingerprint >> 8 * i);
  expected += std::string("\x02\x02", 2);  // Rows, events.
  expected += std::string(
      "\x01\x00\x07\x00\x00\x06\x01"
      "c",
      8);                                                            // Origin.
  expected += std::string("\x09\xd0\x0f\x02\x08", 5);                // 1000 + {0, 2} * 1000.
  expected += std::string("\x04\x01\x00\x12\x09\x00service-0", 15);  // One entry.
  expected += std::string("\x00\x02\x00\x01\x64\x08\x00\xaf", 8);    // {50, 225} / 10^2.
  expected += std::string("\x01\x01\x02\x00\x90\x03", 6);            // Not null, null: 200.
  CHECK(encoded(batch).bytes == expected);

  batch.raw.push_back("{}\t");
  batch.raw.push_back("{}");
  expected[1] = '\x20';
  expected += std::string("\x01\x04\x01\x01\x05\x00{}\t{}", 11);  // Lengths: 2 + {1, 0}.
  CHECK(encoded(batch).bytes == expected);
}

TEST_CASE("raw texts come back, compressed where they are alike") {
  Requests requests;
  BatchEncoder encoder;
  BatchDecoder decoder;
  EncodedBatch bytes;
  EventBatch back;
  for (const std::size_t rows : {1, 2, 100, 8000}) {
    EventBatch batch = requests.make(rows);
    std::vector<std::string> texts;
    std::size_t size = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      texts.push_back(fmt::format(
          R"({{"event_time":"2024-01-09T12:{:02}:{:02}Z","service":"service-{}","user":{}}})",
          i * 7919 % 60, i % 60, i % 50, i * 7919 % 100'000));
      size += texts.back().size();
    }
    encoder.encode(batch, bytes);
    const std::size_t without = bytes.bytes.size();
    for (const std::string& text : texts) batch.raw.push_back(text);
    encoder.encode(batch, bytes);
    CHECK(bytes.bytes.size() > without);
    if (rows == 8000) CHECK(bytes.bytes.size() - without < size / 2);

    REQUIRE(decoder.decode(bytes.bytes, requests.schema, back).has_value());
    std::fill(bytes.bytes.begin(), bytes.bytes.end(), '?');  // The batch keeps them alive itself.
    CHECK(difference(batch, back) == "");
    REQUIRE(back.raw.size() == rows);
    for (std::size_t i = 0; i < rows; ++i) REQUIRE(back.raw[i] == texts[i]);

    // The same schema without them, into the same batch.
    batch.raw.clear();
    encoder.encode(batch, bytes);
    CHECK(bytes.bytes.size() == without);
    REQUIRE(decoder.decode(bytes.bytes, requests.schema, back).has_value());
    CHECK(back.raw.empty());
    CHECK(difference(batch, back) == "");
  }
}

TEST_CASE("raw texts that do not fit their rows are damage") {
  Requests requests;
  BatchDecoder decoder;
  EventBatch back;
  EventBatch batch = requests.make(2);
  batch.raw.push_back("{}");
  batch.raw.push_back("[]");
  const std::string good = encoded(batch).bytes;
  REQUIRE(good.ends_with(std::string("\x00\x04\x04\x00{}[]", 8)));  // Two bytes each, together 4.
  const auto is_damage = [&](std::string bytes) {
    const auto decoded = decoder.decode(bytes, requests.schema, back);
    return decoded.has_error() && decoded.error().code == ErrorCode::corrupt && back.rows == 0 &&
           back.raw.empty();
  };
  const std::string head = good.substr(0, good.size() - 8);
  CHECK_FALSE(is_damage(good));
  CHECK(is_damage(head));                                             // Nothing of them there.
  CHECK(is_damage(head + std::string("\x00\x02\x04\x00{}[]", 8)));    // One byte each.
  CHECK(is_damage(head + std::string("\x00\x06\x04\x00{}[]", 8)));    // Three bytes each.
  CHECK(is_damage(head + std::string("\x00\x03\x04\x00{}[]", 8)));    // Of negative length.
  CHECK(is_damage(head + std::string("\x00\x04\x05\x00{}[]", 8)));    // Longer than the record.
  CHECK(is_damage(head + std::string("\x00\x04\x04\x02{}[]", 8)));    // No form there is.
  CHECK(is_damage(head + std::string("\x00\x04\x04\x01\x02[]", 7)));  // No LZ4 block.
  CHECK(is_damage(good + '\0'));

  EventBatch none = requests.make(0);
  std::string empty = encoded(none).bytes;
  CHECK_FALSE(is_damage(empty));
  empty[1] = '\x20';
  CHECK(is_damage(empty));  // No rows that they could be of.
}

TEST_CASE("a reused batch holds nothing of the one before") {
  Requests requests;
  BatchDecoder decoder;
  EventBatch back;
  EventBatch first = requests.make(500);
  first.origin.resume.file = "a.log";
  first.origin.request_key = "k";
  first.refused = 1;
  first.dead_letters.resize(1);
  first.columns[0].has_nulls = true;
  first.columns[0].nulls.resize(500, 1);
  REQUIRE(decoder.decode(encoded(first).bytes, requests.schema, back).has_value());
  CHECK(difference(first, back) == "");
  back.excluded.resize(500, 1);
  const EventBatch second = requests.make(3);
  REQUIRE(decoder.decode(encoded(second).bytes, requests.schema, back).has_value());
  CHECK(difference(second, back) == "");
  CHECK(back.excluded.empty());
  CHECK(back.columns[0].ids.size() == 3);
}

TEST_CASE("decoded text does not depend on the record or on the decoder") {
  const StreamSchema schema = all_kinds();
  BatchMaker maker(schema, 5);
  std::vector<EventBatch> batches;
  std::vector<EventBatch> back(20);
  {
    BatchDecoder decoder;
    for (EventBatch& to : back) {
      batches.push_back(maker.make());
      EncodedBatch bytes = encoded(batches.back());
      REQUIRE(decoder.decode(bytes.bytes, schema, to).has_value());
      std::fill(bytes.bytes.begin(), bytes.bytes.end(), '?');
    }
  }
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(difference(batches[i], back[i]) == "");
}

TEST_CASE("ids of text stay the same over the batches of a decoder") {
  Requests requests;
  BatchDecoder decoder;
  EventBatch a;
  EventBatch b;
  REQUIRE(decoder.decode(encoded(requests.make(50)).bytes, requests.schema, a).has_value());
  REQUIRE(decoder.decode(encoded(requests.make(200)).bytes, requests.schema, b).has_value());
  REQUIRE(a.columns[0].dictionary != nullptr);
  CHECK(a.columns[0].dictionary == b.columns[0].dictionary);
  for (std::size_t i = 0; i < 50; ++i) CHECK(a.columns[0].ids[i] == b.columns[0].ids[i]);
}

TEST_CASE("a dictionary that is full gives way to plain strings") {
  Requests requests;
  BatchDecoder decoder;
  std::vector<EventBatch> kept;
  std::size_t plain = 0;
  for (int round = 0; round < 6; ++round) {
    // Two lanes whose dictionaries hold different texts; together too many for one.
    auto dictionary = std::make_shared<Dictionary>();
    EventBatch batch = requests.make(1000);
    batch.columns[0].dictionary = dictionary;
    for (std::size_t i = 0; i < 1000; ++i) {
      batch.columns[0].ids[i] = dictionary->intern(fmt::format("round-{}-{}", round, i));
    }
    EventBatch back;
    REQUIRE(decoder.decode(encoded(batch).bytes, requests.schema, back).has_value());
    CHECK(difference(batch, back) == "");
    plain += back.columns[0].dictionary == nullptr ? 1 : 0;
    kept.push_back(std::move(back));
  }
  CHECK(plain == 2);
  // Earlier batches are as they were.
  CHECK(kept[0].columns[0].view().string_at(999) == "round-0-999");
  CHECK(kept[5].columns[0].view().string_at(999) == "round-5-999");
}

TEST_CASE("decoding under another schema is refused") {
  Requests requests;
  const std::string bytes = encoded(requests.make(10)).bytes;
  BatchDecoder decoder;
  EventBatch back;
  REQUIRE(decoder.decode(bytes, requests.schema, back).has_value());
  const auto refused = [&](auto&& change) {
    StreamSchema schema = requests.schema;
    change(schema);
    BatchDecoder fresh;
    const auto decoded = fresh.decode(bytes, schema, back);
    const auto reused = decoder.decode(bytes, schema, back);
    return decoded.has_error() && decoded.error().code == ErrorCode::invalid &&
           reused.has_error() && back.rows == 0;
  };
  CHECK(refused([](StreamSchema& s) { s.fields[1].name = "latency"; }));
  CHECK(refused([](StreamSchema& s) { s.fields[1].type.kind = Kind::integer; }));
  CHECK(refused([](StreamSchema& s) { s.fields[2].type = {Kind::decimal, 2}; }));
  CHECK(refused([](StreamSchema& s) { s.fields.pop_back(); }));
  CHECK(refused([](StreamSchema& s) { std::swap(s.fields[0], s.fields[1]); }));
  CHECK(refused([](StreamSchema& s) { s.time_field = "at"; }));
  CHECK_FALSE(refused([](StreamSchema& s) { s.fields[0].path = "svc"; }));
  REQUIRE(decoder.decode(bytes, requests.schema, back).has_value());
  CHECK(back.rows == 10);
}

TEST_CASE("cut or spoilt records never crash, and too many rows are refused") {
  const StreamSchema schema = all_kinds();
  BatchMaker maker(schema, 77);
  std::mt19937_64 random(7);
  BatchDecoder decoder(100'000);
  EventBatch back;
  std::size_t refused = 0;
  for (int i = 0; i < 25; ++i) {
    const EventBatch batch = maker.make();
    const std::string good = encoded(batch).bytes;
    for (std::size_t cut = 0; cut < good.size(); cut += good.size() > 4000 ? 37 : 1) {
      const std::vector<char> exact(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut));
      const auto decoded = decoder.decode({exact.data(), exact.size()}, schema, back);
      REQUIRE(decoded.has_error());
      CHECK(back.rows == 0);
    }
    CHECK(decoder.decode(good + '\0', schema, back).has_error());
    for (int flip = 0; flip < 300; ++flip) {
      std::vector<char> bad(good.begin(), good.end());
      for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
        bad[random() % bad.size()] ^= static_cast<char>(1U << random() % 8);
      }
      const auto decoded = decoder.decode({bad.data(), bad.size()}, schema, back);
      if (decoded.has_error()) {
        ++refused;
        continue;
      }
      // Other content, but whole: it can be written and read again.
      EncodedBatch again = encoded(back);
      EventBatch twice;
      REQUIRE(decoder.decode(again.bytes, schema, twice).has_value());
      CHECK(difference(back, twice) == "");
    }
  }
  CHECK(refused > 1000);

  EventBatch many;
  many.schema = &schema;
  many.rows = many.events = 200;
  many.columns.resize(schema.fields.size());
  many.time.resize(200, 5);
  for (Column& column : many.columns) {
    column.has_nulls = true;
    column.nulls.resize(200, 1);
  }
  BatchDecoder small(199);
  CHECK(small.decode(encoded(many).bytes, schema, back).error().code == ErrorCode::corrupt);
}

TEST_CASE("an event costs few bytes in a large batch, and a single one little more than itself") {
  Requests requests;
  const EventBatch large = requests.make(8000);
  CHECK(encoded(large).bytes.size() < 8000 * 6);
  EventBatch single = requests.make(1);
  single.origin.name = "127.0.0.1:54321";
  single.origin.received_at = 1'704'804'000'000'000;
  CHECK(encoded(single).bytes.size() < 100);
}

}  // namespace
