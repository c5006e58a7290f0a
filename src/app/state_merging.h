// How the store's accumulators are merged: by what the config's windows make of them.
//
// One per engine, outlives the database. Stateless; any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "app/plan.h"
#include "store/rollup.h"

namespace streamobs::app {

/// A window of the plan as window/state.h asks for it.
struct WindowOfPlan {
  const PlannedWindow* window = nullptr;
  const window::StreamWindowsPlan* stream = nullptr;
  std::size_t index = 0;  ///< Among the windows of its stream.
};
std::optional<WindowOfPlan> find_window(const Plan& plan, std::string_view name);

class StateMerging final : public store::StateMerger {
 public:
  explicit StateMerging(const Plan& plan) : plan_(plan) {}
  Result<> merge(const WindowSchema& schema, WindowRow& into,
                 std::span<const WindowRow> rows) const override;

 private:
  const Plan& plan_;
};

}  // namespace streamobs::app
