#include "window/late_letter.h"

#include <utility>

#include "event/row_json.h"

namespace streamobs::window {

DeadLetter late_letter(const EventBatch& batch, std::size_t row, std::string detail) {
  DeadLetter letter;
  letter.reason = std::string(reason::late);
  letter.detail = std::move(detail);
  letter.stream = batch.schema->stream;
  letter.origin = batch.origin.name;
  letter.sequence = batch.stamp.sequence;
  letter.event_index =
      row < batch.event_index.size() ? batch.event_index[row] : static_cast<std::uint32_t>(row);
  letter.position = batch.schema->joined
                        ? letter.sequence
                        : position_of(batch.origin, letter.event_index, letter.event_index);
  letter.received_at = batch.origin.received_at;
  if (!batch.schema->joined) letter.format = Format::ndjson;
  letter.payload = row_to_json(batch, row);
  cut_payload(letter);
  return letter;
}

void cut_payload(DeadLetter& letter) {
  if (letter.payload.size() <= DeadLetter::kMaxPayload) return;
  std::size_t size = DeadLetter::kMaxPayload;
  // Not within a UTF-8 sequence.
  while ((static_cast<unsigned char>(letter.payload[size]) & 0xc0) == 0x80) --size;
  letter.payload.resize(size);
}

}  // namespace streamobs::window
