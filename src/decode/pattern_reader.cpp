#include "decode/pattern_reader.h"

#include <algorithm>
#include <utility>

#include "event/dead_letter.h"

namespace streamobs::decode {

PatternReader::PatternReader(const std::vector<LinePattern>& patterns, const FieldIndex& index,
                             BatchWriter& writer, EventCollector& collector)
    : LineReader(index, writer, collector), parts_(LinePattern::kMaxParts) {
  for (const LinePattern& pattern : patterns) add(pattern, own_);
}

void PatternReader::add(LinePattern pattern, std::vector<Cutter>& cutters) const {
  Cutter cutter{std::move(pattern), {}};
  for (const std::string& name : cutter.pattern.names()) cutter.slots.push_back(slot_of(name));
  cutters.push_back(std::move(cutter));
}

void PatternReader::read(const char* p, const char* end, const std::string* earlier) {
  earlier_.clear();
  std::string_view rest = earlier != nullptr ? *earlier : std::string_view();
  while (!rest.empty()) {
    const std::size_t size = std::min(rest.find('\n'), rest.size());
    LinePattern::Fault not_told;  // Patterns that were good once.
    if (auto pattern = LinePattern::parse(rest.substr(0, size), not_told)) {
      add(std::move(*pattern), earlier_);
    }
    rest.remove_prefix(std::min(size + 1, rest.size()));
  }
  LineReader::read(p, end);
}

bool PatternReader::read_by(const std::vector<Cutter>& cutters, std::string_view line) {
  for (const Cutter& cutter : cutters) {
    if (!cutter.pattern.cut(line, parts_.data())) continue;
    for (std::size_t i = 0; i < cutter.slots.size(); ++i) set(cutter.slots[i], parts_[i]);
    return true;
  }
  return false;
}

bool PatternReader::read_parts(std::string_view line) {
  if (read_by(own_, line) || read_by(earlier_, line)) return true;
  return fault(reason::not_a_record, own_.size() > 1
                                         ? "the line fits none of the stream's patterns"
                                         : "the line does not fit the stream's pattern");
}

}  // namespace streamobs::decode
