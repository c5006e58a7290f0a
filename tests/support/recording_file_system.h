// A disk in memory that remembers what was not synced, so that a test can take the power away at
// any call and look at every state the disk may legally be in afterwards.
//
// What may happen without a sync, in any combination:
// - a 512-byte sector of a file is as it was at the last sync or after any later call (so writes
// are
//   lost, torn and reordered, but one sector is never half written);
// - the same for a file's size, on its own;
// - a name made, renamed or removed since the last sync_directory() of its directory is or is not
//   (a rename is one step; two steps may come in either order).
// Space that was allocated and never written reads as zeros. Directories are durable when made, as
// the seam promises. May be used from several threads.
//
// A failed sync (see fail_next_sync) is as mean as Linux: the bytes stay readable, count as clean,
// and never reach the disk unless they are written again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"

namespace streamobs::test {

class RecordingFileSystem final : public FileSystem {
 public:
  using Random = std::mt19937_64;

  /// Called before each call that changes something; the call's own effect is not there yet.
  std::function<void()> before_change;

  /// From its n-th change on (0: the next) everything fails and nothing has an effect: the power is
  /// gone, the process only does not know yet.
  void power_off_after(std::uint64_t changes) {
    const std::lock_guard lock(mutex_);
    changes_left_ = changes;
  }
  /// The next sync_data() fails and drops what it should have synced.
  void fail_next_sync() {
    const std::lock_guard lock(mutex_);
    fail_sync_ = true;
  }
  /// Bytes that may be taken by files' sizes altogether.
  void set_capacity(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    capacity_ = bytes;
  }
  std::uint64_t changes() const { return changes_; }

  /// A disk as the machine may find it after the power has gone now.
  std::unique_ptr<RecordingFileSystem> after_power_loss(Random& random) const {
    const std::lock_guard lock(mutex_);
    auto disk = std::make_unique<RecordingFileSystem>();
    disk->directories_ = directories_;
    const Luck luck(random);
    Names names = durable_names_;
    for (const NameChange& change : pending_names_) {
      if (luck.holds(random)) apply(change, names);
    }
    std::map<const Inode*, std::shared_ptr<Inode>> copies;
    for (const auto& [path, inode] : names) {
      auto& copy = copies[inode.get()];
      if (copy == nullptr) copy = inode->after_power_loss(random);
      disk->names_[path] = copy;
    }
    disk->durable_names_ = disk->names_;
    return disk;
  }

  /// A disk as a new process finds it after the old one was killed: all of the page cache is there,
  /// and what is not durable is not.
  std::unique_ptr<RecordingFileSystem> after_kill() const {
    const std::lock_guard lock(mutex_);
    auto disk = std::make_unique<RecordingFileSystem>();
    disk->directories_ = directories_;
    std::map<const Inode*, std::shared_ptr<Inode>> copies;
    const auto copy_of = [&copies](const std::shared_ptr<Inode>& inode) {
      auto& copy = copies[inode.get()];
      if (copy == nullptr) copy = std::make_shared<Inode>(*inode);
      return copy;
    };
    for (const auto& [path, inode] : names_) disk->names_[path] = copy_of(inode);
    for (const auto& [path, inode] : durable_names_) disk->durable_names_[path] = copy_of(inode);
    for (NameChange change : pending_names_) {
      change.inode = copy_of(change.inode);
      disk->pending_names_.push_back(std::move(change));
    }
    return disk;
  }

  /// The bytes of a file, to be looked at or spoilt.
  std::string& bytes_of(const std::string& path) { return names_.at(path)->current; }
  std::vector<std::string> paths() const {
    std::vector<std::string> paths;
    for (const auto& [path, inode] : names_) paths.push_back(path);
    return paths;
  }

  // --- FileSystem

  Result<std::unique_ptr<File>> create(const std::string& path) override {
    if (auto ready = begin_change(); !ready) return ready.error();
    const std::lock_guard lock(mutex_);
    if (!directories_.contains(directory_of(path))) return missing(path);
    const auto found = names_.find(path);
    if (found != names_.end()) {
      found->second->change({Change::truncate, 0, {}});
    } else {
      do_change({path, "", std::make_shared<Inode>()});
    }
    return file(names_.at(path));
  }
  Result<std::unique_ptr<File>> open_for_reading(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(path);
    if (found == names_.end()) return missing(path);
    return file(found->second);
  }
  Result<std::unique_ptr<File>> open_for_writing(const std::string& path) override {
    return open_for_reading(path);
  }
  Result<> rename(const std::string& from, const std::string& to) override {
    if (auto ready = begin_change(); !ready) return ready;
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(from);
    if (found == names_.end()) return missing(from);
    do_change({to, from, found->second});
    return {};
  }
  Result<> remove(const std::string& path) override {
    if (auto ready = begin_change(); !ready) return ready;
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(path);
    if (found == names_.end()) return missing(path);
    do_change({"", path, found->second});
    return {};
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    const std::lock_guard lock(mutex_);
    if (!directories_.contains(directory)) return missing(directory);
    std::vector<std::string> names;
    for (const auto& [path, inode] : names_) {
      if (directory_of(path) == directory) names.push_back(path.substr(directory.size() + 1));
    }
    return names;
  }
  Result<> make_directory(const std::string& directory) override {
    const std::lock_guard lock(mutex_);
    for (std::string path = directory; directories_.insert(path).second;) path = directory_of(path);
    return {};
  }
  Result<> sync_directory(const std::string& directory) override {
    if (auto ready = begin_change(); !ready) return ready;
    const std::lock_guard lock(mutex_);
    if (!directories_.contains(directory)) return missing(directory);
    std::vector<NameChange> others;
    for (NameChange& change : pending_names_) {
      const std::string& path = change.to.empty() ? change.from : change.to;
      if (directory_of(path) == directory) {
        apply(change, durable_names_);
      } else {
        others.push_back(std::move(change));
      }
    }
    pending_names_ = std::move(others);
    return {};
  }
  Result<bool> exists(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    return names_.contains(path) || directories_.contains(path);
  }
  Result<std::uint64_t> file_size(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(path);
    if (found == names_.end()) return missing(path);
    return found->second->current.size();
  }
  Result<Timestamp> modified_at(const std::string&) override { return Timestamp{0}; }
  Result<std::uint64_t> free_bytes(const std::string&) override {
    const std::lock_guard lock(mutex_);
    const std::uint64_t used = used_bytes();
    return used < capacity_ ? capacity_ - used : 0;
  }

 private:
  static constexpr std::size_t kSector = 512;

  /// How much of what was not synced survives: often all, nothing, or a random part.
  class Luck {
   public:
    explicit Luck(Random& random) {
      static constexpr double kChances[] = {0, 0.1, 0.5, 0.5, 0.9, 1};
      chance_ = kChances[random() % 6];
    }
    bool holds(Random& random) const {
      return std::uniform_real_distribution<double>(0, 1)(random) < chance_;
    }

   private:
    double chance_;
  };

  struct Change {
    enum Kind { write, truncate, allocate } kind;
    std::uint64_t offset;  ///< Or size.
    std::string bytes;
  };

  struct Inode {
    std::string current;  ///< What a process sees.
    std::string durable;  ///< What the disk surely has.
    std::vector<Change> pending;

    static void apply(const Change& change, std::string& bytes) {
      if (change.kind == Change::truncate) {
        bytes.resize(change.offset, '\0');
      } else if (change.kind == Change::allocate) {
        if (bytes.size() < change.offset) bytes.resize(change.offset, '\0');
      } else {
        const std::size_t end = change.offset + change.bytes.size();
        if (bytes.size() < end) bytes.resize(end, '\0');
        std::copy(change.bytes.begin(), change.bytes.end(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(change.offset));
      }
    }
    void change(Change what) {
      apply(what, current);
      pending.push_back(std::move(what));
    }
    void sync() {
      for (const Change& what : pending) apply(what, durable);
      pending.clear();
    }

    std::shared_ptr<Inode> after_power_loss(Random& random) const {
      std::string seen = durable;  // Goes through the states after each pending call.
      std::size_t longest = seen.size();
      for (const Change& what : pending) {
        longest = std::max(longest, what.offset + what.bytes.size());
      }
      const Luck luck(random);
      const auto moment = [&] {
        if (luck.holds(random)) return pending.size();
        return static_cast<std::size_t>(random() % (pending.size() + 1));
      };
      std::vector<std::size_t> of_sector((longest + kSector - 1) / kSector);
      for (std::size_t& when : of_sector) when = moment();
      const std::size_t of_size = moment();
      std::string disk(longest, '\0');
      std::size_t size = 0;
      for (std::size_t t = 0; t <= pending.size(); ++t) {
        if (t > 0) apply(pending[t - 1], seen);
        if (t == of_size) size = seen.size();
        for (std::size_t i = 0; i < of_sector.size(); ++i) {
          if (of_sector[i] != t || i * kSector >= seen.size()) continue;
          const std::size_t length = std::min(kSector, seen.size() - i * kSector);
          seen.copy(disk.data() + i * kSector, length, i * kSector);
        }
      }
      disk.resize(size);
      auto inode = std::make_shared<Inode>();
      inode->current = disk;
      inode->durable = std::move(disk);
      return inode;
    }
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  /// Made: `to` only; removed: `from` only; renamed: both.
  struct NameChange {
    std::string to;
    std::string from;
    std::shared_ptr<Inode> inode;
  };
  static void apply(const NameChange& change, Names& names) {
    if (!change.from.empty()) {
      const auto found = names.find(change.from);
      if (found != names.end() && found->second == change.inode) names.erase(found);
    }
    if (!change.to.empty()) names[change.to] = change.inode;
  }
  void do_change(NameChange change) {
    apply(change, names_);
    pending_names_.push_back(std::move(change));
  }

  class RecordingFile final : public File {
   public:
    RecordingFile(RecordingFileSystem& disk, std::shared_ptr<Inode> inode)
        : disk_(disk), inode_(std::move(inode)) {}
    Result<> write_at(std::uint64_t offset, std::span<const std::string_view> pieces) override {
      std::string bytes;
      for (const std::string_view piece : pieces) bytes += piece;
      if (auto ready = disk_.begin_change(); !ready) return ready;
      const std::lock_guard lock(disk_.mutex_);
      if (auto room = room_for(offset + bytes.size()); !room) return room;
      inode_->change({Change::write, offset, std::move(bytes)});
      return {};
    }
    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override {
      const std::lock_guard lock(disk_.mutex_);
      const std::string& bytes = inode_->current;
      if (offset >= bytes.size()) return std::size_t{0};
      return bytes.copy(into.data(), into.size(), offset);
    }
    Result<> sync_data() override {
      if (auto ready = disk_.begin_change(); !ready) return ready;
      const std::lock_guard lock(disk_.mutex_);
      if (std::exchange(disk_.fail_sync_, false)) {
        inode_->pending.clear();
        return fail(ErrorCode::io, "cannot sync: planted");
      }
      inode_->sync();
      return {};
    }
    Result<> allocate(std::uint64_t bytes) override {
      if (auto ready = disk_.begin_change(); !ready) return ready;
      const std::lock_guard lock(disk_.mutex_);
      if (auto room = room_for(bytes); !room) return room;
      inode_->change({Change::allocate, bytes, {}});
      return {};
    }
    Result<> truncate(std::uint64_t bytes) override {
      if (auto ready = disk_.begin_change(); !ready) return ready;
      const std::lock_guard lock(disk_.mutex_);
      inode_->change({Change::truncate, bytes, {}});
      return {};
    }
    Result<std::uint64_t> size() override {
      const std::lock_guard lock(disk_.mutex_);
      return inode_->current.size();
    }

   private:
    Result<> room_for(std::uint64_t size) const {
      const std::uint64_t had = inode_->current.size();
      if (size <= had || disk_.used_bytes() + (size - had) <= disk_.capacity_) return {};
      return fail(ErrorCode::no_space, "cannot write: no space left on device");
    }
    RecordingFileSystem& disk_;
    std::shared_ptr<Inode> inode_;
  };
  std::unique_ptr<File> file(std::shared_ptr<Inode> inode) {
    return std::make_unique<RecordingFile>(*this, std::move(inode));
  }

  static Error missing(const std::string& path) {
    return fail(ErrorCode::not_found, path + ": no such file or directory");
  }
  Result<> begin_change() {
    if (before_change) before_change();
    const std::lock_guard lock(mutex_);
    ++changes_;
    if (changes_left_ == 0) return fail(ErrorCode::io, "the power is off");
    --changes_left_;
    return {};
  }
  std::uint64_t used_bytes() const {
    std::uint64_t used = 0;
    for (const auto& [path, inode] : names_) used += inode->current.size();
    return used;
  }

  mutable std::mutex mutex_;
  std::set<std::string> directories_{"/", "."};
  Names names_;
  Names durable_names_;
  std::vector<NameChange> pending_names_;
  std::uint64_t changes_ = 0;
  std::uint64_t changes_left_ = ~std::uint64_t{0};
  std::uint64_t capacity_ = ~std::uint64_t{0};
  bool fail_sync_ = false;
};

}  // namespace streamobs::test
