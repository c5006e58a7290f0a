// The coroutine shells, on a real loop with a sink that collects.
#include "source/source.h"

#include <chrono>
#include <functional>
#include <optional>
#include <unistd.h>

#include "flow/asio.h"
#include "source/sources.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;
using namespace streamobs::source::test;

namespace {

class CollectingSink final : public BlockSink {
 public:
  asio::awaitable<bool> push(Block block) override {
    if (blocks.size() >= blocks_max) co_return false;
    blocks.push_back(std::move(block));
    if (after_push) after_push();
    co_return true;
  }
  asio::awaitable<bool> join(std::vector<PartitionPlace>) override { co_return true; }
  asio::awaitable<bool> leave(std::vector<std::uint32_t>) override { co_return true; }
  asio::awaitable<std::optional<std::uint64_t>> propose() override { co_return std::nullopt; }
  asio::awaitable<bool> decide(std::vector<RangeVerdict>) override { co_return true; }
  void set_behind(std::uint32_t, bool) override {}
  Duration ahead(std::uint32_t) const override { return 0; }
  std::string text() const {
    std::string all;
    for (const Block& block : blocks) all += block.bytes->view();
    return all;
  }
  std::vector<Block> blocks;
  std::size_t blocks_max = 1'000'000;
  std::function<void()> after_push;
};

constexpr Timestamp kNow = 1'700'000'000 * kSecond;

struct Stage {
  asio::io_context context;  // Outlives the pool, whose threads post to it.
  flow::BlockingPool pool{1};
  ManualClock clock{kNow};
  CollectingSink sink;
  std::atomic<bool> stop{false};
  telemetry::Registry metrics;
  std::vector<std::uint64_t> progress;
  ResumeState resume;

  SourceRuntime runtime() {
    const auto on_progress = [this](const Progress& p) { progress.push_back(p.input_bytes); };
    return {sink, pool, clock, stop, metrics, on_progress, {{0, resume}}};
  }
  /// Runs the source to its end, at most ten seconds.
  Result<> run(Source& source) {
    std::optional<Result<>> outcome;
    context.restart();
    asio::co_spawn(context, source.run(), [&](std::exception_ptr error, Result<> result) {
      if (error) std::rethrow_exception(error);
      outcome = std::move(result);
    });
    context.run_for(std::chrono::seconds(10));
    REQUIRE(outcome.has_value());
    return *outcome;
  }
};

SourceSetup file_setup(const std::string& path, Format format = Format::json) {
  SourceSetup setup;
  setup.options.name = "files";
  setup.options.type = Type::file;
  setup.options.format = format;
  setup.options.paths = {path};
  setup.source_id = 3;
  setup.stream_id = 5;
  setup.block_bytes = 1'000;
  return setup;
}

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  return text;
}

}  // namespace

TEST_CASE("a file source numbers its blocks, says where they are from, and ends") {
  const TempDir dir;
  const std::string text = numbers(1'000);
  write_file(dir / "in.ndjson", text);
  Stage stage;
  const auto source = make_source(file_setup(dir / "in.ndjson"), stage.runtime());
  REQUIRE(source.has_value());
  CHECK(stage.run(**source).has_value());
  CHECK(stage.sink.text() == text);
  std::uint64_t number = 0;
  std::uint64_t offset = 0;
  for (const Block& block : stage.sink.blocks) {
    CHECK(block.format == Format::ndjson);
    CHECK(block.stream_id == 5);
    CHECK(block.origin.source_id == 3);
    CHECK(block.origin.partition == 0);
    CHECK(block.origin.number == ++number);
    CHECK(block.origin.offset == offset);
    CHECK(block.origin.received_at == kNow);
    CHECK(block.origin.name == dir / "in.ndjson");
    offset += block.bytes->size();
  }
  const Progress& progress = (*source)->progress();
  CHECK(progress.state == State::ended);
  CHECK(progress.blocks == number);
  CHECK(progress.bytes == text.size());
  CHECK(progress.input_bytes == text.size());
  CHECK(progress.input_bytes_total == text.size());
  CHECK(progress.files == 1);
  CHECK(stage.progress.size() == number);
  CHECK(std::is_sorted(stage.progress.begin(), stage.progress.end()));
}

TEST_CASE("a file source goes on where the log says it was, and numbers on") {
  const TempDir dir;
  const std::string text = numbers(1'000);
  write_file(dir / "in.ndjson", text);
  for (const bool follow : {false, true}) {
    SourceSetup setup = file_setup(dir / "in.ndjson");
    setup.options.follow = follow;
    std::string got;
    ResumeState resume;
    std::uint64_t number = 0;
    for (int process = 0; process < 20; ++process) {
      Stage stage;
      stage.resume = resume;
      stage.sink.after_push = [&] { stage.stop = stage.sink.blocks.size() == 2; };
      if (follow && got.size() == text.size()) stage.stop = true;
      const auto source = make_source(setup, stage.runtime());
      CHECK(stage.run(**source).has_value());
      for (const Block& block : stage.sink.blocks) {
        CHECK(block.origin.number == ++number);
        CHECK(block.origin.offset == got.size());
        got += block.bytes->view();
        CHECK(block.origin.resume.offset == got.size());
        CHECK(block.origin.resume.file == dir / "in.ndjson");
        CHECK(block.origin.resume.inode != 0);
        resume.next_block = block.origin.number + 1;
        resume.remember(block.origin.resume);
      }
    }
    CHECK(got == text);
  }
}

TEST_CASE("a CSV source hands the header along with each block") {
  const TempDir dir;
  std::string text = "a,b\n";
  for (int i = 0; i < 1'000; ++i) text += std::to_string(i) + ",x\n";
  write_file(dir / "in.csv", text);
  Stage stage;
  const auto source = make_source(file_setup(dir / "in.csv", Format::csv), stage.runtime());
  CHECK(stage.run(**source).has_value());
  CHECK("a,b\n" + stage.sink.text() == text);
  for (const Block& block : stage.sink.blocks) {
    CHECK(block.format == Format::csv);
    REQUIRE(block.header);
    CHECK(*block.header == "a,b");
  }
}

TEST_CASE("a missing file is an error of the source") {
  Stage stage;
  const auto source = make_source(file_setup("/nonexistent/file"), stage.runtime());
  const Result<> result = stage.run(**source);
  REQUIRE(result.has_error());
  CHECK(result.error().code == ErrorCode::not_found);
  CHECK((*source)->progress().state == State::failed);
}

TEST_CASE("a source ends when the engine takes no more, and when it is told to stop") {
  const TempDir dir;
  write_file(dir / "in.ndjson", numbers(10'000));
  Stage stage;
  stage.sink.blocks_max = 3;
  auto source = make_source(file_setup(dir / "in.ndjson"), stage.runtime());
  CHECK(stage.run(**source).has_value());
  CHECK(stage.sink.blocks.size() == 3);
  CHECK((*source)->progress().blocks == 3);

  Stage stopping;
  stopping.sink.after_push = [&] { stopping.stop = stopping.sink.blocks.size() == 5; };
  source = make_source(file_setup(dir / "in.ndjson"), stopping.runtime());
  CHECK(stopping.run(**source).has_value());
  CHECK(stopping.sink.blocks.size() == 5);
}

TEST_CASE("following goes on as the file grows, until told to stop") {
  const TempDir dir;
  const std::string path = dir / "app.log";
  write_file(path, "1\n");
  Stage stage;
  stage.sink.after_push = [&] {
    const std::size_t count = stage.sink.blocks.size();
    if (count == 3) {
      stage.stop = true;
    } else {
      append_file(path, std::to_string(count + 1) + "\n");
    }
  };
  SourceSetup setup = file_setup(path);
  setup.options.follow = true;
  const auto source = make_source(setup, stage.runtime());
  CHECK(stage.run(**source).has_value());
  CHECK(stage.sink.text() == "1\n2\n3\n");
  CHECK(stage.sink.blocks.back().origin.number == 3);
}

TEST_CASE("a pipe is read to its end, and what is complete does not wait") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  Stage stage;
  const auto put = [&](std::string_view text) {
    CHECK(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  };
  put("one\ntw");
  // The writer sends more only once the first line has come through.
  stage.sink.after_push = [&] {
    if (stage.sink.blocks.size() == 1) {
      put("o\n");
    } else if (stage.sink.blocks.size() == 2) {
      put("no newline");
      ::close(ends[1]);
    }
  };
  SourceSetup setup = file_setup("");
  setup.options.type = Type::standard_input;
  const auto source = make_pipe_source(setup, stage.runtime(), ends[0]);
  CHECK(stage.run(*source).has_value());
  REQUIRE(stage.sink.blocks.size() == 3);
  CHECK(stage.sink.blocks[0].bytes->view() == "one\n");
  CHECK(stage.sink.blocks[1].bytes->view() == "two\n");
  CHECK(stage.sink.blocks[2].bytes->view() == "no newline");
  CHECK(stage.sink.blocks[2].origin.first_line == 3);
  CHECK(stage.sink.blocks[2].origin.name == "stdin");
  for (const Block& block : stage.sink.blocks) CHECK(block.origin.resume.file.empty());
}

TEST_CASE("a silent pipe does not keep a source from stopping") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  Stage stage;
  const auto source = make_pipe_source(file_setup(""), stage.runtime(), ends[0]);
  stage.stop = true;
  CHECK(stage.run(*source).has_value());
  ::close(ends[1]);
}

TEST_CASE("a named pipe can stand where a file does") {
  const TempDir dir;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string text = numbers(100);
  CHECK(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  ::close(ends[1]);
  Stage stage;
  const auto source =
      make_source(file_setup("/dev/fd/" + std::to_string(ends[0])), stage.runtime());
  CHECK(stage.run(**source).has_value());
  CHECK(stage.sink.text() == text);
  ::close(ends[0]);
}

namespace {

SourceSetup demo_setup(const std::string& scenario, const std::string& stream, Duration history) {
  SourceSetup setup;
  setup.options.name = "demo";
  setup.options.type = Type::demo;
  setup.options.scenario = scenario;
  setup.options.stream = stream;
  setup.options.history = history;
  return setup;
}

/// Makes a second pass now and then, until the stage is to stop.
asio::awaitable<void> let_time_pass(Stage& stage, Duration live) {
  asio::steady_timer timer(stage.context);
  while (!stage.stop) {
    timer.expires_after(std::chrono::milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
    stage.clock.advance(kSecond);
    if (stage.clock.now() >= kNow + live) stage.stop = true;
  }
}

/// Lets the demo run through its history and `live` of time that the test makes pass.
void run_demo(Stage& stage, const SourceSetup& setup, Duration live) {
  const auto source = make_source(setup, stage.runtime());
  REQUIRE(source.has_value());
  // Each push is followed by a second, so that the demo always has something due.
  stage.sink.after_push = [&stage, live] {
    if (stage.sink.blocks.back().bytes->size() > 10'000) return;  // Still history.
    stage.clock.advance(kSecond);
    if (stage.clock.now() >= kNow + live) stage.stop = true;
  };
  // Without a history there may be nothing to push at first.
  if (stage.resume.next_block > 1) {
    asio::co_spawn(stage.context, let_time_pass(stage, live), [](std::exception_ptr) {});
  }
  CHECK(stage.run(**source).has_value());
}

}  // namespace

TEST_CASE("the demo begins with its history and then keeps to its rate") {
  Stage stage;
  run_demo(stage, demo_setup("services", "requests", kHour), 3 * kSecond);
  const std::string text = stage.sink.text();
  const auto events = std::count(text.begin(), text.end(), '\n');
  CHECK(events >= 36'001);
  CHECK(events <= 36'031);
  CHECK(text.starts_with("{\"event_time\":\"2023-11-14T21:13:20.000Z\""));
  CHECK(stage.sink.blocks.front().origin.name == "demo services");
  // An injected surge is in the history: many errors within some minutes.
  std::size_t errors = 0;
  for (std::size_t at = 0; (at = text.find("\"status_code\":50", at)) != std::string::npos; ++at) {
    ++errors;
  }
  CHECK(errors > 350);
}

TEST_CASE("the demo's history is made up once") {
  Stage stage;
  stage.resume.next_block = 8;
  run_demo(stage, demo_setup("services", "requests", kHour), 3 * kSecond);
  const std::string text = stage.sink.text();
  CHECK(std::count(text.begin(), text.end(), '\n') <= 40);
  CHECK(stage.sink.blocks.front().origin.number == 8);
  CHECK(stage.sink.blocks.front().origin.resume.file.empty());
}

TEST_CASE("two demo sources make the two streams of the same LLM calls") {
  const auto ids_of = [](const std::string& stream, std::uint64_t next_block = 1,
                         Duration live = kSecond) {
    Stage stage;
    stage.resume.next_block = next_block;
    run_demo(stage, demo_setup("llm", stream, 10 * kMinute), live);
    std::vector<std::string> ids;
    const std::string text = stage.sink.text();
    for (std::size_t at = 0; (at = text.find("\"request_id\":\"", at)) != std::string::npos; ++at) {
      ids.push_back(text.substr(at + 14, 36));
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  const std::vector<std::string> requests = ids_of("llm_requests");
  const std::vector<std::string> responses = ids_of("llm_responses");
  CHECK(requests.size() > 6'000);
  CHECK(responses.size() > 5'900);
  CHECK(std::includes(requests.begin(), requests.end(), responses.begin(), responses.end()));
  // In a later process as well, but they are other calls.
  const std::vector<std::string> later = ids_of("llm_requests", 7, kMinute);
  const std::vector<std::string> answers = ids_of("llm_responses", 9, kMinute);
  CHECK(later.size() > 300);
  CHECK(answers.size() > 100);
  CHECK(std::includes(later.begin(), later.end(), answers.begin(), answers.end()));
  std::vector<std::string> common;
  std::set_intersection(requests.begin(), requests.end(), later.begin(), later.end(),
                        std::back_inserter(common));
  CHECK(common.empty());
}

TEST_CASE("a demo that cannot be is refused in words") {
  Stage stage;
  const auto unknown = make_source(demo_setup("nothing", "requests", 0), stage.runtime());
  REQUIRE(unknown.has_error());
  CHECK(unknown.error().message.find("unknown scenario \"nothing\"") != std::string::npos);
  const auto stream = make_source(demo_setup("llm", "other", 0), stage.runtime());
  REQUIRE(stream.has_error());
  CHECK(stream.error().message.find("llm_requests and llm_responses") != std::string::npos);
  SourceSetup still = demo_setup("services", "requests", 0);
  still.options.rate = 0;
  CHECK(make_source(still, stage.runtime()).has_error());
}
