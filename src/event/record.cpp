#include "event/record.h"

namespace streamobs {

std::size_t bytes_of(const OutboundEvents& events) {
  std::size_t bytes = events.events.size() * sizeof(OutboundEvents::Event);
  for (const OutboundEvents::Event& event : events.events) {
    bytes += event.value.size() + (event.key ? event.key->size() : 0);
  }
  return bytes;
}

std::uint64_t position_of(const Record& record) {
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) return (*window)->position;
  if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) return (*anomaly)->position;
  if (const auto* incident = std::get_if<IncidentPtr>(&record)) return (*incident)->position;
  if (const auto* cut = std::get_if<CutPtr>(&record)) return (*cut)->position;
  if (const auto* replayed = std::get_if<ReplayedLetterPtr>(&record)) return (*replayed)->position;
  if (const auto* events = std::get_if<OutboundEventsPtr>(&record)) return (*events)->position;
  const DeadLetters& letters = *std::get<DeadLettersPtr>(record);
  return letters.empty() ? 0 : letters.front().sequence;  // All of one batch.
}

}  // namespace streamobs
