#include "loadgen/truth_file.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/json_writer.h"

namespace streamobs::loadgen {

Result<std::unique_ptr<TruthFile>> TruthFile::create(const std::string& path,
                                                     const std::string& scenario_name,
                                                     std::uint64_t seed) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return fail(ErrorCode::io,
                fmt::format("cannot write the truth file {}: {}", path, std::strerror(errno)));
  }
  std::unique_ptr<TruthFile> truth_file(new TruthFile(file, path));
  std::string head;
  JsonWriter json(head);
  json.begin_object().field("scenario", scenario_name).field("seed", seed);
  truth_file->write(head + ",\"windows\":[\n");
  return truth_file;
}

TruthFile::~TruthFile() {
  if (file_ != nullptr) std::fclose(file_);
}

void TruthFile::write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), file_);
}

void TruthFile::drain(Truth& truth) {
  if (!truth.has_rows()) return;
  write(held_);
  held_ = truth.take_rows();
}

Result<> TruthFile::finish(Scenario& scenario, const Report& report) {
  scenario.close_truth();
  drain(*scenario.truth());
  if (!held_.empty()) held_.erase(held_.size() - 2);  // The comma and newline after the last row.
  std::string tail = std::move(held_);
  tail += "\n],\"anomalies\":";
  JsonWriter anomalies(tail);
  scenario.truth()->write_anomalies(anomalies);
  tail += ",\"generated\":";
  JsonWriter counts(tail);
  counts.begin_object();
  for (std::size_t i = 0; i < report.generated.size(); ++i) {
    counts.field(scenario.streams()[i].name, report.generated[i]);
  }
  counts.end_object();
  tail += ",\"delivery\":";
  JsonWriter delivery(tail);
  delivery.begin_object().field("accepted", report.accepted).field("rejected", report.rejected);
  delivery.field("undelivered", report.undelivered).field("resent", report.resent).end_object();
  tail += "}\n";
  write(tail);
  const bool failed = std::ferror(file_) != 0;
  const bool close_failed = std::fclose(std::exchange(file_, nullptr)) != 0;
  if (failed || close_failed) {
    return fail(ErrorCode::io,
                fmt::format("cannot write the truth file {}: {}", path_, std::strerror(errno)));
  }
  return {};
}

}  // namespace streamobs::loadgen
