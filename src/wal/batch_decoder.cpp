#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/bytes.h"
#include "wal/batch_codec.h"
#include "wal/batch_format.h"
#include "wal/bit_packing.h"
#include "wal/record.h"

namespace streamobs::wal {

using namespace batch_format;  // NOLINT: its names are this file's vocabulary.

namespace {

Error damaged(const char* what) {
  return fail(ErrorCode::corrupt, fmt::format("the record of a batch is damaged: {}", what));
}

bool read_u32(ByteReader& in, std::uint32_t& to) {
  const std::uint64_t v = in.varint();
  to = static_cast<std::uint32_t>(v);
  return v == to;
}

/// Version, flags and what read_batch_head() gives.
bool get_start(ByteReader& in, std::uint8_t& flags, BatchHead& head) {
  if (in.u8() != kVersion) return false;
  flags = in.u8();
  if ((flags & ~kKnownFlags) != 0 || !read_u32(in, head.stream_id)) return false;
  head.fingerprint = in.u64();
  head.rows = in.varint();
  return read_u32(in, head.events) && in.ok() && head.rows <= head.events;
}

bool get_messages(ByteReader& in, BlockOrigin& origin) {
  origin.messages.resize(in.count());
  for (MessageRun& run : origin.messages) {
    if (!read_u32(in, run.first_event)) return false;
    run.offset = in.varint();
    const std::uint8_t one_message = in.u8();
    if (one_message > 1) return false;
    run.one_message = one_message == 1;
  }
  return !origin.messages.empty() && std::is_sorted(origin.messages.begin(), origin.messages.end(),
                                                    [](const MessageRun& a, const MessageRun& b) {
                                                      return a.first_event < b.first_event;
                                                    });
}

bool get_origin(ByteReader& in, std::uint8_t flags, BlockOrigin& origin) {
  if (!read_u32(in, origin.source_id) || !read_u32(in, origin.partition)) return false;
  origin.number = in.varint();
  origin.offset = in.varint();
  origin.first_line = in.varint();
  origin.received_at = in.signed_varint();
  origin.name = in.text();
  if ((flags & kHasResume) != 0) origin.resume = read_place(in);
  if ((flags & kHasRequest) != 0) {
    origin.request_key = in.text();
    origin.request_digest = in.u64();
  }
  return ((flags & kHasMessages) == 0 || get_messages(in, origin)) && in.ok();
}

/// Moves the values in `kept` to the rows that are not null; the others get `nothing`.
template <class T>
void spread(const Column& column, std::size_t rows, const PodVector<T>& kept, T nothing, T* to) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    to[i] = column.nulls[i] != 0 ? nothing : kept[next++];
  }
}

}  // namespace

Result<BatchHead> read_batch_head(std::string_view bytes) {
  ByteReader in(bytes);
  std::uint8_t flags = 0;
  BatchHead head;
  if (!get_start(in, flags, head)) return damaged("its head makes no sense");
  return head;
}

Result<BlockOrigin> read_batch_origin(std::string_view bytes) {
  ByteReader in(bytes);
  std::uint8_t flags = 0;
  BatchHead head;
  BlockOrigin origin;
  if (!get_start(in, flags, head) || !get_origin(in, flags, origin)) {
    return damaged("its head makes no sense");
  }
  return origin;
}

BatchDecoder::Stream& BatchDecoder::stream_of(const StreamSchema& schema,
                                              std::uint64_t fingerprint) {
  if (streams_.size() <= schema.stream_id) streams_.resize(schema.stream_id + std::size_t{1});
  Stream& stream = streams_[schema.stream_id];
  if (stream.schema == &schema && stream.fingerprint == fingerprint) return stream;
  const std::uint64_t actual = schema_fingerprint(schema);
  if (stream.schema != nullptr && stream.fingerprint == actual) return stream;
  stream.schema = &schema;
  stream.fingerprint = actual;
  stream.dictionaries.clear();
  for (const Field& field : schema.fields) {
    const bool text = is_text(field.type.kind);
    stream.dictionaries.push_back(text ? std::make_shared<Dictionary>(kDictionaryEntries)
                                       : nullptr);
    // A null has id 0: let it be the empty string.
    if (text) stream.dictionaries.back()->intern("");
  }
  return stream;
}

Result<> BatchDecoder::decode(std::string_view bytes, const StreamSchema& schema, EventBatch& out) {
  out.clear();
  ByteReader in(bytes);
  std::uint8_t flags = 0;
  BatchHead head;
  if (!get_start(in, flags, head)) return damaged("its head makes no sense");
  if (head.rows > rows_max_) return damaged("it claims to hold too many rows");
  Stream& stream = stream_of(schema, head.fingerprint);
  if (stream.fingerprint != head.fingerprint) {
    return fail(ErrorCode::invalid,
                fmt::format("a batch of stream \"{}\" was logged with other fields than the config "
                            "gives it now; it has to be read under the config of its time",
                            schema.stream));
  }
  out.schema = &schema;
  out.rows = static_cast<std::size_t>(head.rows);
  out.events = head.events;
  if (!get_content(in, flags, stream, out)) {
    out.clear();
    return damaged("its content does not fit its head");
  }
  return {};
}

bool BatchDecoder::get_content(ByteReader& in, std::uint8_t flags, Stream& stream,
                               EventBatch& out) {
  if (!get_origin(in, flags, out.origin)) return false;
  out.time.resize(out.rows);
  if (!integers_.get(in, out.rows, out.time.data())) return false;
  for (const Timestamp t : out.time) out.time_max = std::max(out.time_max, t);

  const std::vector<Field>& fields = out.schema->fields;
  out.columns.resize(fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    out.columns[i].type = fields[i].type;
    if (out.rows == 0) {
      out.columns[i].dictionary = stream.dictionaries[i];
    } else if (!get_column(in, stream.dictionaries[i], out.columns[i], out)) {
      return false;
    }
  }
  if ((flags & kHasRaw) != 0 && !get_raw(in, out)) return false;
  if (!get_event_index(in, flags, out)) return false;
  if ((flags & kHasTimeMax) != 0) out.time_max = in.signed_varint();
  if ((flags & kHasRefused) != 0 && !get_refused(in, out)) return false;
  return in.ok() && in.at_end();
}

bool BatchDecoder::get_flags(ByteReader& in, std::size_t size, std::uint8_t* flags) {
  words_.resize(size);
  if (!get_packed(in, size, words_.data())) return false;
  std::uint32_t all = 0;
  for (std::size_t i = 0; i < size; ++i) {
    all |= words_[i];
    flags[i] = static_cast<std::uint8_t>(words_[i]);
  }
  return all <= 1;
}

bool BatchDecoder::get_column(ByteReader& in, std::shared_ptr<Dictionary>& dictionary,
                              Column& column, EventBatch& out) {
  const std::uint8_t form = in.u8();
  const std::uint8_t nulls = form & kNullsMask;
  const std::size_t rows = out.rows;
  if (!in.ok() || (form & ~kKnownForms) != 0 || nulls > kAllNull) return false;
  const Kind kind = column.type.kind;
  if ((form & kIsTime) != 0 && kind == Kind::timestamp) {
    column.ints.assign(out.time.data(), rows);
    return nulls == kNoNulls;
  }
  if ((form & kByEntry) != 0 && !is_text(kind)) return false;

  std::size_t size = rows;
  if (nulls != kNoNulls) {
    column.has_nulls = true;
    column.nulls.resize(rows);
    if (nulls == kAllNull) {
      std::memset(column.nulls.data(), 1, rows);
    } else if (!get_flags(in, rows, column.nulls.data())) {
      return false;
    }
    for (std::size_t i = 0; i < rows; ++i) size -= column.nulls[i];
  }

  if (kind == Kind::boolean) {
    column.bools.resize(rows);
    flags_.resize(size);
    std::uint8_t* const to = column.has_nulls ? flags_.data() : column.bools.data();
    if (!get_flags(in, size, to)) return false;
    if (column.has_nulls) spread<std::uint8_t>(column, rows, flags_, 0, column.bools.data());
  } else if (kind == Kind::floating) {
    column.floats.resize(rows);
    doubles_.resize(size);
    double* const to = column.has_nulls ? doubles_.data() : column.floats.data();
    if (!floats_.get(in, size, to)) return false;
    if (column.has_nulls) spread<double>(column, rows, doubles_, 0, column.floats.data());
  } else if (!is_text(kind)) {
    column.ints.resize(rows);
    ints_.resize(size);
    std::int64_t* const to = column.has_nulls ? ints_.data() : column.ints.data();
    if (!integers_.get(in, size, to)) return false;
    if (column.has_nulls) spread<std::int64_t>(column, rows, ints_, 0, column.ints.data());
  } else if ((form & kByEntry) != 0) {
    return get_entries(in, size, dictionary, column, out);
  } else {
    column.strings.resize(rows);
    strings_.resize(size);
    std::string_view* const to = column.has_nulls ? strings_.data() : column.strings.data();
    if (!texts_.get(in, size, out.text, to)) return false;
    if (column.has_nulls)
      spread<std::string_view>(column, rows, strings_, {}, column.strings.data());
  }
  return in.ok();
}

bool BatchDecoder::get_entries(ByteReader& in, std::size_t size,
                               std::shared_ptr<Dictionary>& dictionary, Column& column,
                               EventBatch& out) {
  const std::size_t count = in.count();
  if (!in.ok() || count == 0 || count > size) return false;
  strings_.resize(count);
  if (!texts_.get(in, count, out.text, strings_.data())) return false;
  words_.resize(size);
  if (count == 1) {
    std::fill_n(words_.data(), size, 0);
  } else {
    if (!get_packed(in, size, words_.data())) return false;
    std::uint32_t most = 0;
    for (std::size_t i = 0; i < size; ++i) most = std::max(most, words_[i]);
    if (most >= count) return false;
  }

  ids_.resize(count);
  for (std::size_t i = 0; i < count && dictionary; ++i) {
    ids_[i] = dictionary->intern(strings_[i]);
    if (ids_[i] == Dictionary::kNone) dictionary.reset();
  }
  if (dictionary) {
    column.dictionary = dictionary;
    column.ids.resize(out.rows);
    for (std::size_t i = 0; i < size; ++i) words_[i] = ids_[words_[i]];
    if (column.has_nulls) {
      spread<Dictionary::Id>(column, out.rows, words_, 0, column.ids.data());
    } else {
      column.ids.assign(words_.data(), size);
    }
    return true;
  }
  column.strings.resize(out.rows);
  std::size_t next = 0;
  for (std::size_t row = 0; row < out.rows; ++row) {
    const bool null = column.has_nulls && column.nulls[row] != 0;
    column.strings[row] = null ? std::string_view() : strings_[words_[next++]];
  }
  return true;
}

bool BatchDecoder::get_raw(ByteReader& in, EventBatch& out) {
  if (out.rows == 0) return false;
  out.raw.resize(out.rows);
  return texts_.get(in, out.rows, out.text, out.raw.data());
}

bool BatchDecoder::get_event_index(ByteReader& in, std::uint8_t flags, EventBatch& out) {
  out.event_index.resize(out.rows);
  if ((flags & kHasEventIndex) == 0) {
    for (std::size_t i = 0; i < out.rows; ++i) out.event_index[i] = static_cast<std::uint32_t>(i);
    return true;
  }
  ints_.resize(out.rows);
  if (!integers_.get(in, out.rows, ints_.data())) return false;
  for (std::size_t i = 0; i < out.rows; ++i) {
    if (ints_[i] < 0 || ints_[i] >= std::int64_t{out.events}) return false;
    out.event_index[i] = static_cast<std::uint32_t>(ints_[i]);
  }
  return true;
}

namespace {

bool get_form(ByteReader& in, DeadLetter& letter) {
  const std::uint8_t format = in.u8();
  const std::string_view header = in.text();
  if (format > static_cast<std::uint8_t>(kLastFormat) + 1) return false;
  letter.format.reset();
  if (format != kNoFormat) letter.format = static_cast<Format>(format - 1);
  letter.header = header.empty() ? nullptr : std::make_shared<const std::string>(header);
  return in.ok();
}

}  // namespace

bool BatchDecoder::get_refused(ByteReader& outer, EventBatch& out) {
  std::string_view bytes;
  letters_.clear();
  if (!texts_.get_long(outer, letters_, bytes)) return false;
  ByteReader in(bytes);
  out.refused = in.varint();
  for (std::size_t n = in.count(); n > 0; --n) {
    std::string reason(in.text());
    out.refused_unkept[std::move(reason)] = in.varint();
  }
  const std::size_t count = in.count();
  if (!in.ok() || count > EventBatch::kMaxDeadLetters) return false;
  out.dead_letters.resize(count);
  DeadLetter first;
  first.stream = out.schema->stream;
  first.origin = out.origin.name;
  first.received_at = out.origin.received_at;
  const DeadLetter* before = &first;
  for (DeadLetter& letter : out.dead_letters) {
    const std::uint8_t same = in.u8();
    if (!in.ok()) return false;
    const auto text = [&](std::uint8_t bit, const std::string& last, std::string& to) {
      to = (same & bit) != 0 ? std::string_view(last) : in.text();
    };
    text(kSameReason, before->reason, letter.reason);
    text(kSameDetail, before->detail, letter.detail);
    text(kSameStream, before->stream, letter.stream);
    text(kSameSource, before->source, letter.source);
    text(kSameOrigin, before->origin, letter.origin);
    text(kSameWindow, before->window, letter.window);
    letter.received_at = (same & kSameReceivedAt) != 0 ? before->received_at : in.signed_varint();
    letter.format = before->format;
    letter.header = before->header;
    if ((same & kNewForm) != 0 && !get_form(in, letter)) return false;
    letter.position = in.varint();
    if (!read_u32(in, letter.event_index)) return false;
    letter.payload = in.text();
    before = &letter;
  }
  return in.ok() && in.at_end();
}

}  // namespace streamobs::wal
