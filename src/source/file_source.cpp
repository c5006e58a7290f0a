#include <utility>

#include "source/file_set.h"
#include "source/follower.h"
#include "source/sources.h"

namespace streamobs::source {
namespace {

constexpr Duration kPollEvery = 250 * kMillisecond;

std::vector<std::string> patterns_of(const SourceOptions& options) {
  std::vector<std::string> patterns;
  for (const SourceText& path : options.paths) patterns.push_back(path.text);
  return patterns;
}

/// Reads the files once, to the end of the last one.
class FileSource final : public Source {
 public:
  FileSource(SourceSetup setup, SourceRuntime runtime)
      : Source(std::move(setup), std::move(runtime)),
        files_(patterns_of(setup_.options), reader_options(setup_, false), buffers_,
               runtime_.resume_of(0).places) {}

  asio::awaitable<Result<>> run() override {
    const auto open = [this] { return files_.open(); };
    const Result<> opened = co_await runtime_.pool.run(open);
    if (!opened) co_return failed(opened.error());
    progress_.input_bytes_total = files_.bytes_total();
    while (!stopping()) {
      CutBlock cut;
      const auto read = [this, &cut] { return files_.next(cut); };
      const Result<BlockReader::Status> status = co_await runtime_.pool.run(read);
      progress_.input_bytes = files_.bytes_read();
      progress_.files = files_.files_done();
      if (!status) co_return failed(status.error());
      if (*status == BlockReader::Status::end) break;
      if (*status == BlockReader::Status::idle)
        continue;  // A pipe, which has waited already, or catching up.
      Block block = to_block(std::move(cut), setup_, files_.path());
      const bool taken = co_await push(std::move(block));
      if (!taken) break;
    }
    co_return ended();
  }

 private:
  BufferPool buffers_;
  FileSet files_;
};

/// Reads the files and goes on as they grow; ends only when told to.
class FollowSource final : public Source {
 public:
  FollowSource(SourceSetup setup, SourceRuntime runtime)
      : Source(std::move(setup), std::move(runtime)),
        follower_(patterns_of(setup_.options), reader_options(setup_, true), buffers_,
                  runtime_.resume_of(0).places) {}

  asio::awaitable<Result<>> run() override {
    while (!stopping()) {
      CutBlock cut;
      const auto read = [this, &cut] { return follower_.next(cut); };
      const BlockReader::Status status = co_await runtime_.pool.run(read);
      progress_.input_bytes = follower_.bytes_read();
      progress_.files = follower_.files_open();
      if (status == BlockReader::Status::idle) {
        progress_.state = State::waiting;
        co_await pause(kPollEvery);
        continue;
      }
      Block block = to_block(std::move(cut), setup_, follower_.path());
      const bool taken = co_await push(std::move(block));
      if (!taken) break;
    }
    co_return ended();
  }

 private:
  BufferPool buffers_;
  Follower follower_;
};

}  // namespace

BlockReaderOptions reader_options(const SourceSetup& setup, bool growing) {
  BlockReaderOptions options;
  options.format = setup.options.format;
  options.block_bytes = setup.block_bytes;
  options.event_bytes_max = setup.event_bytes_max;
  options.growing = growing;
  return options;
}

Block to_block(CutBlock cut, const SourceSetup& setup, const std::string& name) {
  Block block;
  block.format = setup.options.format == Format::json ? Format::ndjson : setup.options.format;
  block.bytes = std::move(cut.bytes);
  block.header = std::move(cut.header);
  block.origin.offset = cut.offset;
  block.origin.first_line = cut.first_line;
  block.origin.name = name;
  block.origin.resume = std::move(cut.resume);
  return block;
}

std::unique_ptr<Source> make_file_source(SourceSetup setup, SourceRuntime runtime) {
  if (setup.options.follow) {
    return std::make_unique<FollowSource>(std::move(setup), std::move(runtime));
  }
  return std::make_unique<FileSource>(std::move(setup), std::move(runtime));
}

}  // namespace streamobs::source
