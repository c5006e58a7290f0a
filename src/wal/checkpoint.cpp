#include "wal/checkpoint.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "wal/checkpoint_file.h"

namespace streamobs::wal {

namespace {
constexpr std::size_t kKept = 2;

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const PartEntry& part : manifest.parts) bytes += part.stored_bytes;
  return bytes;
}
}  // namespace

Result<CheckpointStore> CheckpointStore::open(FileSystem& files, std::string directory) {
  CheckpointStore store(files, std::move(directory));
  if (auto made = files.make_directory(store.directory_); !made) return made.error();
  // What a killed process has renamed may not be durable yet; from here on we rely on it.
  if (auto synced = files.sync_directory(store.directory_); !synced) return synced.error();
  if (auto found = store.find(); !found) return found.error();
  store.clean(0);
  return store;
}

Result<CheckpointStore> CheckpointStore::look(FileSystem& files, std::string directory) {
  CheckpointStore store(files, std::move(directory));
  const auto there = files.exists(store.directory_);
  if (!there) return there.error();
  if (!*there) return store;
  if (auto found = store.find(); !found) return found.error();
  return store;
}

Result<> CheckpointStore::find() {
  auto names = files_->list(directory_);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    const std::uint64_t generation = generation_of(name);
    last_generation_ = std::max(last_generation_, generation);
    if (generation != 0 && is_manifest(name)) kept_.push_back({generation, 0, 0, true});
  }
  std::sort(kept_.begin(), kept_.end(),
            [](const Kept& a, const Kept& b) { return a.generation < b.generation; });
  for (Kept& kept : kept_) {
    auto manifest = read_manifest(*files_, directory_, kept.generation);
    if (manifest) {
      kept.position = manifest->position;
      kept.bytes = bytes_of(*manifest);
    } else if (manifest.error().code != ErrorCode::invalid) {
      kept.sound = false;  // load_newest() says why.
    } else {
      return manifest.error();
    }
  }
  forget_all_but_newest();
  return {};
}

std::string CheckpointStore::path_of(const std::string& name) const {
  return directory_ + "/" + name;
}

/// Of the sound ones the newest two stay, and damaged ones only while they are newer than those: a
/// person may want to know.
void CheckpointStore::forget_all_but_newest() {
  std::size_t sound = 0;
  std::size_t first = kept_.size();
  while (first > 0 && sound < kKept) {
    --first;
    sound += kept_[first].sound ? 1 : 0;
  }
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(first));
}

/// Removes the files that belong to no checkpoint that is kept, manifests first, so that no
/// manifest ever stands without its parts. What cannot be removed now is tried again the next time.
void CheckpointStore::clean(std::uint64_t generation_spared) {
  const auto names = files_->list(directory_);
  if (!names) return;
  for (const bool manifests : {true, false}) {
    bool removed = false;
    for (const std::string& name : *names) {
      const std::uint64_t generation = generation_of(name);
      if (generation == 0 || generation == generation_spared || is_manifest(name) != manifests) {
        continue;
      }
      const bool kept = std::any_of(kept_.begin(), kept_.end(), [&](const Kept& k) {
        return k.generation == generation && !name.ends_with(".tmp");
      });
      if (kept) continue;
      if (!files_->remove(path_of(name))) return;
      removed = true;
    }
    if (removed && !files_->sync_directory(directory_)) return;
  }
}

Result<> CheckpointStore::save(const CheckpointParts& state, std::uint64_t log_id) {
  const std::uint64_t generation = ++last_generation_;
  Manifest manifest;
  manifest.generation = generation;
  manifest.log_id = log_id;
  manifest.position = state.position;
  if (auto written = write(state, manifest); !written) {
    // Once it has its name, the manifest may be durable or not: it is left, with its parts, for the
    // next save or start to remove.
    const auto named = files_->exists(path_of(manifest_name(generation)));
    clean(named.has_value() && !*named ? 0 : generation);
    return written;
  }
  kept_.erase(std::remove_if(kept_.begin(), kept_.end(), [](const Kept& k) { return !k.sound; }),
              kept_.end());
  kept_.push_back({generation, state.position, bytes_of(manifest), true});
  forget_all_but_newest();
  clean(0);
  return {};
}

Result<> CheckpointStore::write(const CheckpointParts& state, Manifest& manifest) {
  for (const auto& [name, content] : state.parts) {
    const std::size_t number = manifest.parts.size();
    PartEntry& entry = manifest.parts.emplace_back();
    entry.name = name;
    const std::string path = path_of(part_name(manifest.generation, number));
    if (auto written = write_part(*files_, path, manifest.generation,
                                  static_cast<std::uint32_t>(number), content, entry);
        !written) {
      return written;
    }
  }
  if (auto synced = files_->sync_directory(directory_); !synced) return synced;
  return files_->write_file(path_of(manifest_name(manifest.generation)), encode_manifest(manifest));
}

Result<LoadedCheckpoint> CheckpointStore::read(std::uint64_t generation) const {
  auto manifest = read_manifest(*files_, directory_, generation);
  if (!manifest) return manifest.error();
  LoadedCheckpoint loaded;
  loaded.log_id = manifest->log_id;
  loaded.state.position = manifest->position;
  for (std::size_t i = 0; i < manifest->parts.size(); ++i) {
    const PartEntry& entry = manifest->parts[i];
    auto content = read_part(*files_, path_of(part_name(generation, i)), generation,
                             static_cast<std::uint32_t>(i), entry);
    if (!content) return content.error();
    loaded.state.parts[entry.name] = *std::move(content);
  }
  return loaded;
}

Result<std::optional<LoadedCheckpoint>> CheckpointStore::load_newest(std::uint64_t log_begins) {
  return load_for(std::numeric_limits<std::uint64_t>::max(), log_begins);
}

Result<std::optional<LoadedCheckpoint>> CheckpointStore::load_for(std::uint64_t applied,
                                                                  std::uint64_t log_begins) {
  std::vector<Kept*> order;
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) order.push_back(&*kept);
  const auto ahead = std::stable_partition(
      order.begin(), order.end(), [&](const Kept* kept) { return kept->position <= applied; });
  std::stable_sort(ahead, order.end(),
                   [](const Kept* a, const Kept* b) { return a->position < b->position; });
  return load_first_of(order, log_begins);
}

Result<std::optional<LoadedCheckpoint>> CheckpointStore::load_first_of(
    const std::vector<Kept*>& in_order, std::uint64_t log_begins) {
  passed_over_.clear();
  for (Kept* const kept : in_order) {
    if (kept->sound && kept->position + 1 < log_begins) {
      passed_over_.push_back(fmt::format("{} is of position {}, and the log only goes back to {}",
                                         path_of(manifest_name(kept->generation)), kept->position,
                                         log_begins));
      continue;
    }
    auto loaded = read(kept->generation);
    if (loaded) return std::optional<LoadedCheckpoint>(*std::move(loaded));
    if (loaded.error().code == ErrorCode::invalid) return loaded.error();
    // Damaged, missing or unreadable: an older one and more of the log give the same state.
    kept->sound = false;
    passed_over_.push_back(loaded.error().message);
  }
  if (log_begins <= 1) return std::optional<LoadedCheckpoint>();
  return fail(
      ErrorCode::corrupt,
      fmt::format("{}: there is no sound checkpoint, and the log only goes back to position "
                  "{}: what lay before it is lost ({}). Put back the files of {} from a "
                  "backup, or start with another data_dir",
                  directory_, log_begins,
                  passed_over_.empty() ? "no manifest was found"
                                       : fmt::format("{}", fmt::join(passed_over_, ", ")),
                  directory_));
}

std::uint64_t CheckpointStore::oldest_position() const {
  std::uint64_t oldest = 0;
  std::size_t sound = 0;
  for (auto kept = kept_.rbegin(); kept != kept_.rend() && sound < kKept; ++kept) {
    if (!kept->sound) continue;
    oldest = kept->position;
    ++sound;
  }
  return sound == kKept ? oldest : 0;
}

std::uint64_t CheckpointStore::newest_position() const {
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {
    if (kept->sound) return kept->position;
  }
  return 0;
}

std::uint64_t CheckpointStore::newest_bytes() const {
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {
    if (kept->sound) return kept->bytes;
  }
  return 0;
}

}  // namespace streamobs::wal
