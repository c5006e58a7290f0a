#include "wal/request_keys.h"

#include <utility>

#include "base/bytes.h"
#include "event/schema.h"

namespace streamobs::wal {

namespace {

constexpr std::uint8_t kSnapshotVersion = 1;
/// Of an entry's place in the table and the queue, about.
constexpr std::size_t kEntryBytes = 200;

std::size_t bytes_of(const std::string& name, const RequestKeys::Known& known) {
  return kEntryBytes + 2 * name.size() + known.answer.size();
}

}  // namespace

std::string RequestKeys::name_of(std::string_view stream, std::string_view key) {
  std::string name;
  put_text(name, stream);
  name += key;
  return name;
}

const RequestKeys::Known* RequestKeys::find(std::string_view stream, std::string_view key) const {
  const auto found = known_.find(name_of(stream, key));
  return found == known_.end() ? nullptr : &found->second;
}

void RequestKeys::remember(const EventBatch& batch, std::string answer) {
  forget_old(batch.origin.received_at);
  Known known;
  known.digest = batch.origin.request_digest;
  known.position = batch.stamp.sequence;
  known.answer = std::move(answer);
  add(name_of(batch.schema->stream, batch.origin.request_key), batch.origin.received_at,
      std::move(known));
  while (bytes_ > kBytesMax) forget_oldest();
}

void RequestKeys::add(std::string name, Timestamp received_at, Known known) {
  const std::size_t bytes = bytes_of(name, known);
  const auto [place, added] = known_.emplace(name, std::move(known));
  if (!added) return;
  bytes_ += bytes;
  ages_.push_back({received_at, std::move(name)});
}

void RequestKeys::forget_old(Timestamp now) {
  while (!ages_.empty() && ages_.front().received_at < now - kRemembered) forget_oldest();
}

void RequestKeys::forget_oldest() {
  const auto found = known_.find(ages_.front().name);
  bytes_ -= bytes_of(found->first, found->second);
  known_.erase(found);
  ages_.pop_front();
}

void RequestKeys::snapshot(std::string& out) const {
  put_u8(out, kSnapshotVersion);
  put_varint(out, ages_.size());
  for (const Age& age : ages_) {
    const Known& known = known_.at(age.name);
    put_text(out, age.name);
    put_signed(out, age.received_at);
    put_u64(out, known.digest);
    put_varint(out, known.position);
    put_text(out, known.answer);
  }
}

Result<> RequestKeys::restore(std::string_view bytes) {
  ByteReader in(bytes);
  RequestKeys read;
  const bool version = in.u8() == kSnapshotVersion;
  for (std::size_t n = in.count(); version && n != 0 && in.ok(); --n) {
    std::string name(in.text());
    const Timestamp received_at = in.signed_varint();
    Known known;
    known.digest = in.u64();
    known.position = in.varint();
    known.answer = in.text();
    read.add(std::move(name), received_at, std::move(known));
  }
  if (!version || !in.ok() || !in.at_end()) {
    return fail(ErrorCode::corrupt, "the request keys in the checkpoint are damaged");
  }
  *this = std::move(read);
  return {};
}

}  // namespace streamobs::wal
