// A batch of events as the payload of a log record, and back.
//
// Columns stay columns: whole numbers and times as bit-packed offsets or steps, low-cardinality
// text as its entries and bit-packed numbers of them, text (also raw) and dead letters through LZ4
// where that pays. What follows from the log alone is not written: the stamp, the lane, what
// deduplication excludes, the log position in dead letters. The same batch gives the same bytes.
// The byte format is in docs/wal-format.md, "Record payloads".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/pod_vector.h"
#include "base/result.h"
#include "event/event_batch.h"
#include "wal/integer_codec.h"
#include "wal/text_codec.h"

namespace streamobs::wal {

/// What a batch's bytes depend on: the names and types of the stream's fields, in their order, and
/// which of them bears the time. Bytes of one fingerprint are refused under another.
std::uint64_t schema_fingerprint(const StreamSchema& schema);

/// Turns batches into bytes. One for each lane, for its whole life, any stream; not thread-safe. It
/// allocates nothing once its scratch memory has grown to the largest batch.
class BatchEncoder {
 public:
  BatchEncoder() = default;
  BatchEncoder(const BatchEncoder&) = delete;
  BatchEncoder& operator=(const BatchEncoder&) = delete;

  /// Replaces what is in `out`. `batch.schema` is set and has a column for each field.
  void encode(const EventBatch& batch, EncodedBatch& out);

 private:
  struct Known {
    const StreamSchema* schema = nullptr;
    std::uint64_t fingerprint = 0;
  };

  std::uint64_t fingerprint_of(const StreamSchema& schema);
  static std::uint8_t flags_of(const EventBatch& batch);
  void put_head(const EventBatch& batch, std::uint8_t flags, std::string& out);
  void put_column(const EventBatch& batch, std::size_t index, std::string& out);
  void put_flags(const std::uint8_t* flags, std::size_t size, std::string& out);
  void put_entries(const Dictionary& dictionary, const Dictionary::Id* ids, std::size_t size,
                   std::string& out);
  void put_refused(const EventBatch& batch, std::string& out);

  std::vector<Known> known_;  ///< By stream id.
  IntegerEncoder integers_;
  FloatEncoder floats_;
  TextEncoder texts_;
  std::string letters_;
  // What a column's values are gathered in.
  PodVector<std::uint8_t> flags_;
  PodVector<double> floats_kept_;
  PodVector<std::int64_t> ints_;
  PodVector<Dictionary::Id> ids_;
  PodVector<std::string_view> strings_;
  PodVector<std::uint32_t> words_;
  PodVector<std::uint32_t> numbers_;    ///< By id: 1 + the entry's number in the batch; else 0.
  PodVector<Dictionary::Id> numbered_;  ///< The ids that have a number.
};

/// What can be said of a batch's bytes before decoding them.
struct BatchHead {
  std::uint32_t stream_id = 0;    ///< As the session's record has it.
  std::uint64_t fingerprint = 0;  ///< schema_fingerprint() of its schema.
  std::uint64_t rows = 0;
  std::uint32_t events = 0;
};
Result<BatchHead> read_batch_head(std::string_view bytes);
/// Where its events came from.
Result<BlockOrigin> read_batch_origin(std::string_view bytes);

/// Turns bytes into batches. One for each lane or reader, for its whole life; not thread-safe, but
/// the batches it has made may be used anywhere, for as long as they live. It owns a dictionary for
/// each text column of each stream, which grows over the batches like the one of a decoding lane,
/// so that ids stay the same from batch to batch; a column whose dictionary is full carries plain
/// strings from then on.
class BatchDecoder {
 public:
  /// As large as those of decode (decode/batch_writer.h), so that replay does what live ingest did.
  static constexpr std::size_t kDictionaryEntries = 1 << 12;
  /// No body of the sizes that are allowed has as many events.
  static constexpr std::size_t kRowsMax = std::size_t{1} << 24;

  /// `rows_max`: bytes that claim to hold more rows are damaged.
  explicit BatchDecoder(std::size_t rows_max = kRowsMax) : rows_max_(rows_max) {}
  BatchDecoder(const BatchDecoder&) = delete;
  BatchDecoder& operator=(const BatchDecoder&) = delete;

  /// Fills `out` (its former content is cleared). `schema` outlives it and this decoder. The stamp,
  /// the lane and `excluded` are left as clear() leaves them. Text is kept alive by the batch
  /// itself and by the dictionaries it holds. Errors: invalid (written under another schema),
  /// corrupt.
  Result<> decode(std::string_view bytes, const StreamSchema& schema, EventBatch& out);

 private:
  struct Stream {
    const StreamSchema* schema = nullptr;
    std::uint64_t fingerprint = 0;
    std::vector<std::shared_ptr<Dictionary>> dictionaries;  ///< Null: none (any more).
  };

  Stream& stream_of(const StreamSchema& schema, std::uint64_t fingerprint);
  bool get_content(ByteReader& in, std::uint8_t flags, Stream& stream, EventBatch& out);
  bool get_flags(ByteReader& in, std::size_t size, std::uint8_t* flags);
  bool get_column(ByteReader& in, std::shared_ptr<Dictionary>& dictionary, Column& column,
                  EventBatch& out);
  bool get_entries(ByteReader& in, std::size_t size, std::shared_ptr<Dictionary>& dictionary,
                   Column& column, EventBatch& out);
  bool get_raw(ByteReader& in, EventBatch& out);
  bool get_event_index(ByteReader& in, std::uint8_t flags, EventBatch& out);
  bool get_refused(ByteReader& in, EventBatch& out);

  std::size_t rows_max_;
  std::vector<Stream> streams_;  ///< By stream id.
  IntegerDecoder integers_;
  FloatDecoder floats_;
  TextDecoder texts_;
  TextArena letters_;
  // What a column's values are gathered in.
  PodVector<std::uint8_t> flags_;
  PodVector<double> doubles_;
  PodVector<std::int64_t> ints_;
  PodVector<Dictionary::Id> ids_;
  PodVector<std::string_view> strings_;
  PodVector<std::uint32_t> words_;
};

}  // namespace streamobs::wal
