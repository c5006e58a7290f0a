#include "config/include.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "config/variables.h"

namespace streamobs::config {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kInclude = "include";

void put_over(Value& under, Value over) {
  under.span = over.span;
  for (Entry& entry : over.entries) {
    const auto same = std::find_if(under.entries.begin(), under.entries.end(),
                                   [&](const Entry& e) { return e.key == entry.key; });
    if (same == under.entries.end()) {
      under.entries.push_back(std::move(entry));
      continue;
    }
    same->key_span = entry.key_span;
    if (same->value.kind == Value::Kind::table && entry.value.kind == Value::Kind::table) {
      put_over(same->value, std::move(entry.value));
    } else {
      same->value = std::move(entry.value);
    }
  }
}

/// The same file has the same one, whatever it is called.
std::string identity(const std::string& path) {
  std::error_code ignored;
  const fs::path canonical = fs::weakly_canonical(path, ignored);
  return canonical.empty() ? path : canonical.string();
}

class Includer {
 public:
  Includer(std::deque<SourceFile>& files, Report& report) : files_(files), report_(report) {}

  /// What a file says over what it includes. False after an error.
  bool compose(Value& own, const std::string& name) {
    const Value* const list = own.find(kInclude);
    if (list == nullptr) return true;
    if (list->kind != Value::Kind::array) {
      report_.error(
          list->span, fmt::format("include: expected a list of files, found {}", describe(*list)),
          list->kind == Value::Kind::string ? fmt::format("write include = [\"{}\"]", list->text)
                                            : std::string("write include = [\"base.toml\"]"));
      return false;
    }
    open_.push_back({name, identity(name)});
    Value all;
    bool good = true;
    for (const Value& item : list->items) {
      std::optional<Value> included = read(item);
      good = good && included;
      if (included) put_over(all, std::move(*included));
    }
    open_.pop_back();
    std::erase_if(own.entries, [](const Entry& entry) { return entry.key == kInclude; });
    put_over(all, std::move(own));
    own = std::move(all);
    return good;
  }

 private:
  struct Open {
    std::string name;
    std::string identity;
  };

  std::optional<Value> read(Value item) {
    if (item.kind != Value::Kind::string || item.text.empty()) {
      report_.error(item.span,
                    fmt::format("include: expected the path of a file, found {}", describe(item)));
      return std::nullopt;
    }
    if (!put_variables(item, report_)) return std::nullopt;
    const std::string path =
        (fs::path(open_.back().name).parent_path() / item.text).lexically_normal().string();
    if (!may_open(item, path)) return std::nullopt;
    const Result<std::string> text = read_text(path);
    if (text.has_error()) {
      report_.error(item.span,
                    fmt::format("include: cannot read {}: {}", path, text.error().message),
                    "a relative path begins in the folder of the file that includes it");
      return std::nullopt;
    }
    const SourceFile& file = files_.emplace_back(text->substr(0, kFileBytesMax), path);
    report_.add_file(file);
    std::optional<Value> root = parse_toml(file, *text, report_);
    if (root && !compose(*root, path)) root.reset();
    return root;
  }

  bool may_open(const Value& item, const std::string& path) {
    const std::string wanted = identity(path);
    const auto again = std::find_if(open_.begin(), open_.end(),
                                    [&](const Open& open) { return open.identity == wanted; });
    if (again != open_.end()) {
      std::string way;
      for (auto open = again; open != open_.end(); ++open) way += open->name + " → ";
      report_.error(item.span,
                    fmt::format("include: {}{}: the file would include itself", way, path),
                    "remove one of these includes");
      return false;
    }
    if (open_.size() >= kIncludeDepthMax) {
      report_.error(item.span, fmt::format("include: more than {} files deep", kIncludeDepthMax));
      return false;
    }
    if (files_.size() > kIncludedFilesMax) {
      report_.error(item.span, fmt::format("include: more than {} files", kIncludedFilesMax));
      return false;
    }
    return true;
  }

  std::deque<SourceFile>& files_;
  Report& report_;
  std::vector<Open> open_;  ///< From the given file to the one that is being read.
};

}  // namespace

std::optional<Value> with_includes(Value root, std::deque<SourceFile>& files, Report& report) {
  Includer includer(files, report);
  if (!includer.compose(root, files.front().name())) return std::nullopt;
  return root;
}

Result<std::string> read_text(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.eof() && !in) {
    return fail(ErrorCode::io,
                errno != 0 ? std::generic_category().message(errno) : "it is no file");
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

}  // namespace streamobs::config
