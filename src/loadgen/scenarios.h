// The makers of the scenarios, one file each; scenario.cpp has the table of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "loadgen/scenario.h"

namespace streamobs::loadgen {

std::unique_ptr<Scenario> make_services(const ScenarioOptions& options);
std::unique_ptr<Scenario> make_transactions(const ScenarioOptions& options);
std::unique_ptr<Scenario> make_metrics(const ScenarioOptions& options);
std::unique_ptr<Scenario> make_logs(const ScenarioOptions& options);
std::unique_ptr<Scenario> make_llm(const ScenarioOptions& options);

/// The first names as given, then "PREFIX-00004" and so on.
std::vector<std::string> key_names(std::span<const std::string_view> names, std::string_view prefix,
                                   std::uint32_t count);

}  // namespace streamobs::loadgen
