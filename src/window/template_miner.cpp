#include "window/template_miner.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "window/template_text.h"

namespace streamobs::window {

namespace {

constexpr std::uint8_t kVersion = 1;
/// A message joins a template with which it shares kSharedParts of kParts of its words.
constexpr std::size_t kSharedParts = 3;
constexpr std::size_t kParts = 5;
/// Numbers are columns of whole numbers.
constexpr std::uint64_t kNextIdMax = std::uint64_t{1} << 62;
constexpr std::size_t kWordsMax = TemplateText::kMaxWords + 1;

/// A word that says which kind of message it is: no value, and not only punctuation.
bool is_telling(std::string_view word) {
  if (word.find(kWildcard) != std::string_view::npos) return false;
  return std::any_of(word.begin(), word.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
  });
}

/// What stands for a word in the key of a group.
std::string_view key_of(std::string_view word) {
  return is_telling(word) ? word : kWildcard;
}

/// The same for words that there was no room for; no word is a blank.
constexpr std::string_view kOthers = " ";

void set_key(std::string& key, const std::string& parent, std::string_view word) {
  key = parent;
  put_text(key, word);
}

constexpr std::uint8_t kFirstOfOthers = 1;
constexpr std::uint8_t kSecondOfOthers = 2;

}  // namespace

struct TemplateMiner::Impl {
  struct Template;
  using Templates = std::list<Template>;  ///< The one used longest ago stands first.
  /// Templates of one number of words and the same first two words, by rising number.
  using Group = std::vector<Templates::iterator>;

  struct Template {
    std::uint64_t id = 0;
    /// Whether it stands with the others, for which there was no room by first or by second word.
    bool first_of_others = false;
    bool second_of_others = false;
    std::vector<std::string> words;
    std::vector<std::uint64_t> hashes;  ///< Of the words.
    std::size_t wildcards = 0;          ///< Words that are nothing else.
    std::string text;
    std::size_t bytes = 0;   ///< Memory it held when it was made, about.
    std::uint64_t used = 0;  ///< When it was used last, in messages; decides within a group.

    void set_text() {
      text.clear();
      for (const std::string& word : words) {
        if (!text.empty()) text += ' ';
        text += word;
      }
    }
  };

  /// Where a template stands: by its number of words, its first word too, its second word too.
  struct Place {
    std::string root, branch, group;
  };

  explicit Impl(std::size_t max) : templates_max(std::max<std::size_t>(max, 1)) {}

  Found add(std::string_view message);
  Template* find(const std::vector<std::string_view>& message_words);
  void choose_group(Template& made) const;
  static Place place_of(const Template& of);
  Template* most_alike(Group& group);
  void generalise(Template& found);
  Template& make(const std::vector<std::string_view>& message_words);
  void insert(Template&& made);
  void forget(Templates::iterator which);
  Result<> read(std::string_view snapshot);
  bool read_template(ByteReader& in, Template& out) const;

  std::size_t templates_max;
  Templates templates;
  std::unordered_map<std::string, Group> groups;
  /// How many branches there are of a number of words, and groups of a branch.
  std::unordered_map<std::string, std::size_t> children;
  std::uint64_t next_id = 1;
  std::uint64_t messages = 0;
  std::uint64_t forgotten = 0;
  std::size_t bytes = 0;

  // Of the message in hand.
  TemplateText text;
  std::vector<std::uint64_t> hashes;
  std::string root_key, branch_key, group_key;
};

TemplateMiner::Found TemplateMiner::Impl::add(std::string_view message) {
  const std::vector<std::string_view>& words = text.split(message);
  if (words.empty()) return {};
  ++messages;
  hashes.clear();
  for (const std::string_view word : words) hashes.push_back(hash_bytes(word));
  if (Template* const found = find(words)) {
    generalise(*found);
    found->used = messages;
    return {found->id, false, found->text};
  }
  const Template& made = make(words);
  return {made.id, true, made.text};
}

/// The template the message follows, in any of the groups it may have been put into; null: none.
TemplateMiner::Impl::Template* TemplateMiner::Impl::find(
    const std::vector<std::string_view>& message_words) {
  root_key.clear();
  put_varint(root_key, message_words.size());
  const std::string_view second = message_words.size() > 1 ? message_words[1] : kWildcard;
  for (const std::string_view first : {key_of(message_words[0]), kOthers}) {
    set_key(branch_key, root_key, first);
    if (!children.contains(branch_key)) continue;
    for (const std::string_view behind : {key_of(second), kOthers}) {
      set_key(group_key, branch_key, behind);
      const auto group = groups.find(group_key);
      if (group == groups.end()) continue;
      if (Template* const found = most_alike(group->second)) return found;
    }
  }
  return nullptr;
}

/// Puts a new template with the others where there is no room for one more first or second word.
void TemplateMiner::Impl::choose_group(Template& made) const {
  const auto is_full = [this](const std::string& parent, std::size_t most) {
    const auto siblings = children.find(parent);
    return siblings != children.end() && siblings->second >= most;
  };
  const Place by_first = place_of(made);
  made.first_of_others =
      !children.contains(by_first.branch) && is_full(by_first.root, kFirstWordsMax);
  const Place by_second = place_of(made);
  made.second_of_others =
      !groups.contains(by_second.group) && is_full(by_second.branch, kSecondWordsMax);
}

/// It follows from what is kept of the template, for as long as that lives: a word that is part of
/// its place is the same in all of its messages, or none that tells.
TemplateMiner::Impl::Place TemplateMiner::Impl::place_of(const Template& of) {
  Place place;
  put_varint(place.root, of.words.size());
  set_key(place.branch, place.root, of.first_of_others ? kOthers : key_of(of.words[0]));
  const std::string_view second = of.words.size() > 1 ? key_of(of.words[1]) : kWildcard;
  set_key(place.group, place.branch, of.second_of_others ? kOthers : second);
  return place;
}

/// Null where none is alike enough. Of equally good ones the one with more wildcards, then the
/// oldest.
TemplateMiner::Impl::Template* TemplateMiner::Impl::most_alike(Group& group) {
  Templates::iterator best;
  std::size_t best_shared = 0;
  for (const Templates::iterator candidate : group) {
    std::size_t shared = 0;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      shared += candidate->hashes[i] == hashes[i] ? 1 : 0;
    }
    if (shared * kParts < hashes.size() * kSharedParts || shared < best_shared) continue;
    if (shared == best_shared && candidate->wildcards <= best->wildcards) continue;
    best = candidate;
    best_shared = shared;
  }
  if (best_shared == 0) return nullptr;
  templates.splice(templates.end(), templates, best);
  return &*best;
}

/// Words in which the message differs become wildcards.
void TemplateMiner::Impl::generalise(Template& found) {
  static const std::uint64_t kWildcardHash = hash_bytes(kWildcard);
  bool changed = false;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    if (found.hashes[i] == hashes[i] || found.hashes[i] == kWildcardHash) continue;
    found.words[i] = kWildcard;
    found.hashes[i] = kWildcardHash;
    ++found.wildcards;
    changed = true;
  }
  if (changed) found.set_text();
}

TemplateMiner::Impl::Template& TemplateMiner::Impl::make(
    const std::vector<std::string_view>& message_words) {
  if (templates.size() >= templates_max) forget(templates.begin());
  Template made;
  made.id = next_id++;
  made.words.assign(message_words.begin(), message_words.end());
  made.used = messages;
  choose_group(made);
  const auto group = groups.find(place_of(made).group);
  if (group != groups.end() && group->second.size() >= kGroupMax) {
    forget(*std::min_element(group->second.begin(), group->second.end(),
                             [](const auto& a, const auto& b) { return a->used < b->used; }));
  }
  insert(std::move(made));
  return templates.back();
}

/// As the one used last.
void TemplateMiner::Impl::insert(Template&& made) {
  made.hashes.clear();
  made.wildcards = 0;
  for (const std::string& word : made.words) {
    made.hashes.push_back(hash_bytes(word));
    made.wildcards += word == kWildcard ? 1 : 0;
  }
  made.set_text();
  templates.push_back(std::move(made));
  const Templates::iterator kept = std::prev(templates.end());
  const Place place = place_of(*kept);
  kept->bytes = sizeof(Template) + kept->text.size() * 2 + place.group.size() +
                kept->words.size() * (sizeof(std::string) + sizeof(std::uint64_t));
  bytes += kept->bytes;
  Group& group = groups[place.group];
  if (group.empty() && children[place.branch]++ == 0) ++children[place.root];
  const auto behind = std::upper_bound(
      group.begin(), group.end(), kept,
      [](const Templates::iterator& a, const Templates::iterator& b) { return a->id < b->id; });
  group.insert(behind, kept);
}

void TemplateMiner::Impl::forget(Templates::iterator which) {
  const Place place = place_of(*which);
  const auto group = groups.find(place.group);
  group->second.erase(std::find(group->second.begin(), group->second.end(), which));
  const auto one_less = [this](const std::string& key) {
    const auto parent = children.find(key);
    if (--parent->second != 0) return false;
    children.erase(parent);
    return true;
  };
  if (group->second.empty()) {
    groups.erase(group);
    if (one_less(place.branch)) one_less(place.root);
  }
  bytes -= which->bytes;
  templates.erase(which);
  ++forgotten;
}

TemplateMiner::TemplateMiner(std::size_t templates_max)
    : impl_(std::make_unique<Impl>(templates_max)) {}
TemplateMiner::~TemplateMiner() = default;
TemplateMiner::TemplateMiner(TemplateMiner&&) noexcept = default;
TemplateMiner& TemplateMiner::operator=(TemplateMiner&&) noexcept = default;

TemplateMiner::Found TemplateMiner::add(std::string_view message) {
  return impl_->add(message);
}

std::size_t TemplateMiner::templates() const {
  return impl_->templates.size();
}

std::uint64_t TemplateMiner::forgotten() const {
  return impl_->forgotten;
}

std::size_t TemplateMiner::bytes() const {
  return impl_->bytes;
}

void TemplateMiner::snapshot(std::string& out) const {
  put_u8(out, kVersion);
  put_varint(out, impl_->next_id);
  put_varint(out, impl_->templates.size());
  for (const Impl::Template& t : impl_->templates) {
    put_varint(out, t.id);
    put_u8(out, static_cast<std::uint8_t>((t.first_of_others ? kFirstOfOthers : 0) |
                                          (t.second_of_others ? kSecondOfOthers : 0)));
    put_varint(out, t.words.size());
    for (const std::string& word : t.words) put_text(out, word);
  }
}

bool TemplateMiner::Impl::read_template(ByteReader& in, Template& out) const {
  out.id = in.varint();
  const std::uint8_t others = in.u8();
  out.first_of_others = (others & kFirstOfOthers) != 0;
  out.second_of_others = (others & kSecondOfOthers) != 0;
  const std::size_t n = in.count();
  if (!in.ok() || out.id == 0 || out.id >= next_id || n == 0 || n > kWordsMax) return false;
  if ((others & ~(kFirstOfOthers | kSecondOfOthers)) != 0) return false;
  std::size_t size = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::string_view word = in.text();
    if (word.empty()) return false;
    size += word.size();
    out.words.emplace_back(word);
  }
  return in.ok() && size <= TemplateText::kMaskedBytesMax;
}

Result<> TemplateMiner::Impl::read(std::string_view snapshot) {
  const auto corrupt = [](std::string what) {
    return streamobs::fail(ErrorCode::corrupt, "templates: " + what);
  };
  ByteReader in(snapshot);
  const std::uint8_t version = in.u8();
  if (!in.ok()) return corrupt("empty");
  if (version != kVersion) return corrupt(fmt::format("version {} is not known", version));
  next_id = in.varint();
  const std::size_t n = in.count();
  if (!in.ok() || next_id == 0 || next_id > kNextIdMax || n >= next_id) return corrupt("damaged");
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < n; ++i) {
    Template one;
    if (!read_template(in, one)) return corrupt(fmt::format("template {} is damaged", i));
    ids.push_back(one.id);
    one.used = ++messages;
    if (n - i > templates_max) continue;  // Fewer may be kept now.
    const auto group = groups.find(place_of(one).group);
    if (group != groups.end() && group->second.size() >= kGroupMax) {
      return corrupt(fmt::format("template {} is one too many of its kind", i));
    }
    insert(std::move(one));
  }
  std::sort(ids.begin(), ids.end());
  if (!in.at_end() || std::adjacent_find(ids.begin(), ids.end()) != ids.end()) {
    return corrupt("damaged");
  }
  return {};
}

Result<> TemplateMiner::restore(std::string_view snapshot) {
  auto fresh = std::make_unique<Impl>(impl_->templates_max);
  if (Result<> read = fresh->read(snapshot); read.has_error()) return read;
  impl_ = std::move(fresh);
  return {};
}

}  // namespace streamobs::window
