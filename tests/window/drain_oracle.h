// Drain in a few plain lines, for the tests of templates, and messages to try it on.
#pragma once

#include <algorithm>
#include <cctype>
#include <list>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "window/template_text.h"

namespace window_test {

/// Looks at every template there is; beyond `most` the one used longest ago is forgotten. Knows no
/// bound on the words that templates are told apart by: those of random_message() are fewer.
class DrainOracle {
 public:
  explicit DrainOracle(std::size_t most) : most_(most) {}

  struct Found {
    std::uint64_t id = 0;  ///< 0: no words.
    bool is_new = false;
    std::string text;
  };

  Found add(std::string_view message) {
    std::vector<std::string> words;
    for (const std::string_view word : text_.split(message)) words.emplace_back(word);
    if (words.empty()) return {};
    Template* best = nullptr;
    std::pair<std::size_t, std::size_t> best_score{0, 0};
    for (Template& t : templates_) {
      if (t.words.size() != words.size() || t.keys != keys_of(words)) continue;
      std::pair<std::size_t, std::size_t> score{0, 0};
      for (std::size_t i = 0; i < words.size(); ++i) {
        score.first += t.words[i] == words[i] ? 1 : 0;
        score.second += t.words[i] == "<*>" ? 1 : 0;
      }
      if (score.first * 10 < words.size() * 6) continue;
      if (best != nullptr && score <= best_score) continue;
      best = &t;
      best_score = score;
    }
    const bool is_new = best == nullptr;
    if (is_new) {
      if (templates_.size() == most_) {
        templates_.erase(
            std::min_element(templates_.begin(), templates_.end(),
                             [](const auto& a, const auto& b) { return a.used < b.used; }));
      }
      best = &templates_.emplace_back(Template{++last_id_, 0, keys_of(words), words});
    }
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (best->words[i] != words[i]) best->words[i] = "<*>";
    }
    best->used = ++messages_;
    Found found{best->id, is_new, ""};
    for (const std::string& word : best->words)
      found.text += (found.text.empty() ? "" : " ") + word;
    return found;
  }

 private:
  struct Template {
    std::uint64_t id;
    std::uint64_t used;
    std::pair<std::string, std::string> keys;
    std::vector<std::string> words;
  };

  static std::pair<std::string, std::string> keys_of(const std::vector<std::string>& words) {
    const auto key = [&words](std::size_t i) {
      const bool letters =
          i < words.size() && std::any_of(
                                  words[i].begin(), words[i].end(),
                                  [](unsigned char c) { return std::isalpha(c) != 0 || c > 127; });
      return letters && words[i].find("<*>") == std::string::npos ? words[i] : std::string("<*>");
    };
    return {key(0), key(1)};
  }

  std::size_t most_;
  streamobs::window::TemplateText text_;
  std::list<Template> templates_;  ///< By rising number.
  std::uint64_t last_id_ = 0;
  std::uint64_t messages_ = 0;
};

/// A message of few words, so that many are alike.
inline std::string random_message(std::mt19937_64& random) {
  static const std::vector<std::string> kWords = {"user", "disk", "from", "a",    "b", "failed",
                                                  "at",   "7",    "x=1",  "[ok]", "/", "é"};
  std::string out;
  const std::size_t size = 1 + random() % 6;
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t which = random() % kWords.size();
    out += (i == 0 ? "" : " ") + kWords[which];
  }
  return out;
}

}  // namespace window_test
