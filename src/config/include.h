// include = ["base.toml"]: a config made of several files.
//
// What a file says itself goes over what it includes, and a later file of the list over an earlier
// one: tables are put together key by key, anything else is replaced. Paths begin in the folder of
// the file that names them.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "config/document.h"
#include "config/source_file.h"

namespace streamobs::config {

inline constexpr std::size_t kIncludeDepthMax = 8;
inline constexpr std::size_t kIncludedFilesMax = 64;

/// `root`, which is that of files.front(), with what it includes. Further files are added to
/// `files`, which the report refers to from then on. None after an error: what is missing would
/// only be missed everywhere.
std::optional<Value> with_includes(Value root, std::deque<SourceFile>& files, Report& report);

/// The whole of a file, but at most a byte more than kFileBytesMax. The error says why not, without
/// naming the file.
Result<std::string> read_text(const std::string& path);

}  // namespace streamobs::config
