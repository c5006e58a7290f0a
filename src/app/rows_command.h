// `streamobs rows`: a window's closed rows out of the data directories of several processes, added
// up. For processes that share their input (a consumer group), whose rows are partial.
#pragma once

#include <string>
#include <vector>

#include "app/plan.h"

namespace CLI {
class App;
}

namespace streamobs::app {

struct RowsOptions {
  std::string window;
  std::vector<std::string> data_dirs;
  std::string by;        ///< Keys that are kept, separated by commas; empty: all but `instance`.
  std::string step;      ///< Empty: windows as they are.
  std::string quantile;  ///< FIELD:P, separated by commas.
  std::string from;
  std::string to;
};

CLI::App* add_rows_command(CLI::App& app, RowsOptions& options);
/// Prints a row a line, as the API has them. Reads copies, so engines may run meanwhile. 0, or the
/// exit code of what went wrong (it has been said).
int print_added_rows(const Plan& plan, const RowsOptions& options);

}  // namespace streamobs::app
