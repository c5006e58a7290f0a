#include "source/block_reader.h"

#include <set>

#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;
using namespace streamobs::source::test;

namespace {

BlockReader reader_of(std::string text, const BlockReaderOptions& options, BufferPool& pool,
                      std::size_t piece_max = 1 << 20, unsigned seed = 1) {
  return {std::make_unique<ChoppyStream>(std::move(text), piece_max, seed), options, pool};
}

/// Records of a CSV text by a plain walk over its characters, each with its newline.
std::vector<std::string> csv_records(const std::string& text) {
  std::vector<std::string> records;
  std::string record;
  bool quoted = false;
  bool field_start = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    record += c;
    if (quoted) {
      if (c != '"') continue;
      if (i + 1 < text.size() && text[i + 1] == '"') {
        record += text[++i];
      } else {
        quoted = false;
        field_start = false;
      }
    } else if (c == '"' && field_start) {
      quoted = true;
    } else {
      field_start = c == ',' || c == '\n';
      if (c == '\n') records.push_back(std::exchange(record, {}));
    }
  }
  if (!record.empty()) records.push_back(record);
  return records;
}

std::string random_text(std::mt19937& random, std::string_view alphabet, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += alphabet[random() % alphabet.size()];
  return text;
}

}  // namespace

TEST_CASE("lines cut at random come out whole, in order, with their places") {
  std::mt19937 random(5);
  BufferPool pool;
  for (unsigned round = 0; round < 300; ++round) {
    CAPTURE(round);
    const std::string text = random_text(random, "abcdef,\"{}\n\n", random() % 4'000);
    BlockReaderOptions options;
    options.block_bytes = 1 + random() % 500;
    BlockReader reader = reader_of(text, options, pool, 1 + random() % 300, round);
    const std::vector<Piece> pieces = read_all(reader);
    std::uint64_t offset = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      REQUIRE(!pieces[i].text.empty());
      if (i + 1 < pieces.size()) REQUIRE(pieces[i].text.back() == '\n');
      REQUIRE(pieces[i].offset == offset);
      const auto lines_before =
          std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n');
      REQUIRE(pieces[i].first_line == static_cast<std::uint64_t>(lines_before) + 1);
      REQUIRE(!pieces[i].oversized);
      offset += pieces[i].text.size();
    }
    REQUIRE(joined(pieces) == text);
  }
}

TEST_CASE("CSV is cut only where a record ends, whatever stands in quotes") {
  std::mt19937 random(6);
  BufferPool pool;
  for (unsigned round = 0; round < 500; ++round) {
    CAPTURE(round);
    const std::string text = "h1,h2\n" + random_text(random, "ab,,\"\"\n", random() % 2'000);
    BlockReaderOptions options;
    options.format = Format::csv;
    options.block_bytes = 1 + random() % 200;
    BlockReader reader = reader_of(text, options, pool, 1 + random() % 100, round);
    const std::vector<Piece> pieces = read_all(reader);
    const std::string body = text.substr(6);
    REQUIRE(joined(pieces) == body);
    std::set<std::size_t> ends = {body.size()};
    std::size_t end = 0;
    for (const std::string& record : csv_records(body)) ends.insert(end += record.size());
    std::size_t offset = 0;
    for (const Piece& piece : pieces) {
      REQUIRE(piece.header == "h1,h2");
      REQUIRE(piece.offset == offset + 6);
      const auto lines_before =
          std::count(body.begin(), body.begin() + static_cast<long>(offset), '\n');
      REQUIRE(piece.first_line == static_cast<std::uint64_t>(lines_before) + 2);
      offset += piece.text.size();
      REQUIRE(ends.count(offset) == 1);
    }
  }
}

TEST_CASE("a CSV header may be quoted, marked as UTF-8, end in CR LF or be all there is") {
  BufferPool pool;
  BlockReaderOptions options;
  options.format = Format::csv;
  BlockReader marked = reader_of("\xEF\xBB\xBF\"a\nb\",c\r\n1,2\r\n", options, pool, 2);
  const std::vector<Piece> pieces = read_all(marked);
  CHECK(joined(pieces) == "1,2\r\n");
  REQUIRE(!pieces.empty());
  CHECK(pieces[0].header == "\"a\nb\",c");
  CHECK(pieces[0].first_line == 3);
  CHECK(pieces[0].offset == 3 + 9);
  BlockReader only_header = reader_of("a,b", options, pool);
  CHECK(read_all(only_header).empty());
  BlockReader empty = reader_of("", options, pool);
  CHECK(read_all(empty).empty());
  options.event_bytes_max = 100;
  options.block_bytes = 50;
  BlockReader endless = reader_of(std::string(1'000, 'x'), options, pool);
  std::string error;
  CHECK(read_all(endless, &error).empty());
  CHECK(error.find("header is longer than 100 bytes") != std::string::npos);
}

TEST_CASE("a byte order mark is no part of the first line") {
  BufferPool pool;
  for (const std::size_t piece_max : {1, 2, 100}) {
    BlockReader reader = reader_of("\xEF\xBB\xBF{}\n", {}, pool, piece_max);
    CHECK(joined(read_all(reader)) == "{}\n");
    BlockReader short_one = reader_of("1\n", {}, pool, piece_max);
    CHECK(joined(read_all(short_one)) == "1\n");
  }
}

TEST_CASE("an event over the limit is cut off, its rest dropped, and the next ones are whole") {
  BufferPool pool;
  for (const Format format : {Format::ndjson, Format::csv}) {
    for (unsigned seed = 0; seed < 50; ++seed) {
      const std::string header = format == Format::csv ? "h\n" : "";
      // In CSV the long one is quoted, and a newline in it ends nothing.
      const std::string body = std::string(3'000, 'x') + (format == Format::csv ? "\n" : "y");
      const std::string huge = "\"" + body + "\"\n";
      BlockReaderOptions options;
      options.format = format;
      options.block_bytes = 64;
      options.event_bytes_max = 1'000;
      BlockReader reader =
          reader_of(header + "one\n" + huge + "two\nthree\n", options, pool, 1 + seed * 7, seed);
      const std::vector<Piece> pieces = read_all(reader);
      std::string good;
      std::size_t oversized = 0;
      std::uint64_t line_of_two = 0;
      for (const Piece& piece : pieces) {
        if (piece.oversized) {
          ++oversized;
          CHECK(piece.text == huge.substr(0, 1'001));
          CHECK(piece.first_line == (format == Format::csv ? 3 : 2));
        } else {
          if (piece.text.starts_with("two")) line_of_two = piece.first_line;
          good += piece.text;
        }
      }
      CHECK(oversized == 1);
      CHECK(good == "one\ntwo\nthree\n");
      CHECK(line_of_two == (format == Format::csv ? 5 : 3));
      CHECK(reader.dropped_bytes() == huge.size() - 1'001);
    }
  }
}

TEST_CASE("an endless line does not take endless memory") {
  BufferPool pool;
  BlockReaderOptions options;
  options.block_bytes = 1'000;
  options.event_bytes_max = 10'000;
  BlockReader reader = reader_of(std::string(5'000'000, 'x'), options, pool, 5'000);
  const std::vector<Piece> pieces = read_all(reader);
  REQUIRE(pieces.size() == 1);
  CHECK(pieces[0].text.size() == 10'001);
  CHECK(reader.dropped_bytes() == 5'000'000 - 10'001);
}

TEST_CASE("a growing input keeps its partial last event, a complete one hands it out") {
  BufferPool pool;
  BlockReaderOptions options;
  options.growing = true;
  BlockReader reader = reader_of("one\ntw", options, pool);
  CutBlock cut;
  REQUIRE(*reader.next(cut) == BlockReader::Status::block);
  CHECK(cut.bytes->view() == "one\n");
  CHECK(*reader.next(cut) == BlockReader::Status::idle);
  reader.input_is_complete();
  REQUIRE(*reader.next(cut) == BlockReader::Status::block);
  CHECK(cut.bytes->view() == "tw");
  CHECK(cut.first_line == 2);
  CHECK(*reader.next(cut) == BlockReader::Status::end);
}

TEST_CASE("behind every block there is zeroed padding") {
  BufferPool pool;
  BlockReaderOptions options;
  options.block_bytes = 8;
  BlockReader reader = reader_of("aaaa\nbbbb\ncccc\ndddd", options, pool);
  CutBlock cut;
  while (*reader.next(cut) == BlockReader::Status::block) {
    const char* end = cut.bytes->data() + cut.bytes->size();
    CHECK(std::all_of(end, end + BlockBuffer::kPadding, [](char c) { return c == 0; }));
  }
}

TEST_CASE("buffers are used again, and a pool keeps only so many") {
  BufferPool pool(2);
  const char* memory = nullptr;
  {
    const auto buffer = pool.take();
    buffer->append("text");
    memory = buffer->data();
  }
  CHECK(pool.resting() == 1);
  {
    const auto again = pool.take();
    CHECK(again->data() == memory);
    CHECK(again->empty());
    const auto second = pool.take();
    const auto third = pool.take();
  }
  CHECK(pool.resting() == 2);
  {
    const auto huge = pool.take();
    huge->resize(BufferPool::kKeptBytesMax + 1);
  }
  CHECK(pool.resting() == 1);
  std::shared_ptr<BlockBuffer> survivor;
  {
    BufferPool gone;
    survivor = gone.take();
  }
  survivor->append("still there");
  CHECK(survivor->view() == "still there");
}
