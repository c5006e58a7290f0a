// The outboxes' half of a database: what sinks read, and what is removed once they have delivered.
#include <mutex>
#include <utility>

#include "store/database_impl.h"

namespace streamobs::store {

void Database::on_commit(std::function<void()> listener) {
  impl_->on_commit = std::move(listener);
}

Result<std::vector<OutboxRow>> Database::read_outbox(const std::string& sink, std::size_t rows_max,
                                                     std::size_t bytes_max) const {
  const std::lock_guard lock(impl_->outbox_mutex);
  // What was delivered while a transaction was open is only removed with its end.
  const OutboxPlace after = impl_->outbox.delivered_place(sink);
  auto rows = store::read_outbox(impl_->outbox_reader, sink, after, rows_max, bytes_max);
  if (rows.has_value() && !rows->empty()) impl_->outbox.taken(sink, rows->back().place);
  return rows;
}

Result<> Database::delivered(const std::string& sink, OutboxPlace place) {
  Impl& impl = *impl_;
  impl.outbox.delivered(sink, place);
  const std::lock_guard lock(impl.writer_mutex);
  if (impl.in_transaction || !impl.outbox.has_delivered()) return {};
  return impl.remove_delivered();
}

/// In a transaction of its own.
Result<> Database::Impl::remove_delivered() {
  Result<> done = begin();
  if (done.has_value()) done = outbox.tidy();
  if (done.has_value()) done = end();
  if (done.has_error()) {
    undo();
    return failed(done.error());
  }
  outbox.committed();
  return {};
}

Result<std::optional<SinkWriters>> Database::sink_writers(const std::string& sink) const {
  const std::lock_guard lock(impl_->outbox_mutex);
  Result<Statement> read = impl_->outbox_reader.prepare(
      "SELECT writer, writer_before FROM streamobs_sink WHERE name = ?1");
  if (read.has_error()) return read.error();
  read->bind(1, std::string_view(sink));
  const Result<bool> row = read->step();
  if (row.has_error()) return row.error();
  if (!*row) return std::optional<SinkWriters>();
  return SinkWriters{static_cast<std::uint64_t>(read->int_at(0)),
                     static_cast<std::uint64_t>(read->int_at(1))};
}

Result<bool> Database::set_sink_writers(const std::string& sink, SinkWriters writers) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  if (impl.in_transaction) return false;
  const auto set = [&]() -> Result<> {
    Result<Statement> write =
        impl.writer.prepare("INSERT OR REPLACE INTO streamobs_sink VALUES (?1, ?2, ?3)");
    if (write.has_error()) return write.error();
    write->bind(1, std::string_view(sink));
    write->bind(2, static_cast<std::int64_t>(writers.now));
    write->bind(3, static_cast<std::int64_t>(writers.before));
    if (const Result<> done = write->run(); done.has_error()) return done;
    return impl.writer.sync_journal();
  };
  if (const Result<> done = set(); done.has_error()) return impl.failed(done.error());
  return true;
}

Result<> Database::settle_outboxes() {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  const Result<> dropped = impl.outbox.settle(impl.writer);
  if (dropped.has_error()) return impl.failed(dropped.error());
  return {};
}

OutboxStats Database::outbox_stats(const std::string& sink) const {
  return impl_->outbox.stats(sink);
}

bool Database::outbox_full() const {
  return impl_->outbox.full();
}

}  // namespace streamobs::store
