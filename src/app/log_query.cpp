#include "app/log_query.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/output_lines.h"
#include "app/past_log.h"
#include "app/topology.h"
#include "base/posix_file_system.h"
#include "event/row_json.h"
#include "expr/program.h"

namespace streamobs::app {

namespace {

/// JSON on one line: in its strings there is no line's end.
std::string on_one_line(std::string_view json) {
  std::string line(json);
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::replace(line.begin(), line.end(), '\r', ' ');
  return line;
}

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
    std::shared_ptr<const expr::Program> program = builder.build();
    for (const std::size_t input : program->inputs_used()) {
      if (input < stream.schema.fields.size()) continue;
      return fail(ErrorCode::invalid,
                  "--where: the log holds no templates, they are mined anew from it; "
                  "filter by the field they come from");
    }
    if (program->looks_up()) {
      return fail(ErrorCode::invalid,
                  "--where: tables are looked into when events are counted, not here; filter by "
                  "the key instead");
    }
    filter.evaluator_ = std::make_unique<expr::Evaluator>(std::move(program));
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
    if (const Result<> known = check_stream(); known.has_error()) return known;
    wal::LogEntry entry;
    while (!full()) {
      const Result<bool> more = log_.next(entry);
      if (more.has_error()) return more.error();
      if (!*more) break;
      if (static_cast<wal::RecordType>(entry.type) != wal::RecordType::batch) continue;
      if (Result<> done = look_at(entry); done.has_error()) return done;
    }
    lines_.flush();
    if (looked_at_ == 0 && !full()) check_filter();
    if (misfit_ && !has_fit_) return fail(misfit_->error.code, misfit_->error.message);
    return {};
  }

  const OutputLines& lines() const { return lines_; }
  std::uint64_t printed() const { return printed_; }
  std::uint64_t looked_at() const { return looked_at_; }
  /// Where the filter did not fit what the fields were; else empty.
  std::string misfit() const {
    if (!misfit_) return {};
    return fmt::format(
        "under some configs the log was written under, first from record {} on, the fields are "
        "others and --where does not fit them: no event of those times is printed\n{}",
        misfit_->position, misfit_->error.message);
  }

 private:
  /// Position of the first session whose fields the filter does not fit, and why not of the last.
  struct Misfit {
    std::uint64_t position = 0;
    Error error;
  };

  Result<> check_stream() const {
    std::set<std::string> names;
    std::set<std::string> joins;
    for (const PastSession& session : log_.sessions()) {
      for (std::size_t i = 0; i < session.record.streams.size(); ++i) {
        (was_join(session.record, i) ? joins : names).insert(session.record.streams[i]);
      }
    }
    if (joins.contains(options_.stream)) {
      return fail(ErrorCode::invalid,
                  fmt::format("--stream {}: that is a join, and the log holds what it was made of; "
                              "streamobs replay --from-log joins it again",
                              options_.stream));
    }
    if (options_.stream.empty() || names.contains(options_.stream)) return {};
    return fail(ErrorCode::invalid,
                fmt::format("--stream {}: there is no such stream in this log; there is {}",
                            options_.stream, fmt::join(names, ", ")));
  }

  /// Where there was no event to try it on: against the fields of the newest session.
  void check_filter() {
    const std::size_t newest = log_.sessions().size() - 1;
    const Result<std::shared_ptr<const Plan>> plan = log_.plan(newest);
    if (plan.has_error()) return;  // Then there is nothing to say of it.
    for (const PlannedStream& stream : (*plan)->streams) {
      const std::string& name = stream.decode->schema.stream;
      if (options_.stream.empty() ? (*plan)->streams.size() == 1 : name == options_.stream) {
        compile(*stream.decode);
      }
    }
  }

  bool full() const {
    return lines_.failed() || (options_.limit != 0 && printed_ == options_.limit);
  }

  Result<> look_at(const wal::LogEntry& entry) {
    if (Result<> turned = turn_to_session(); turned.has_error()) return turned;
    const Result<wal::BatchHead> head = wal::read_batch_head(entry.payload);
    if (head.has_error()) return head.error();
    const bool known = head->stream_id < log_.session().record.streams.size();
    if (known && head->stream_id != stream_id_) return {};
    const Result<const decode::StreamPlan*> stream = log_.stream_of(entry);
    if (stream.has_error()) return stream.error();
    if (*stream == nullptr) return {};
    looked_at_ += head->rows;
    if (!compiled_) compile(**stream);
    if (!filter_) return {};
    if (Result<> read = log_.decode(entry, (*stream)->schema, batch_); read.has_error()) {
      return read;
    }
    filter_->run(batch_, range_, wanted_);
    print();
    return {};
  }

  /// Fields may have other types, and the stream another number, under another config.
  Result<> turn_to_session() {
    if (session_ == log_.session_index()) return {};
    session_ = log_.session_index();
    stream_id_.reset();
    compiled_ = false;
    const std::vector<std::string>& names = log_.session().record.streams;
    if (options_.stream.empty() && names.size() != 1) {
      return fail(ErrorCode::invalid,
                  fmt::format("the log holds several streams: --stream with one of {}",
                              fmt::join(names, ", ")));
    }
    for (std::uint32_t id = 0; id < names.size(); ++id) {
      if (options_.stream.empty() || names[id] == options_.stream) stream_id_ = id;
    }
    return {};
  }

  void compile(const decode::StreamPlan& stream) {
    compiled_ = true;
    filter_.reset();
    Result<RowFilter> filter = RowFilter::compile(options_.where, stream);
    if (filter.has_value()) {
      filter_ = std::move(*filter);
      has_fit_ = true;
    } else {
      misfit_ = Misfit{misfit_ ? misfit_->position : log_.session().position, filter.error()};
    }
  }

  void print() {
    for (std::size_t row = 0; row < batch_.rows && !full(); ++row) {
      if (wanted_[row] == 0) continue;
      ++printed_;
      const std::string_view kept = kept_json(batch_, row);
      lines_.print(kept.empty() ? row_to_json(batch_, row) : on_one_line(kept));
    }
  }

  PastLog& log_;
  const LogQueryOptions& options_;
  const TimeRange range_;
  std::optional<std::size_t> session_;
  std::optional<std::uint32_t> stream_id_;  ///< None: the session does not have the stream.
  bool compiled_ = false;                   ///< The filter, for this session.
  std::optional<RowFilter> filter_;         ///< None: it does not fit.
  bool has_fit_ = false;                    ///< In some session.
  std::optional<Misfit> misfit_;
  EventBatch batch_;
  std::vector<std::uint8_t> wanted_;
  OutputLines lines_;
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
  const NoPipeSignal no_pipe_signal;
  LogQuery query(**log, options, *range);
  const Result<> done = query.run();
  if (done.has_error()) return fail_with(done.error());
  if (query.lines().nobody_reads()) return 0;
  if (query.lines().failed()) return fail_with(query.lines().error());
  for (const std::string& warning : {(*log)->passed_over(), query.misfit()}) {
    if (!warning.empty()) fmt::print(stderr, "{}\n", warning);
  }
  fmt::print(stderr, "{} of {} events\n", query.printed(), query.looked_at());
  return 0;
}

}  // namespace streamobs::app
