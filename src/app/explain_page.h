// What `--explain` is written on, and its parts that are files of their own. Private to
// app/explain*; pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/plan.h"

namespace streamobs::app {

/// Paragraphs with an indent, wrapped between words.
class Page {
 public:
  void heading(std::string_view text);
  /// Further lines of it stand two columns further in.
  void line(std::size_t depth, std::string_view text);
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// An expression on one line, however it stands in the file.
std::string on_one_line(std::string_view text);
std::vector<std::string> texts_of(const std::vector<SourceText>& list);

/// How events come in.
void explain_streams(const Plan& plan, Page& page);
/// What is joined; nothing where nothing is.
void explain_joins(const Plan& plan, Page& page);

}  // namespace streamobs::app
