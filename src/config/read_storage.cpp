// What is kept on disk: [store] and [wal].
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr Choice<wal::Durability> kDurabilities[] = {{"sync", wal::Durability::sync},
                                                     {"interval", wal::Durability::interval}};

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kTiB = std::size_t{1} << 40;
constexpr Duration kForEver = 3660 * kDay;  ///< What a limit of bytes alone leaves open.

/// keep = { age = "7d", bytes = "10GB" }
void read_keep(const TableReader& wal, wal::WalOptions& out) {
  const Value* keep = wal.find("keep");
  if (keep == nullptr) return;
  if (keep->kind != Value::Kind::table) {
    wal.error("keep", "expected how long and how much, found " + describe(*keep),
              "keep = { age = \"7d\", bytes = \"10GB\" }");
    return;
  }
  const TableReader table(*keep, keep->span, "[wal.keep]", kWalKeep, wal.report());
  wal::WalOptions read = out;
  read.keep_age = kForEver;
  table.duration("age", kMinute, kForEver, read.keep_age);
  table.bytes("bytes", kMiB, 1024 * kTiB, read.keep_bytes);
  if (!table.has("bytes")) {
    table.missing("bytes",
                  "how much of the disk may it take? keep = { age = \"7d\", bytes = "
                  "\"10GB\" }");
    return;
  }
  out = read;
}

}  // namespace

void read_store(const Entry& entry, Config& config, Report& report) {
  if (!is_table(entry, "[store]", report)) return;
  const TableReader table(entry.value, entry.key_span, "[store]", kStore, report);
  store::StoreOptions& store = config.store;
  table.integer("rows_per_transaction", 1, 100'000, store.rows_per_transaction);
  table.duration("busy_timeout", 100 * kMillisecond, kMinute, store.busy_timeout);
  table.duration("keep_dead_letters", kMinute, 3660 * kDay, store.keep_dead_letters);
  table.duration("keep_incidents", kMinute, 36600 * kDay, store.keep_incidents);
}

void read_wal(const Entry& entry, Config& config, Report& report) {
  if (!is_table(entry, "[wal]", report)) return;
  const TableReader table(entry.value, entry.key_span, "[wal]", kWal, report);
  wal::WalOptions& wal = config.wal;
  const bool known =
      table.choice("durability", kDurabilities, wal.durability) || !table.has("durability");
  table.duration("sync_every", 5 * kMillisecond, kMinute, wal.sync_every);
  if (known && table.has("sync_every") && wal.durability == wal::Durability::sync) {
    table.error("sync_every", "means nothing where every acknowledgement waits for the disk",
                "remove it, or say durability = \"interval\" and read in docs/config.md what can "
                "be lost then");
  }
  table.duration("checkpoint_every", kSecond, kHour, wal.checkpoint_every);
  table.bytes("checkpoint_bytes", kMiB, kTiB, wal.checkpoint_bytes);
  read_keep(table, wal);
}

}  // namespace streamobs::config
