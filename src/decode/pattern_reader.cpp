#include "decode/pattern_reader.h"

#include "event/dead_letter.h"

namespace streamobs::decode {

PatternReader::PatternReader(const std::vector<LinePattern>& patterns, const FieldIndex& index,
                             BatchWriter& writer, EventCollector& collector)
    : LineReader(index, writer, collector), patterns_(patterns), parts_(LinePattern::kMaxParts) {
  for (const LinePattern& pattern : patterns) {
    std::vector<std::uint32_t>& slots = slots_.emplace_back();
    for (const std::string& name : pattern.names()) slots.push_back(slot_of(name));
  }
}

bool PatternReader::read_parts(std::string_view line) {
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (!patterns_[i].cut(line, parts_.data())) continue;
    for (std::size_t part = 0; part < slots_[i].size(); ++part) set(slots_[i][part], parts_[part]);
    return true;
  }
  return fault(reason::not_a_record, patterns_.size() > 1
                                         ? "the line fits none of the stream's patterns"
                                         : "the line does not fit the stream's pattern");
}

}  // namespace streamobs::decode
