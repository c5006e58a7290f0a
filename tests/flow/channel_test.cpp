#include "flow/channel.h"

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "flow/blocking_pool.h"
#include "flow/task_group.h"
#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using flow::BlockingPool;
using flow::Channel;
using flow::Conveyor;
using flow::TaskGroup;

/// Runs what was spawned to its end on `threads` threads.
void run(asio::io_context& io, int threads) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&io] { io.run(); });
  io.run();
  for (auto& t : others) t.join();
}

asio::awaitable<void> produce(Channel<std::unique_ptr<int>>& out, int count) {
  for (int i = 0; i < count; ++i) {
    auto item = std::make_unique<int>(i);
    const bool taken = co_await out.push(std::move(item));
    if (!taken) co_return;
  }
  out.close();
}

asio::awaitable<void> consume(Channel<std::unique_ptr<int>>& in, std::vector<int>& seen,
                              std::size_t max) {
  std::vector<std::unique_ptr<int>> batch;
  while (true) {
    batch.clear();
    const std::size_t count = co_await in.pop_batch(batch, max);
    if (count == 0) co_return;
    for (const auto& item : batch) seen.push_back(*item);
  }
}

void fail_test(const std::string& name, std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    FAIL_CHECK(name << ": " << e.what());
  }
}

}  // namespace

TEST_CASE("a channel keeps order and loses nothing, whichever side is slower", "[flow]") {
  for (const std::size_t capacity : {2, 8, 1024}) {
    for (const std::size_t max : {1, 3, 512}) {
      asio::io_context io;
      Channel<std::unique_ptr<int>> channel(capacity);
      std::vector<int> seen;
      TaskGroup tasks(fail_test);
      tasks.spawn(asio::make_strand(io), "produce", produce(channel, 20'000));
      tasks.spawn(asio::make_strand(io), "consume", consume(channel, seen, max));
      run(io, 2);
      REQUIRE(tasks.running() == 0);
      REQUIRE(seen.size() == 20'000);
      for (int i = 0; i < 20'000; ++i) {
        if (seen[static_cast<std::size_t>(i)] != i) FAIL("out of order at " << i);
      }
    }
  }
}

TEST_CASE("close keeps what is queued readable and refuses more", "[flow]") {
  asio::io_context io;
  Channel<int> channel(8);
  int one = 1;
  int two = 2;
  REQUIRE(channel.try_push(one));
  REQUIRE(channel.try_push(two));
  channel.close();
  int three = 3;
  CHECK_FALSE(channel.try_push(three));
  std::vector<int> out;
  CHECK(channel.try_pop_batch(out, 10) == 2);
  CHECK(out == std::vector<int>{1, 2});
}

namespace {
asio::awaitable<void> push_until_refused(Channel<int>& channel, int& pushed) {
  while (true) {
    const bool taken = co_await channel.push(7);
    if (!taken) co_return;
    ++pushed;
  }
}
}  // namespace

TEST_CASE("a producer that waits on a full channel is released by close", "[flow]") {
  asio::io_context io;
  Channel<int> channel(4);
  int pushed = 0;
  TaskGroup tasks(fail_test);
  tasks.spawn(asio::make_strand(io), "push", push_until_refused(channel, pushed));
  io.poll();  // Until it can do no more.
  CHECK(pushed == 4);
  channel.close();
  io.run();
  CHECK(tasks.running() == 0);
  CHECK(pushed == 4);
}

namespace {
asio::awaitable<void> produce_tagged(Conveyor<std::uint64_t>& conveyor, std::size_t self,
                                     int count) {
  for (int i = 0; i < count; ++i) {
    const std::uint64_t item = self << 32 | static_cast<std::uint64_t>(i);
    const bool taken = co_await conveyor[self].push(item);
    if (!taken) co_return;
  }
  conveyor[self].close();
}

asio::awaitable<void> consume_all(Conveyor<std::uint64_t>& conveyor,
                                  std::vector<std::uint64_t>& seen) {
  std::vector<std::uint64_t> batch;
  while (true) {
    batch.clear();
    const std::size_t count = co_await conveyor.pop_batch(batch, 16);
    if (count == 0) co_return;
    seen.insert(seen.end(), batch.begin(), batch.end());
  }
}
}  // namespace

TEST_CASE("a conveyor keeps each producer's order", "[flow]") {
  asio::io_context io;
  Conveyor<std::uint64_t> conveyor(3, 8);
  std::vector<std::uint64_t> seen;
  TaskGroup tasks(fail_test);
  for (std::size_t i = 0; i < 3; ++i) {
    tasks.spawn(asio::make_strand(io), "produce", produce_tagged(conveyor, i, 10'000));
  }
  tasks.spawn(asio::make_strand(io), "consume", consume_all(conveyor, seen));
  run(io, 3);
  REQUIRE(seen.size() == 30'000);
  std::uint64_t next[3] = {0, 0, 0};
  for (const std::uint64_t item : seen) CHECK((item & 0xffffffff) == next[item >> 32]++);
}

namespace {
asio::awaitable<void> use_pool(BlockingPool& pool, std::vector<std::string>& said) {
  const auto work = [] { return std::string(100, 'x'); };
  const std::string value = co_await pool.run(work);
  said.push_back(value);
  const auto bad = []() -> int { throw std::runtime_error("no such file"); };
  try {
    const int never = co_await pool.run(bad);
    said.push_back(std::to_string(never));
  } catch (const std::runtime_error& error) {
    said.push_back(error.what());
  }
  int effects = 0;
  const auto effect = [&effects] { ++effects; };
  co_await pool.run(effect);
  said.push_back(std::to_string(effects));
}
}  // namespace

TEST_CASE("the blocking pool gives back values and exceptions", "[flow]") {
  asio::io_context io;
  BlockingPool pool(2);
  std::vector<std::string> said;
  TaskGroup tasks(fail_test);
  tasks.spawn(asio::make_strand(io), "use", use_pool(pool, said));
  run(io, 2);
  CHECK(said == std::vector<std::string>{std::string(100, 'x'), "no such file", "1"});
}

namespace {
asio::awaitable<void> throw_something() {
  throw std::runtime_error("broken");
  co_return;
}
asio::awaitable<void> join_group(TaskGroup& group, bool& joined) {
  co_await group.join();
  joined = true;
}
}  // namespace

TEST_CASE("a task group records how its tasks ended and can be joined", "[flow]") {
  asio::io_context io;
  std::string failed;
  TaskGroup group([&failed](const std::string& name, std::exception_ptr) { failed = name; });
  group.spawn(asio::make_strand(io), "bad", throw_something());
  TaskGroup outer(fail_test);
  bool joined = false;
  outer.spawn(asio::make_strand(io), "join", join_group(group, joined));
  run(io, 2);
  CHECK(failed == "bad");
  CHECK(joined);
}

namespace {
struct Counted {
  static inline int alive = 0;
  int payload[4] = {1, 2, 3, 4};
  Counted() { ++alive; }
  Counted(const Counted&) { ++alive; }
  Counted(Counted&&) noexcept { ++alive; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() { --alive; }
};
asio::awaitable<int> take(Counted item) {
  co_return item.payload[3];
}
asio::awaitable<void> canary(int& sum) {
  // The form that is safe under g++ 12: a named local, moved. `co_await take(Counted{})` would be
  // destroyed twice by that compiler; this test is where to look when the rule seems superstitious.
  Counted named;
  sum += co_await take(std::move(named));
}
}  // namespace

TEST_CASE("canary: named locals survive co_await on this compiler", "[flow]") {
  asio::io_context io;
  int sum = 0;
  TaskGroup tasks(fail_test);
  tasks.spawn(asio::make_strand(io), "canary", canary(sum));
  run(io, 1);
  CHECK(sum == 4);
  CHECK(Counted::alive == 0);
}
