// What mining the templates of messages costs: CPU time a message, for logs of few kinds and of
// many, beside splitting and masking alone. The miner runs in one place for all lanes, so that 1 s
// divided by this is the most messages a second that a stream with `template` can take.
//
// Messages of about 65 bytes and 9 words, two of which vary (a number and a name), warm in memory;
// for the worst, also of 102 words and a thousand kinds. The median of the rounds counts. With a
// file instead, its lines are the messages. Build: Release.
//
//   bench_templates [rounds] [FILE]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <time.h>
#include <vector>

#include "window/template_miner.h"
#include "window/template_text.h"

namespace {

using streamobs::window::TemplateMiner;
using streamobs::window::TemplateText;

constexpr std::size_t kWords = 1'400'000;
constexpr std::size_t kTemplatesMax = 5'000;

std::string letters(std::mt19937_64& random, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>('a' + random() % 26);
  return out;
}

std::vector<std::string> made_up(std::size_t kinds, std::size_t words_of_kind) {
  std::mt19937_64 random(42);
  std::vector<std::vector<std::string>> words(kinds);
  for (auto& kind : words) {
    for (std::size_t i = 0; i < words_of_kind; ++i)
      kind.push_back(letters(random, 4 + random() % 6));
  }
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < kWords / words_of_kind; ++i) {
    const std::vector<std::string>& kind = words[random() % kinds];
    std::string message = kind[0] + " " + kind[1] + " " + std::to_string(random() % 1'000'000);
    for (std::size_t w = 2; w < kind.size(); ++w) message += " " + kind[w];
    message += " ";
    message += letters(random, 6);
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<std::string> lines_of(const char* path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

template <class F>
double median_ns(std::size_t rounds, std::size_t messages, F run) {
  std::vector<double> all;
  for (std::size_t i = 0; i < rounds; ++i) {
    const double before = cpu_ns();
    run();
    all.push_back((cpu_ns() - before) / static_cast<double>(messages));
  }
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

void measure(const char* what, const std::vector<std::string>& messages, std::size_t rounds) {
  std::size_t words = 0;
  TemplateText text;
  const double split = median_ns(rounds, messages.size(), [&] {
    for (const std::string& message : messages) words += text.split(message).size();
  });
  TemplateMiner miner(kTemplatesMax);
  const double mine = median_ns(rounds, messages.size(), [&] {
    for (const std::string& message : messages) words += miner.add(message).id;
  });
  std::string snapshot;
  miner.snapshot(snapshot);
  std::printf(
      "%-16s %6.0f ns a message, of that %4.0f splitting; %5zu templates, %zu KiB, "
      "snapshot %zu KiB%s\n",
      what, mine, split, miner.templates(), miner.bytes() >> 10, snapshot.size() >> 10,
      words == 0 ? " " : "");
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  if (argc > 2) {
    const std::vector<std::string> lines = lines_of(argv[2]);
    if (lines.empty()) {
      std::fprintf(stderr, "%s: no lines in it\n", argv[2]);
      return 1;
    }
    measure(argv[2], lines, rounds);
    return 0;
  }
  measure("10 kinds", made_up(10, 7), rounds);
  measure("100 kinds", made_up(100, 7), rounds);
  measure("1000 kinds", made_up(1000, 7), rounds);
  measure("1000 long kinds", made_up(1000, 100), rounds);
  return 0;
}
