#include "config/changes.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "config/document.h"
#include "config/write_toml.h"

namespace streamobs::config {

namespace {

struct Section {
  std::string section;
  std::string name;
  std::string text;
};

bool is_table(const Entry& entry) {
  return entry.value.kind == Value::Kind::table;
}

/// Its keys in one order; further inside, the order may have a meaning (of columns, say).
std::string text_of(Value value) {
  std::sort(value.entries.begin(), value.entries.end(),
            [](const Entry& a, const Entry& b) { return a.key < b.key; });
  return write_toml_value(value);
}

std::vector<Section> sections_of(const Config& config) {
  // A text that has been read before, with nothing to include and nothing to put in.
  const SourceFile file(config.text, config.file);
  Diagnostics unseen;
  Report report(file, unseen);
  const std::optional<Value> root = parse_toml(file, config.text, report);
  std::vector<Section> sections;
  if (!root) return sections;
  for (const Entry& entry : root->entries) {
    const std::vector<Entry>& inner = entry.value.entries;
    const bool named =
        is_table(entry) && !inner.empty() && std::all_of(inner.begin(), inner.end(), is_table);
    if (!named) {
      sections.push_back({entry.key, "", text_of(entry.value)});
      continue;
    }
    for (const Entry& item : inner) {
      sections.push_back({entry.key, item.key, text_of(item.value)});
    }
  }
  return sections;
}

}  // namespace

std::string to_text(SectionChange::What what) {
  switch (what) {
    case SectionChange::What::added:
      return "added";
    case SectionChange::What::removed:
      return "removed";
    case SectionChange::What::changed:
      return "changed";
  }
  return "";
}

std::vector<SectionChange> changes_between(const Config& before, const Config& after) {
  using What = SectionChange::What;
  const std::vector<Section> old_sections = sections_of(before);
  std::map<std::pair<std::string, std::string>, std::string> gone;
  for (const Section& section : old_sections) {
    gone[{section.section, section.name}] = section.text;
  }
  std::vector<SectionChange> changes;
  for (const Section& section : sections_of(after)) {
    const auto old = gone.find({section.section, section.name});
    if (old == gone.end()) {
      changes.push_back({What::added, section.section, section.name});
      continue;
    }
    if (old->second != section.text) {
      changes.push_back({What::changed, section.section, section.name});
    }
    gone.erase(old);
  }
  for (const Section& section : old_sections) {
    if (!gone.contains({section.section, section.name})) continue;
    changes.push_back({What::removed, section.section, section.name});
  }
  return changes;
}

}  // namespace streamobs::config
