// The byte format, held against docs/wal-format.md: each field is looked for where the page says.
#include <array>
#include <cstring>
#include <string>

#include "wal/format.h"
#include "wal/log_support.h"

using namespace streamobs;             // NOLINT: a test.
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT

namespace {

std::uint64_t number_at(std::string_view bytes, std::size_t offset, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(bytes[offset + i])} << (8 * i);
  }
  return value;
}

std::string little_endian(std::uint64_t value, std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

TEST_CASE("log format: a segment is what the page says") {
  RecordingFileSystem files;
  auto log = open_log(files, 4096).value();
  REQUIRE(append(*log, {{1, {2, "hello"}}}).has_value());
  REQUIRE(log->sync().has_value());
  REQUIRE(append(*log, {{2, {5, "01234567"}}, {3, {1, ""}}}).has_value());
  REQUIRE(log->sync().has_value());
  const std::string bytes = files.bytes_of(kDirectory + "/segment-0000000001.log");
  CHECK(bytes.size() == 4096);

  CHECK(bytes.substr(0, 8) == "SOBSWLOG");
  CHECK(number_at(bytes, 8, 4) == 1);
  CHECK(number_at(bytes, 12, 4) == 0);
  CHECK(number_at(bytes, 16, 8) == kLogId);
  CHECK(number_at(bytes, 24, 8) == 1);
  CHECK(number_at(bytes, 32, 8) == 1);
  CHECK(number_at(bytes, 40, 8) == 1'700'000'000'000'000);
  CHECK(number_at(bytes, 48, 8) == 0);
  const auto origin = detail::crc32c_portable(little_endian(kLogId, 8) + little_endian(1, 8));
  CHECK(number_at(bytes, 56, 4) == origin);
  CHECK(number_at(bytes, 60, 4) == detail::crc32c_portable(bytes.substr(0, 60)));

  struct Expected {
    std::uint8_t type;
    std::string payload;
    std::uint64_t durable;
  };
  const Expected frames[] = {{2, "hello", 0}, {5, "01234567", 1}, {1, "", 1}};
  std::size_t at = 64;
  std::uint64_t sequence = 1;
  for (const Expected& expected : frames) {
    const std::string_view frame = std::string_view(bytes).substr(at);
    CHECK(frame.substr(0, 4) == "FRAM");
    CHECK(number_at(frame, 4, 1) == expected.type);
    CHECK(number_at(frame, 5, 3) == 0);
    CHECK(number_at(frame, 8, 4) == expected.payload.size());
    CHECK(number_at(frame, 12, 4) == detail::crc32c_portable(expected.payload));
    CHECK(number_at(frame, 16, 8) == sequence);
    CHECK(number_at(frame, 24, 8) == expected.durable);
    CHECK(number_at(frame, 32, 4) == origin);
    CHECK(number_at(frame, 36, 4) == detail::crc32c_portable(frame.substr(0, 36), origin));
    CHECK(frame.substr(40, expected.payload.size()) == expected.payload);
    at += (40 + expected.payload.size() + 7) / 8 * 8;
    ++sequence;
  }
  CHECK(all_zero(std::string_view(bytes).substr(at)));
  CHECK(bytes_in_log(5) == 48);
}

TEST_CASE("log format: headers go to bytes and back") {
  std::array<char, 64> bytes{};
  const SegmentHeader segment{SegmentForm::sealed, 1, 99, 7, 1234, -5, origin_of(99, 7)};
  encode(segment, bytes.data());
  const auto segment_back = decode_segment_header(bytes.data());
  REQUIRE(segment_back);
  CHECK(segment_back->form == SegmentForm::sealed);
  CHECK(segment_back->created_at == -5);
  CHECK(segment_back->first_sequence == 1234);

  encode(ChunkHeader{3, 4, 5, 6, 7, 8}, 42, bytes.data());
  const auto chunk = decode_chunk_header(bytes.data(), 42);
  REQUIRE(chunk);
  CHECK(std::memcmp(bytes.data(), "CHNK", 4) == 0);
  CHECK(chunk->records == 3);
  CHECK(chunk->raw_bytes == 4);
  CHECK(chunk->compressed_bytes == 5);
  CHECK(chunk->first_sequence == 6);
  CHECK(chunk->raw_offset == 7);
  CHECK(chunk->crc == 8);
  CHECK_FALSE(decode_chunk_header(bytes.data(), 43));
  CHECK_FALSE(decode_sealed_end(bytes.data(), 42));

  encode(SealedEnd{1, 2, 3, 4, 5}, 42, bytes.data());
  const auto end = decode_sealed_end(bytes.data(), 42);
  REQUIRE(end);
  CHECK(std::memcmp(bytes.data(), "SEND", 4) == 0);
  CHECK(end->chunks == 1);
  CHECK(end->records == 2);
  CHECK(end->last_sequence == 3);
  CHECK(end->raw_bytes == 4);
  CHECK(end->file_bytes == 5);
}

TEST_CASE("log format: a frame of another segment or another log never passes") {
  std::array<char, kFrameHeaderBytes> bytes{};
  const FrameHeader header{2, 10, 77, 5, 4};
  encode(header, origin_of(kLogId, 3), bytes.data());
  CHECK(decode_frame_header(bytes.data(), origin_of(kLogId, 3)));
  CHECK_FALSE(decode_frame_header(bytes.data(), origin_of(kLogId, 4)));
  CHECK_FALSE(decode_frame_header(bytes.data(), origin_of(kLogId + 1, 3)));

  // Not even where its sequence number is the one that has to come next.
  RecordingFileSystem files;
  RecordingFileSystem other;
  auto log = open_log(files, 4096).value();
  const ManualClock clock(0);
  auto stranger = Log::open(other, clock, kDirectory, small_segments(4096), {0, 5, 0}).value();
  const Items items = {{1, {1, "one"}}, {2, {1, "two"}}};
  REQUIRE(append(*log, items).has_value());
  REQUIRE(append(*stranger, items).has_value());
  const std::string path = kDirectory + "/segment-0000000001.log";
  const std::size_t second = 64 + bytes_in_log(3);
  files.bytes_of(path).replace(second, bytes_in_log(3), other.bytes_of(path), second,
                               bytes_in_log(3));
  const ReadBack back = read_all(files);
  CHECK(back.items == Items{{1, {1, "one"}}});
  CHECK(back.torn);
}

TEST_CASE("log format: runs of zeros are told from others at every length") {
  for (std::size_t length = 0; length < 70; ++length) {
    std::string bytes(length, '\0');
    CHECK(all_zero(bytes));
    for (std::size_t i = 0; i < length; ++i) {
      bytes[i] = 1;
      CHECK_FALSE(all_zero(bytes));
      bytes[i] = 0;
    }
  }
}
