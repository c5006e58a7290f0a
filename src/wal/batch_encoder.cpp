#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "wal/batch_codec.h"
#include "wal/batch_format.h"
#include "wal/bit_packing.h"
#include "wal/record.h"

namespace streamobs::wal {

using namespace batch_format;  // NOLINT: its names are this file's vocabulary.

std::uint64_t schema_fingerprint(const StreamSchema& schema) {
  std::string text;
  put_text(text, schema.time_field);
  for (const Field& field : schema.fields) {
    put_text(text, field.name);
    put_u8(text, static_cast<std::uint8_t>(field.type.kind));
    put_u8(text, field.type.scale);
  }
  return hash_bytes(text);
}

std::uint64_t BatchEncoder::fingerprint_of(const StreamSchema& schema) {
  if (known_.size() <= schema.stream_id) known_.resize(schema.stream_id + std::size_t{1});
  Known& known = known_[schema.stream_id];
  if (known.schema != &schema) known = {&schema, schema_fingerprint(schema)};
  return known.fingerprint;
}

void BatchEncoder::encode(const EventBatch& batch, EncodedBatch& encoded) {
  assert(batch.schema != nullptr && batch.time.size() == batch.rows);
  assert(batch.rows == 0 || batch.columns.size() == batch.schema->fields.size());
  assert(batch.raw.empty() || batch.raw.size() == batch.rows);
  std::string& out = encoded.bytes;
  out.clear();
  std::uint8_t flags = flags_of(batch);
  put_head(batch, flags, out);
  const Timestamp newest = integers_.put(out, batch.time.data(), batch.rows);
  if (batch.time_max != newest) {
    flags |= kHasTimeMax;
    out[kFlagsAt] = static_cast<char>(flags);
  }
  if (batch.rows != 0) {
    for (std::size_t i = 0; i < batch.columns.size(); ++i) put_column(batch, i, out);
  }
  if ((flags & kHasRaw) != 0) texts_.put(out, batch.raw.data(), batch.rows);
  if ((flags & kHasEventIndex) != 0) {
    ints_.resize(batch.rows);
    for (std::size_t i = 0; i < batch.rows; ++i) ints_[i] = batch.event_index[i];
    integers_.put(out, ints_.data(), batch.rows);
  }
  if ((flags & kHasTimeMax) != 0) put_signed(out, batch.time_max);
  if ((flags & kHasRefused) != 0) put_refused(batch, out);
  encoded.crc32c = crc32c(out);
}

std::uint8_t BatchEncoder::flags_of(const EventBatch& batch) {
  std::uint8_t flags = 0;
  std::uint32_t moved = 0;
  for (std::size_t i = 0; i < batch.event_index.size(); ++i) {
    moved |= batch.event_index[i] ^ static_cast<std::uint32_t>(i);
  }
  if (moved != 0) flags |= kHasEventIndex;
  if (batch.refused != 0 || !batch.dead_letters.empty() || !batch.refused_unkept.empty()) {
    flags |= kHasRefused;
  }
  if (!batch.raw.empty()) flags |= kHasRaw;
  if (batch.origin.resume != ResumePoint{}) flags |= kHasResume;
  if (!batch.origin.request_key.empty() || batch.origin.request_digest != 0) flags |= kHasRequest;
  if (!batch.origin.messages.empty()) flags |= kHasMessages;
  return flags;
}

void BatchEncoder::put_head(const EventBatch& batch, std::uint8_t flags, std::string& out) {
  put_u8(out, kVersion);
  put_u8(out, flags);
  put_varint(out, batch.schema->stream_id);
  put_u64(out, fingerprint_of(*batch.schema));
  put_varint(out, batch.rows);
  put_varint(out, batch.events);
  const BlockOrigin& origin = batch.origin;
  put_varint(out, origin.source_id);
  put_varint(out, origin.partition);
  put_varint(out, origin.number);
  put_varint(out, origin.offset);
  put_varint(out, origin.first_line);
  put_signed(out, origin.received_at);
  put_text(out, origin.name);
  if ((flags & kHasResume) != 0) put_place(out, origin.resume);
  if ((flags & kHasRequest) != 0) {
    put_text(out, origin.request_key);
    put_u64(out, origin.request_digest);
  }
  if ((flags & kHasMessages) != 0) {
    put_varint(out, origin.messages.size());
    for (const MessageRun& run : origin.messages) {
      put_varint(out, run.first_event);
      put_varint(out, run.offset);
      put_u8(out, run.one_message ? 1 : 0);
    }
  }
}

namespace {

/// The values of `from` that stand beside no null; `from` itself where there is none.
template <class T>
const T* without_nulls(const Column& column, const PodVector<T>& from, std::size_t rows,
                       PodVector<T>& kept) {
  if (!column.has_nulls) return from.data();
  kept.resize(rows);
  std::size_t size = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    kept[size] = from[i];
    size += column.nulls[i] == 0 ? 1 : 0;
  }
  return kept.data();
}

}  // namespace

void BatchEncoder::put_flags(const std::uint8_t* flags, std::size_t size, std::string& out) {
  words_.resize(size);
  for (std::size_t i = 0; i < size; ++i) words_[i] = flags[i] != 0 ? 1 : 0;
  put_packed(out, words_.data(), size);
}

void BatchEncoder::put_column(const EventBatch& batch, std::size_t index, std::string& out) {
  const Column& column = batch.columns[index];
  std::size_t size = batch.rows;
  std::uint8_t form = kNoNulls;
  if (column.has_nulls) {
    for (std::size_t i = 0; i < batch.rows; ++i) size -= column.nulls[i] != 0 ? 1 : 0;
    form = size == 0 ? kAllNull : size != batch.rows ? kSomeNulls : kNoNulls;
  }
  const Kind kind = batch.schema->fields[index].type.kind;
  if (size != 0 && is_text(kind) && column.dictionary) form |= kByEntry;
  if (form == kNoNulls && kind == Kind::timestamp &&
      std::memcmp(column.ints.data(), batch.time.data(), size * sizeof(Timestamp)) == 0) {
    put_u8(out, kIsTime);
    return;
  }
  put_u8(out, form);
  if ((form & kNullsMask) == kSomeNulls) put_flags(column.nulls.data(), batch.rows, out);
  if (size == 0) return;

  if (kind == Kind::boolean) {
    put_flags(without_nulls(column, column.bools, batch.rows, flags_), size, out);
  } else if (kind == Kind::floating) {
    floats_.put(out, without_nulls(column, column.floats, batch.rows, floats_kept_), size);
  } else if (!is_text(kind)) {
    integers_.put(out, without_nulls(column, column.ints, batch.rows, ints_), size);
  } else if (column.dictionary) {
    put_entries(*column.dictionary, without_nulls(column, column.ids, batch.rows, ids_), size, out);
  } else {
    texts_.put(out, without_nulls(column, column.strings, batch.rows, strings_), size);
  }
}

/// The entries that occur, in the order of their first use, and which of them each row has.
void BatchEncoder::put_entries(const Dictionary& dictionary, const Dictionary::Id* ids,
                               std::size_t size, std::string& out) {
  // Sized for any dictionary: how large this one is by now may be read only by the lane it is of.
  if (numbers_.empty()) numbers_.resize(Dictionary::kMaxEntries, 0);
  numbered_.clear();
  words_.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    std::uint32_t& number = numbers_[ids[i]];
    if (number == 0) [[unlikely]] {
      numbered_.push_back(ids[i]);
      number = static_cast<std::uint32_t>(numbered_.size());
    }
    words_[i] = number - 1;
  }
  strings_.clear();
  for (const Dictionary::Id id : numbered_) {
    strings_.push_back(dictionary[id]);
    numbers_[id] = 0;
  }
  put_varint(out, numbered_.size());
  texts_.put(out, strings_.data(), strings_.size());
  if (numbered_.size() > 1) put_packed(out, words_.data(), size);
}

namespace {

bool same_text(const std::shared_ptr<const std::string>& a,
               const std::shared_ptr<const std::string>& b) {
  return a == b || (a != nullptr && b != nullptr && *a == *b);
}

void put_form(const DeadLetter& letter, std::string& out) {
  put_u8(out, letter.format ? static_cast<std::uint8_t>(*letter.format) + 1 : kNoFormat);
  put_text(out, letter.header != nullptr ? std::string_view(*letter.header) : std::string_view());
}

}  // namespace

void BatchEncoder::put_refused(const EventBatch& batch, std::string& out) {
  letters_.clear();
  put_varint(letters_, batch.refused);
  put_varint(letters_, batch.refused_unkept.size());
  for (const auto& [reason, count] : batch.refused_unkept) {
    put_text(letters_, reason);
    put_varint(letters_, count);
  }
  put_varint(letters_, batch.dead_letters.size());
  DeadLetter first;
  first.stream = batch.schema->stream;
  first.origin = batch.origin.name;
  first.received_at = batch.origin.received_at;
  const DeadLetter* before = &first;
  for (const DeadLetter& letter : batch.dead_letters) {
    std::uint8_t same = 0;
    if (letter.reason == before->reason) same |= kSameReason;
    if (letter.detail == before->detail) same |= kSameDetail;
    if (letter.stream == before->stream) same |= kSameStream;
    if (letter.source == before->source) same |= kSameSource;
    if (letter.origin == before->origin) same |= kSameOrigin;
    if (letter.window == before->window) same |= kSameWindow;
    if (letter.received_at == before->received_at) same |= kSameReceivedAt;
    const bool same_form =
        letter.format == before->format && same_text(letter.header, before->header);
    if (!same_form) same |= kNewForm;
    put_u8(letters_, same);
    if ((same & kSameReason) == 0) put_text(letters_, letter.reason);
    if ((same & kSameDetail) == 0) put_text(letters_, letter.detail);
    if ((same & kSameStream) == 0) put_text(letters_, letter.stream);
    if ((same & kSameSource) == 0) put_text(letters_, letter.source);
    if ((same & kSameOrigin) == 0) put_text(letters_, letter.origin);
    if ((same & kSameWindow) == 0) put_text(letters_, letter.window);
    if ((same & kSameReceivedAt) == 0) put_signed(letters_, letter.received_at);
    if (!same_form) put_form(letter, letters_);
    put_varint(letters_, letter.position);
    put_varint(letters_, letter.event_index);
    put_text(letters_, letter.payload);
    before = &letter;
  }
  texts_.put_long(out, letters_);
}

}  // namespace streamobs::wal
