// What has changed from one config to another, by sections: for the people who are told of a
// reload.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace streamobs::config {

struct SectionChange {
  enum class What { added, removed, changed };
  What what = What::changed;
  std::string section;  ///< "window"; of a key at the top, its name.
  std::string name;     ///< Of [section.name]; empty: there is one such section.
};

/// "added", "removed", "changed".
std::string to_text(SectionChange::What what);

/// In the order of the new config, what has gone behind it. The order of keys in a section and
/// comments count for nothing; what files and variables refer to counts as what it stood for.
std::vector<SectionChange> changes_between(const Config& before, const Config& after);

}  // namespace streamobs::config
