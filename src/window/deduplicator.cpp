#include "window/deduplicator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/time_format.h"
#include "window/assigner.h"
#include "window/id_table.h"
#include "window/late_letter.h"

namespace streamobs::window {

namespace {

constexpr std::uint8_t kVersion = 1;
/// Ids are forgotten by this part of the horizon at a time.
constexpr Duration kSteps = 64;
/// Rows whose places in the table are fetched ahead.
constexpr std::size_t kBlockRows = 128;
/// Bytes of an id in a snapshot, at least.
constexpr std::size_t kMinIdBytes = 17;

IdHash hash_of(const void* bytes, std::size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size);
  return {hash.high64, hash.low64 == 0 ? 1 : hash.low64};
}

/// Text by its bytes, numbers by eight bytes little endian, booleans by one.
IdHash hash_at(const Column& column, const ColumnView& view, std::size_t row) {
  if (is_text(column.type.kind)) {
    const std::string_view text = view.string_at(row);
    return hash_of(text.data(), text.size());
  }
  std::uint64_t word = 0;
  if (column.type.kind == Kind::boolean) {
    const char byte = view.bool_at(row) ? 1 : 0;
    return hash_of(&byte, 1);
  }
  if (column.type.kind == Kind::floating) {
    word = std::bit_cast<std::uint64_t>(view.float_at(row) + 0.0);
  } else {
    word = static_cast<std::uint64_t>(view.int_at(row));
  }
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(word >> (8 * i));
  return hash_of(bytes, sizeof bytes);
}

}  // namespace

struct Deduplicator::Impl {
  Impl(const StreamSchema& schema_in, const DeduplicationOptions& options_in)
      : schema(schema_in),
        options(options_in),
        step(std::max<Duration>(options.horizon / kSteps, 1)),
        table(step) {
    if (options.field >= schema.fields.size() || options.horizon <= 0 || options.max_ids == 0) {
      throw std::invalid_argument("deduplication: no such field, or a bound that is not positive");
    }
  }

  const Field& field() const { return schema.fields[options.field]; }

  DeduplicationCounts process(EventBatch& batch, DeadLetters& too_old);
  enum class Verdict { fresh, repeat, too_old };
  Verdict judge(const IdHash& id, Timestamp t);
  /// Moves time on to `t`, where it is the newest.
  void advance(Timestamp t);
  void forget_oldest();
  DeadLetter dead_letter(const EventBatch& batch, std::size_t row) const;

  const StreamSchema& schema;
  DeduplicationOptions options;
  Duration step;
  IdTable table;
  Timestamp newest = kMinTimestamp;
  Timestamp next_step = kMinTimestamp;  ///< When the floor rises next.
};

void Deduplicator::Impl::advance(Timestamp t) {
  if (t <= newest) return;
  newest = t;
  if (t < next_step) return;
  Timestamp floor;
  if (__builtin_sub_overflow(newest, options.horizon, &floor)) return;
  const Duration past = floor % step < 0 ? floor % step + step : floor % step;
  if (__builtin_sub_overflow(floor, past, &floor)) return;
  table.raise_floor(floor);
  next_step = saturating_add(saturating_add(floor, options.horizon), step);
}

void Deduplicator::Impl::forget_oldest() {
  const std::size_t n =
      table.live() - options.max_ids + std::max<std::size_t>(options.max_ids / 8, 1);
  const Timestamp last = table.nth_time(std::min(n, table.live()) - 1);
  table.raise_floor(last == kMaxTimestamp ? last : last + 1);
}

Deduplicator::Impl::Verdict Deduplicator::Impl::judge(const IdHash& id, Timestamp t) {
  if (t < table.floor()) return Verdict::too_old;
  const IdTable::Place place = table.find(id);
  if (place.found) return Verdict::repeat;
  if (table.live() >= options.max_ids) {
    forget_oldest();
    // It may itself be among the oldest.
    if (t < table.floor()) return Verdict::too_old;
  }
  table.insert(place, id, t);
  return Verdict::fresh;
}

DeadLetter Deduplicator::Impl::dead_letter(const EventBatch& batch, std::size_t row) const {
  return late_letter(
      batch, row,
      fmt::format("too old to tell from a repeat: the event is of {}, and what came before {} is "
                  "known by its {} no more",
                  to_rfc3339(batch.time[row]), to_rfc3339(table.floor()), field().name));
}

DeduplicationCounts Deduplicator::Impl::process(EventBatch& batch, DeadLetters& too_old) {
  DeduplicationCounts counts;
  const Column& column = batch.columns.at(options.field);
  const ColumnView view = column.view();
  std::array<IdHash, kBlockRows> ids;
  const auto exclude = [&](std::size_t row) {
    if (batch.excluded.empty()) batch.excluded.resize(batch.rows, 0);
    batch.excluded[row] = 1;
  };
  for (std::size_t begin = 0; begin < batch.rows; begin += kBlockRows) {
    const std::size_t n = std::min(kBlockRows, batch.rows - begin);
    for (std::size_t i = 0; i < n; ++i) {
      if (view.is_null(begin + i)) continue;
      ids[i] = hash_at(column, view, begin + i);
      table.prefetch(ids[i]);
    }
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t row = begin + i;
      advance(batch.time[row]);
      if (view.is_null(row)) continue;
      const Verdict verdict = judge(ids[i], batch.time[row]);
      if (verdict == Verdict::fresh) continue;
      exclude(row);
      if (verdict == Verdict::repeat) {
        ++counts.duplicates;
        continue;
      }
      if (counts.too_old - counts.too_old_unsent < kMaxDeadLetters) {
        too_old.push_back(dead_letter(batch, row));
      } else {
        ++counts.too_old_unsent;
      }
      ++counts.too_old;
    }
  }
  return counts;
}

Deduplicator::Deduplicator(const StreamSchema& schema, const DeduplicationOptions& options)
    : impl_(std::make_unique<Impl>(schema, options)) {}

Deduplicator::~Deduplicator() = default;

DeduplicationCounts Deduplicator::process(EventBatch& batch, DeadLetters& too_old) {
  return impl_->process(batch, too_old);
}

std::size_t Deduplicator::ids() const {
  return impl_->table.live();
}

std::size_t Deduplicator::bytes() const {
  return impl_->table.bytes();
}

void Deduplicator::snapshot(std::string& out) const {
  const IdTable& table = impl_->table;
  const std::vector<IdTable::Entry> entries = table.sorted();
  out.reserve(out.size() + 64 + entries.size() * (kMinIdBytes + 5));
  put_u8(out, kVersion);
  put_text(out, impl_->schema.stream);
  put_text(out, impl_->field().name);
  put_u8(out, static_cast<std::uint8_t>(impl_->field().type.kind));
  put_u8(out, impl_->field().type.scale);
  put_signed(out, impl_->newest);
  put_signed(out, table.floor());
  put_varint(out, entries.size());
  for (const IdTable::Entry& entry : entries) {
    put_u64(out, entry.id.high);
    put_u64(out, entry.id.low);
    put_varint(out,
               static_cast<std::uint64_t>(entry.time) - static_cast<std::uint64_t>(table.floor()));
  }
}

Result<RestoredIds> Deduplicator::restore(std::string_view snapshot) {
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::corrupt,
                fmt::format("known ids of stream {}: {}", impl_->schema.stream, what));
  };
  ByteReader in(snapshot);
  const std::uint8_t version = in.u8();
  if (!in.ok()) return corrupt("empty");
  if (version != kVersion) return corrupt(fmt::format("version {} is not known", version));
  if (in.text() != impl_->schema.stream) return corrupt("they are of another stream");
  const std::string_view field = in.text();
  const DataType type{static_cast<Kind>(in.u8()), in.u8()};
  const Timestamp newest = in.signed_varint();
  const Timestamp floor = in.signed_varint();
  const std::uint64_t n = in.varint();
  // Where all that was known had to be forgotten, the floor is just behind the newest time.
  const bool apart = newest < floor && newest + 1 != floor;
  if (!in.ok() || apart || n > in.left() / kMinIdBytes) return corrupt("damaged");

  RestoredIds restored;
  if (field != impl_->field().name || type != impl_->field().type) {
    restored.altered = fmt::format("{} {}", field, to_text(type));
    return restored;
  }
  // Into a table of its own: a snapshot is taken over whole or not at all.
  Impl fresh(impl_->schema, impl_->options);
  fresh.table.raise_floor(floor);
  fresh.advance(newest);
  fresh.newest = newest;
  fresh.table.reserve(n);
  IdHash before;
  for (std::uint64_t i = 0; i < n; ++i) {
    const IdHash id{in.u64(), in.u64()};
    const std::uint64_t age = in.varint();
    const Timestamp time = static_cast<Timestamp>(static_cast<std::uint64_t>(floor) + age);
    if (!in.ok() || id.low == 0 || (i != 0 && id <= before) || time < floor || time > newest) {
      return corrupt(fmt::format("id {} is damaged", i));
    }
    before = id;
    if (time < fresh.table.floor()) continue;  // The horizon is shorter now.
    fresh.table.insert(fresh.table.find(id), id, time);
    ++restored.ids;
  }
  if (!in.at_end()) return corrupt("bytes left over");
  impl_->table = std::move(fresh.table);
  impl_->newest = fresh.newest;
  impl_->next_step = fresh.next_step;
  return restored;
}

}  // namespace streamobs::window
