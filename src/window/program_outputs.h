// The shared program of a stream's windows while it is being put together: an expression that
// several of them use is computed once. Lives only while a config is compiled.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "expr/program.h"

namespace streamobs::window {

class ProgramOutputs {
 public:
  explicit ProgramOutputs(const expr::Scope& scope) : scope_(scope), builder_(scope) {}

  /// The output that computes `node`; nothing (and diagnostics) where it cannot be compiled.
  std::optional<int> add(const expr::NodePtr& node, const SourceText& source,
                         Diagnostics& diagnostics, std::optional<Kind> expected = std::nullopt) {
    const std::string sql = expr::to_sql(*node);
    if (const auto known = outputs_.find(sql); known != outputs_.end()) {
      const Kind kind = builder_.type(static_cast<std::size_t>(known->second)).kind;
      if (!expected || kind == *expected) return known->second;
    }
    const auto output = builder_.add(node, source, diagnostics, expected);
    if (!output) return std::nullopt;
    outputs_.emplace(sql, static_cast<int>(*output));
    return static_cast<int>(*output);
  }
  DataType type(int output) const { return builder_.type(static_cast<std::size_t>(output)); }
  const expr::Scope& scope() const { return scope_; }
  std::shared_ptr<const expr::Program> build() { return builder_.build(); }

 private:
  const expr::Scope& scope_;
  expr::ProgramBuilder builder_;
  std::map<std::string, int> outputs_;
};

}  // namespace streamobs::window
