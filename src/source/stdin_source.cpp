#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "source/sources.h"

namespace streamobs::source {
namespace {

/// How long a read waits for bytes, and so how long a stop may take.
constexpr int kPatienceMs = 100;

/// Reads a pipe to its end. What is complete goes on without waiting for a full block.
class PipeSource final : public Source {
 public:
  PipeSource(SourceSetup setup, SourceRuntime runtime, FileHandle file)
      : Source(std::move(setup), std::move(runtime)), file_(std::move(file)) {}

  asio::awaitable<Result<>> run() override {
    if (file_.get() < 0) {
      const Error error =
          fail(ErrorCode::io, fmt::format("cannot read stdin: {}", std::strerror(EBADF)));
      co_return failed(error);
    }
    BlockReader reader(std::make_unique<PipeStream>(std::move(file_), "stdin", kPatienceMs),
                       reader_options(setup_, false), buffers_);
    while (!stopping()) {
      CutBlock cut;
      const auto read = [&reader, &cut] { return reader.next(cut); };
      const Result<BlockReader::Status> status = co_await runtime_.pool.run(read);
      progress_.input_bytes = reader.stream().raw_bytes();
      if (!status) co_return failed(status.error());
      if (*status == BlockReader::Status::end) break;
      if (*status == BlockReader::Status::idle) {
        progress_.state = State::waiting;
        continue;
      }
      Block block = to_block(std::move(cut), setup_, "stdin");
      const bool taken = co_await push(std::move(block));
      if (!taken) break;
    }
    co_return ended();
  }

 private:
  BufferPool buffers_;
  FileHandle file_;
};

}  // namespace

std::unique_ptr<Source> make_pipe_source(SourceSetup setup, SourceRuntime runtime, int fd) {
  return std::make_unique<PipeSource>(std::move(setup), std::move(runtime), FileHandle(fd));
}

std::unique_ptr<Source> make_stdin_source(SourceSetup setup, SourceRuntime runtime) {
  // A copy, so that closing it leaves the process's own stdin alone.
  const int fd = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  return make_pipe_source(std::move(setup), std::move(runtime), fd);
}

}  // namespace streamobs::source
