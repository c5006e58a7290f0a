#include "window/pending_rows.h"

#include <algorithm>

namespace streamobs::window {

namespace {

/// Of nodes, tables and the strings themselves.
constexpr std::size_t kRowOverhead = 320;

}  // namespace

std::size_t PendingRows::bytes_of(const PendingRow& row) {
  return kRowOverhead + 2 * row.key.size() + row.values.size();
}

void PendingRows::add(Place place, PendingRow row) {
  bytes_ += bytes_of(row);
  alone_ += row.matched ? 0 : 1;
  const auto known = by_key_.find(row.key);
  if (known != by_key_.end()) {
    known->second.push_back(place);
  } else {
    by_key_.emplace(row.key, std::vector<Place>{place});
  }
  rows_.emplace(place, std::move(row));
}

const std::vector<PendingRows::Place>& PendingRows::of_key(std::string_view key) const {
  static const std::vector<Place> none;
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? none : found->second;
}

void PendingRows::note_match(const Place& place) {
  PendingRow& row = rows_.at(place);
  alone_ -= row.matched ? 0 : 1;
  row.matched = true;
}

PendingRow PendingRows::take(const Place& place) {
  const auto found = rows_.find(place);
  PendingRow row = std::move(found->second);
  rows_.erase(found);
  alone_ -= row.matched ? 0 : 1;
  bytes_ -= bytes_of(row);
  const auto of_key = by_key_.find(row.key);
  std::vector<Place>& places = of_key->second;
  places.erase(std::find(places.begin(), places.end(), place));
  if (places.empty()) by_key_.erase(of_key);
  return row;
}

Timestamp PendingRows::oldest_from(Timestamp from) const {
  const auto first = rows_.lower_bound({from, 0});
  return first == rows_.end() ? kMaxTimestamp : first->first.first;
}

void PendingRows::snapshot(std::string& out) const {
  // By number: so places of a key come back in the order of arrival.
  std::vector<std::pair<const Place*, const PendingRow*>> rows;
  rows.reserve(rows_.size());
  for (const auto& [place, row] : rows_) rows.emplace_back(&place, &row);
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.first->second < b.first->second; });
  put_varint(out, rows.size());
  for (const auto& [place, row] : rows) {
    put_signed(out, place->first);
    put_varint(out, place->second);
    put_text(out, row->key);
    put_text(out, row->values);
    put_varint(out, row->source);
    put_signed(out, row->received_at);
    put_u8(out, row->matched ? 1 : 0);
  }
}

bool PendingRows::restore(ByteReader& in, std::size_t sources) {
  for (std::size_t n = in.count(); n != 0 && in.ok(); --n) {
    Place place;
    place.first = in.signed_varint();
    place.second = in.varint();
    PendingRow row;
    row.key = in.text();
    row.values = in.text();
    row.source = static_cast<std::uint32_t>(in.varint());
    row.received_at = in.signed_varint();
    row.matched = in.u8() != 0;
    if (!in.ok() || row.source >= sources || rows_.contains(place)) return false;
    add(place, std::move(row));
  }
  return in.ok();
}

}  // namespace streamobs::window
