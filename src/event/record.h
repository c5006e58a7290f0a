// What flows behind the windows: results, anomalies, incidents, dead letters, in one order.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "event/anomaly.h"
#include "event/dead_letter.h"
#include "event/window_result.h"

namespace streamobs {

using DeadLetters = std::vector<DeadLetter>;
using DeadLettersPtr = std::shared_ptr<const DeadLetters>;

/// Shared and read-only: one record goes to detection, the store and every live reader.
using Record = std::variant<WindowBatchPtr, AnomalyPtr, IncidentPtr, DeadLettersPtr>;

/// What an operator hands on, in order.
using Records = std::vector<Record>;

}  // namespace streamobs
