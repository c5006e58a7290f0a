#include "app/config_arguments.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/standard_error.h"

namespace streamobs::app {

namespace {

bool error_colour() {
  return ::isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
}

std::optional<std::string> default_config() {
  std::vector<std::string> places;
  const char* const xdg = std::getenv("XDG_CONFIG_HOME");
  const char* const home = std::getenv("HOME");
  if (xdg != nullptr && *xdg != '\0') {
    places.push_back(std::string(xdg) + "/streamobs/obs.toml");
  } else if (home != nullptr) {
    places.push_back(std::string(home) + "/.config/streamobs/obs.toml");
  }
  places.push_back("/etc/streamobs/obs.toml");
  for (const std::string& place : places) {
    std::error_code ignored;
    if (std::filesystem::exists(place, ignored)) return place;
  }
  return std::nullopt;
}

}  // namespace

config::Reading read_config(const ConfigArguments& arguments, Diagnostics& diagnostics) {
  std::string file = arguments.file;
  if (file.empty()) {
    const std::optional<std::string> found = default_config();
    if (!found) {
      Diagnostic missing;
      missing.message = "no config given";
      missing.hint = "streamobs --config FILE; config/obs.toml is one to start from";
      diagnostics.push_back(std::move(missing));
      return {};
    }
    file = *found;
  }
  config::Reading reading = config::read_file(file, diagnostics);
  config::override_with(reading, arguments.data_dir, arguments.listen, diagnostics);
  return reading;
}

void print(const Diagnostics& diagnostics) {
  write_to_stderr(config::to_text(diagnostics, error_colour()));
}

std::optional<std::string> data_dir_of(const ConfigArguments& arguments) {
  if (!arguments.data_dir.empty()) return arguments.data_dir;
  if (arguments.file.empty()) return "./data";
  Diagnostics diagnostics;
  const config::Reading reading = read_config(arguments, diagnostics);
  print(diagnostics);
  if (!reading.complete) return std::nullopt;
  return reading.config->data_dir;
}

Result<ApiTarget> target_of(const ConfigArguments& arguments) {
  if (arguments.file.empty()) {
    return arguments.listen.empty() ? ApiTarget() : target_of_listen(arguments.listen);
  }
  Diagnostics diagnostics;
  const config::Reading reading = read_config(arguments, diagnostics);
  if (!reading.complete) return fail(ErrorCode::invalid, config::to_text(diagnostics, false));
  Result<ApiTarget> target = target_of_listen(reading.config->http.listen.text);
  if (target.has_value()) target->token = reading.config->http.token;
  return target;
}

std::optional<DoctorPlace> doctor_place_of(const ConfigArguments& arguments) {
  DoctorPlace place;
  place.data_dir = "./data";
  if (!arguments.file.empty()) {
    Diagnostics diagnostics;
    const std::shared_ptr<const Plan> plan =
        make_plan(read_config(arguments, diagnostics), diagnostics);
    print(diagnostics);
    if (plan == nullptr) return std::nullopt;
    place.config = plan->config.file;
    place.data_dir = plan->config.data_dir;
    place.health = plan->config.health;
  }
  if (!arguments.data_dir.empty()) place.data_dir = arguments.data_dir;
  place.target = target_of(arguments);
  return place;
}

std::shared_ptr<const Plan> plan_of(
    const ConfigArguments& arguments,
    const std::function<bool(config::Config&, Diagnostics&)>& prepare) {
  Diagnostics diagnostics;
  config::Reading reading = read_config(arguments, diagnostics);
  if (prepare && reading.config && !prepare(*reading.config, diagnostics)) {
    reading.complete = false;
  }
  std::shared_ptr<const Plan> plan = make_plan(std::move(reading), diagnostics);
  print(diagnostics);
  if (plan != nullptr) log::configure(plan->config.log_level, plan->config.log_format);
  return plan;
}

}  // namespace streamobs::app
