#include "app/state_merging.h"

#include <utility>

#include "window/state.h"

namespace streamobs::app {

std::optional<WindowOfPlan> find_window(const Plan& plan, std::string_view name) {
  for (const PlannedStream& stream : plan.streams) {
    for (std::size_t i = 0; i < stream.window_ids.size(); ++i) {
      const PlannedWindow& window = plan.windows[stream.window_ids[i]];
      if (window.schema->window == name) return WindowOfPlan{&window, stream.windows.get(), i};
    }
  }
  return std::nullopt;
}

Result<> StateMerging::merge(const WindowSchema& schema, WindowRow& into,
                             std::span<const WindowRow> rows) const {
  const std::optional<WindowOfPlan> found = find_window(plan_, schema.window);
  if (!found) return fail(ErrorCode::invalid, "there is no window " + schema.window);
  std::optional<window::WindowState> sum;
  const auto add = [&sum](const std::string& bytes) -> Result<> {
    Result<window::WindowState> state = window::WindowState::decode(bytes);
    // The row's fault, not the database's: another version may have written it.
    if (state.has_error()) return fail(ErrorCode::invalid, state.error().message);
    if (sum) return sum->merge(*state);
    sum = std::move(*state);
    return {};
  };
  if (!into.state.empty()) {
    if (const Result<> added = add(into.state); added.has_error()) return added;
  }
  for (const WindowRow& row : rows) {
    if (const Result<> added = add(row.state); added.has_error()) return added;
  }
  if (!sum) return {};
  Result<std::vector<Value>> metrics =
      sum->metrics(*found->stream, found->index, into.keys, into.start, into.end);
  if (metrics.has_error()) return metrics.error();
  into.metrics = std::move(*metrics);
  into.state = sum->encode();
  return {};
}

}  // namespace streamobs::app
