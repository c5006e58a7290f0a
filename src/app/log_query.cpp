#include "app/log_query.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/past_log.h"
#include "app/topology.h"
#include "base/posix_file_system.h"
#include "event/row_json.h"
#include "expr/program.h"

namespace streamobs::app {

namespace {

/// Which rows of a batch are wanted: `where`, compiled for one session's stream.
class RowFilter {
 public:
  static Result<RowFilter> compile(const std::string& where, const decode::StreamPlan& stream) {
    RowFilter filter;
    if (where.empty()) return filter;
    Diagnostics diagnostics;
    SourcePlace place;
    place.file = "--where";
    const SourceText source(where, place);
    const expr::NodePtr node = expr::parse(source, diagnostics);
    expr::ProgramBuilder builder(stream.scope);
    if (node == nullptr || !builder.add(node, source, diagnostics, Kind::boolean)) {
      return fail(ErrorCode::invalid, config::to_text(diagnostics, false));
    }
    filter.evaluator_ = std::make_unique<expr::Evaluator>(builder.build());
    return filter;
  }

  /// One byte a row, 1: wanted.
  void run(const EventBatch& batch, const TimeRange& range, std::vector<std::uint8_t>& wanted) {
    wanted.assign(batch.rows, 0);
    for (std::size_t row = 0; row < batch.rows; ++row) {
      wanted[row] = range.contains(batch.time[row]) ? 1 : 0;
    }
    if (evaluator_ == nullptr) return;
    for (std::size_t begin = 0; begin < batch.rows; begin += expr::Evaluator::kMaxRows) {
      const std::size_t rows = std::min(expr::Evaluator::kMaxRows, batch.rows - begin);
      inputs_.clear();
      for (const Column& column : batch.columns) inputs_.push_back(column.view().slice(begin));
      evaluator_->run(inputs_, rows, batch.origin.received_at);
      const ColumnView& holds = evaluator_->output(0);
      for (std::size_t i = 0; i < rows; ++i) {
        if (holds.is_null(i) || !holds.bool_at(i)) wanted[begin + i] = 0;
      }
    }
  }

 private:
  std::unique_ptr<expr::Evaluator> evaluator_;  ///< Null: every row is wanted.
  std::vector<ColumnView> inputs_;
};

class LogQuery {
 public:
  LogQuery(PastLog& log, const LogQueryOptions& options, TimeRange range)
      : log_(log), options_(options), range_(range) {}

  Result<> run() {
    wal::LogEntry entry;
    EventBatch batch;
    std::vector<std::uint8_t> wanted;
    while (!full()) {
      const Result<bool> more = log_.next(entry);
      if (more.has_error()) return more.error();
      if (!*more) break;
      if (static_cast<wal::RecordType>(entry.type) != wal::RecordType::batch) continue;
      if (log_.is_set_aside(entry.sequence)) continue;
      if (Result<> turned = turn_to_session(); turned.has_error()) return turned;
      const Result<wal::BatchHead> head = wal::read_batch_head(entry.payload);
      if (head.has_error()) return head.error();
      if (stream_ == nullptr || head->stream_id != stream_->schema.stream_id) continue;
      if (Result<> read = log_.decode(entry, stream_->schema, batch); read.has_error()) return read;
      filter_.run(batch, range_, wanted);
      print(batch, wanted);
    }
    return {};
  }

  std::uint64_t printed() const { return printed_; }
  std::uint64_t looked_at() const { return looked_at_; }

 private:
  bool full() const {
    return std::ferror(stdout) != 0 || (options_.limit != 0 && printed_ == options_.limit);
  }

  /// Fields may have other types, and the stream another number, under another config.
  Result<> turn_to_session() {
    if (session_ == log_.session_index()) return {};
    session_ = log_.session_index();
    stream_ = nullptr;
    const Result<std::shared_ptr<const Plan>> plan = log_.plan(*session_);
    if (plan.has_error()) return plan.error();
    std::string names;
    for (const PlannedStream& stream : (*plan)->streams) {
      const std::string& name = stream.decode->schema.stream;
      names += (names.empty() ? "" : ", ") + name;
      if (name == options_.stream || (*plan)->streams.size() == 1) stream_ = stream.decode.get();
    }
    if (options_.stream.empty() && stream_ == nullptr) {
      return fail(ErrorCode::invalid,
                  fmt::format("the log holds several streams: --stream with one of {}", names));
    }
    if (!options_.stream.empty() && stream_ != nullptr &&
        stream_->schema.stream != options_.stream) {
      stream_ = nullptr;  // There was none of that name then.
    }
    if (stream_ == nullptr) return {};
    Result<RowFilter> filter = RowFilter::compile(options_.where, *stream_);
    if (filter.has_error()) return filter.error();
    filter_ = std::move(*filter);
    return {};
  }

  void print(const EventBatch& batch, const std::vector<std::uint8_t>& wanted) {
    looked_at_ += batch.rows;
    for (std::size_t row = 0; row < batch.rows && !full(); ++row) {
      if (wanted[row] == 0) continue;
      ++printed_;
      if (batch.raw.empty()) {
        fmt::print("{}\n", row_to_json(batch, row));
      } else {
        fmt::print("{}\n", batch.raw[row]);
      }
    }
  }

  PastLog& log_;
  const LogQueryOptions& options_;
  const TimeRange range_;
  std::optional<std::size_t> session_;
  const decode::StreamPlan* stream_ = nullptr;  ///< Null: the session does not have it.
  RowFilter filter_;
  std::uint64_t printed_ = 0;
  std::uint64_t looked_at_ = 0;
};

int fail_with(const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return exit_code_of(error.code);
}

}  // namespace

int run_log_query(const LogQueryOptions& options) {
  const Result<TimeRange> range = parse_time_range(options.from, options.to);
  if (range.has_error()) return fail_with(range.error());
  Result<std::unique_ptr<PastLog>> log = PastLog::open(posix_file_system(), options.directory);
  if (log.has_error()) return fail_with(log.error());
  if (const std::string lacks = (*log)->lacks(); !lacks.empty()) fmt::print(stderr, "{}\n", lacks);
  LogQuery query(**log, options, *range);
  const Result<> done = query.run();
  std::fflush(stdout);
  if (done.has_error()) return fail_with(done.error());
  fmt::print(stderr, "{} of {} events\n", query.printed(), query.looked_at());
  return 0;
}

}  // namespace streamobs::app
