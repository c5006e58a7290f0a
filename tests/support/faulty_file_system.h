// A file system in front of another that fails the calls a test picks.
//
// May be used from several threads, if the other may.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"

namespace streamobs::test {

class FaultyFileSystem final : public FileSystem {
 public:
  enum class Call : std::uint8_t {
    create,
    open,
    write,
    read,
    sync_data,
    allocate,
    truncate,
    size,
    rename,
    remove,
    list,
    make_directory,
    sync_directory,
  };
  static constexpr int kCalls = 13;
  static const char* name_of(Call call) {
    static constexpr const char* kNames[kCalls] = {
        "create", "open",   "write",  "read", "sync_data",      "allocate",      "truncate",
        "size",   "rename", "remove", "list", "make_directory", "sync_directory"};
    return kNames[static_cast<int>(call)];
  }

  explicit FaultyFileSystem(FileSystem& inner) : inner_(inner) {}

  /// Asked before each call; an error instead of nothing makes it fail so. A write that fails has
  /// written half of its bytes.
  std::function<std::optional<Error>(Call, const std::string& path)> fault;

  /// The n-th call of that kind from now on (1: the next) fails with `code`, once; 0: none.
  void fail_nth(Call call, std::uint64_t n, ErrorCode code) {
    auto left = std::make_shared<std::atomic<std::uint64_t>>(n);
    fault = [=](Call made, const std::string& path) -> std::optional<Error> {
      if (made != call || *left == 0 || --*left != 0) return std::nullopt;
      return fail(code, std::string("planted failure: ") + name_of(call) + " " + path);
    };
  }

  Result<std::unique_ptr<File>> create(const std::string& path) override {
    return wrapped(Call::create, path, [&] { return inner_.create(path); });
  }
  Result<std::unique_ptr<File>> open_for_reading(const std::string& path) override {
    return wrapped(Call::open, path, [&] { return inner_.open_for_reading(path); });
  }
  Result<std::unique_ptr<File>> open_for_writing(const std::string& path) override {
    return wrapped(Call::open, path, [&] { return inner_.open_for_writing(path); });
  }
  Result<> rename(const std::string& from, const std::string& to) override {
    if (auto error = ask(Call::rename, from)) return *error;
    return inner_.rename(from, to);
  }
  Result<> remove(const std::string& path) override {
    if (auto error = ask(Call::remove, path)) return *error;
    return inner_.remove(path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    if (auto error = ask(Call::list, directory)) return *error;
    return inner_.list(directory);
  }
  Result<> make_directory(const std::string& directory) override {
    if (auto error = ask(Call::make_directory, directory)) return *error;
    return inner_.make_directory(directory);
  }
  Result<> sync_directory(const std::string& directory) override {
    if (auto error = ask(Call::sync_directory, directory)) return *error;
    return inner_.sync_directory(directory);
  }
  Result<bool> exists(const std::string& path) override {
    if (auto error = ask(Call::size, path)) return *error;
    return inner_.exists(path);
  }
  Result<std::uint64_t> file_size(const std::string& path) override {
    if (auto error = ask(Call::size, path)) return *error;
    return inner_.file_size(path);
  }
  Result<Timestamp> modified_at(const std::string& path) override {
    if (auto error = ask(Call::size, path)) return *error;
    return inner_.modified_at(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    if (auto error = ask(Call::size, path)) return *error;
    return inner_.free_bytes(path);
  }

 private:
  class FaultyFile final : public File {
   public:
    FaultyFile(FaultyFileSystem& files, std::unique_ptr<File> inner, std::string path)
        : files_(files), inner_(std::move(inner)), path_(std::move(path)) {}

    Result<> write_at(std::uint64_t offset, std::span<const std::string_view> pieces) override {
      if (auto error = files_.ask(Call::write, path_)) {
        std::string bytes;
        for (const std::string_view piece : pieces) bytes += piece;
        (void)inner_->write_at(offset, std::string_view(bytes).substr(0, bytes.size() / 2));
        return *error;
      }
      return inner_->write_at(offset, pieces);
    }
    Result<> write_blocks(std::uint64_t offset, std::span<const char> bytes) override {
      if (auto error = files_.ask(Call::write, path_)) {
        (void)inner_->write_blocks(offset, bytes.first(bytes.size() / 2));
        return *error;
      }
      return inner_->write_blocks(offset, bytes);
    }
    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override {
      if (auto error = files_.ask(Call::read, path_)) return *error;
      return inner_->read_at(offset, into);
    }
    Result<> sync_data() override {
      if (auto error = files_.ask(Call::sync_data, path_)) return *error;
      return inner_->sync_data();
    }
    Result<> allocate(std::uint64_t bytes) override {
      if (auto error = files_.ask(Call::allocate, path_)) return *error;
      return inner_->allocate(bytes);
    }
    Result<> truncate(std::uint64_t bytes) override {
      if (auto error = files_.ask(Call::truncate, path_)) return *error;
      return inner_->truncate(bytes);
    }
    Result<std::uint64_t> size() override {
      if (auto error = files_.ask(Call::size, path_)) return *error;
      return inner_->size();
    }

   private:
    using File::write_at;
    FaultyFileSystem& files_;
    std::unique_ptr<File> inner_;
    std::string path_;
  };

  std::optional<Error> ask(Call call, const std::string& path) {
    if (!fault) return std::nullopt;
    return fault(call, path);
  }
  template <class Open>
  Result<std::unique_ptr<File>> wrapped(Call call, const std::string& path, Open&& open) {
    if (auto error = ask(call, path)) return *error;
    auto file = open();
    if (!file) return file;
    return std::unique_ptr<File>(std::make_unique<FaultyFile>(*this, *std::move(file), path));
  }

  FileSystem& inner_;
};

}  // namespace streamobs::test
