// The text of one config file, kept so that every complaint can show the line it is about.
//
// Lives as long as the parse. Immutable; any thread may read it. Lines and columns count from 1;
// columns count characters (code points), not bytes. Values of keys that look like secrets are
// blanked out in excerpts, so that a message can be pasted into a chat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/source_text.h"

namespace streamobs::config {

/// A stretch of one line. `length` is in characters; 0 means "somewhere on this line".
struct Span {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t length = 1;
  std::string file = {};  ///< Its name; empty: the file that was given, not one that it includes.
};

class SourceFile {
 public:
  SourceFile(std::string_view text, std::string name);

  const std::string& name() const { return name_; }
  std::uint32_t lines() const { return static_cast<std::uint32_t>(starts_.size()); }
  /// A line without its end; empty where there is no such line. With secrets.
  std::string_view line(std::uint32_t number) const { return line_of(text_, number); }
  /// True where the line has something that an excerpt blanks out.
  bool has_secret(std::uint32_t number) const { return line(number) != line_of(masked_, number); }
  /// The text from a place to the end of its line.
  std::string_view from(std::uint32_t line, std::uint32_t column) const;

  const std::string& text() const { return text_; }
  /// Of a span that says another file, the place in that one.
  SourcePlace place(const Span& span) const {
    return {span.file.empty() ? name_ : span.file, span.line, span.column};
  }
  /// The line and, below it, carets under the span. Long lines are cut around the caret.
  std::string excerpt(const Span& span) const;

 private:
  std::string_view line_of(const std::string& text, std::uint32_t number) const;

  std::string name_;
  std::string text_;
  std::string masked_;  ///< The same text, secrets replaced byte for byte by '*'.
  std::vector<std::size_t> starts_;
};

/// Adds diagnostics about one file and those that it includes, at most kDiagnosticsMax of them.
class Report {
 public:
  static constexpr std::size_t kDiagnosticsMax = 100;

  Report(const SourceFile& file, Diagnostics& diagnostics)
      : file_(file), diagnostics_(diagnostics) {}

  /// A further file, which outlives this: what is about it shows its lines.
  void add_file(const SourceFile& file) { included_.push_back(&file); }

  /// While it lives, errors count as those of one item, "window.NAME".
  class Within {
   public:
    Within(Report& report, std::string_view section, std::string_view name);
    ~Within() { report_.item_.clear(); }
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;

   private:
    Report& report_;
  };
  bool has_errors_in(std::string_view section, std::string_view name) const;

  void error(const Span& at, std::string message, std::string hint = {});
  void warning(const Span& at, std::string message, std::string hint = {});
  /// For lines that may hold a secret: the place, but not the line.
  void error_without_excerpt(const Span& at, std::string message, std::string hint = {});
  /// Says how many more there were than could be listed. The last call.
  void finish();
  const SourceFile& file() const { return file_; }
  bool has_errors() const { return errors_ > 0; }

 private:
  void add(Diagnostic::Severity severity, const Span& at, std::string message, std::string hint,
           bool with_excerpt);

  const SourceFile& file_;
  std::vector<const SourceFile*> included_;
  Diagnostics& diagnostics_;
  std::size_t errors_ = 0;
  std::size_t listed_ = 0;
  std::size_t unlisted_ = 0;
  std::string item_;                        ///< That errors are of now; empty: none.
  std::set<std::string, std::less<>> bad_;  ///< Items with errors.
};

}  // namespace streamobs::config
