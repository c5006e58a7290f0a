#include "store/dead_letter_box.h"

#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "store/dead_letter_table.h"
#include "store/migrations.h"

namespace streamobs::store {

namespace {

constexpr Duration kBusyTimeout = 5 * kSecond;

}  // namespace

Result<DeadLetterBox> DeadLetterBox::open(const std::string& data_dir) {
  const std::string path = data_dir + "/streamobs.db";
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(ErrorCode::not_found,
                fmt::format("there is no database {}: --data-dir or --config say where the data of "
                            "the engine is",
                            path));
  }
  Result<Connection> connection = Connection::open(path, Connection::Mode::read_only, kBusyTimeout);
  if (connection.has_error()) return connection.error();
  const Result<std::int64_t> version = check_version(*connection);
  if (version.has_error()) return version.error();
  if (*version != newest_version()) {
    return fail(ErrorCode::invalid,
                fmt::format("the database {} is of an older streamobs; start the engine of this "
                            "version on it once, which brings it up to date",
                            path));
  }
  return DeadLetterBox(std::move(*connection));
}

Result<std::vector<StoredDeadLetter>> DeadLetterBox::read(const DeadLetterQuery& query) const {
  return read_dead_letters(connection_, query);
}

Result<std::vector<DeadLetterCount>> DeadLetterBox::counts() const {
  return read_dead_letter_counts(connection_);
}

}  // namespace streamobs::store
