#include "kafka/commit_marks.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace streamobs::kafka {

namespace {

constexpr std::string_view kPrefix = "streamobs1";
/// " ", a log id in 16 digits, ":" and a position in up to 16.
static_assert(kPrefix.size() + CommitMarks::kMarksMax * (1 + 16 + 1 + 16) <= 4096);

bool read_hex(std::string_view text, std::uint64_t& out) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out, 16);
  return error == std::errc() && at == end;
}

}  // namespace

CommitMarks CommitMarks::parse(std::string_view metadata) {
  CommitMarks marks;
  if (!metadata.starts_with(kPrefix)) return marks;
  metadata.remove_prefix(kPrefix.size());
  while (!metadata.empty() && marks.size() < kMarksMax) {
    if (metadata.front() != ' ') return {};
    metadata.remove_prefix(1);
    const std::string_view word = metadata.substr(0, metadata.find(' '));
    const std::size_t colon = word.find(':');
    Mark mark;
    if (colon == std::string_view::npos || !read_hex(word.substr(0, colon), mark.log_id) ||
        !read_hex(word.substr(colon + 1), mark.position)) {
      return {};
    }
    if (marks.of(mark.log_id) == 0) marks.marks_.push_back(mark);
    metadata.remove_prefix(word.size());
  }
  return marks;
}

std::string CommitMarks::text() const {
  std::string out(kPrefix);
  for (const Mark& mark : marks_) out += fmt::format(" {:016x}:{:x}", mark.log_id, mark.position);
  return out;
}

std::uint64_t CommitMarks::of(std::uint64_t log_id) const {
  const auto found = std::find_if(marks_.begin(), marks_.end(),
                                  [&](const Mark& mark) { return mark.log_id == log_id; });
  return found == marks_.end() ? 0 : found->position;
}

void CommitMarks::forget(std::uint64_t log_id) {
  std::erase_if(marks_, [&](const Mark& mark) { return mark.log_id == log_id; });
}

void CommitMarks::set(std::uint64_t log_id, std::uint64_t position) {
  forget(log_id);
  marks_.insert(marks_.begin(), Mark{log_id, position});
  if (marks_.size() > kMarksMax) marks_.pop_back();
}

}  // namespace streamobs::kafka
