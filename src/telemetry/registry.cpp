#include "telemetry/registry.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <stdexcept>

#include <fmt/format.h>

namespace streamobs::telemetry {

namespace {

enum class Type { counter, gauge, histogram };

std::string_view type_name(Type type) {
  switch (type) {
    case Type::counter:
      return "counter";
    case Type::gauge:
      return "gauge";
    case Type::histogram:
      return "histogram";
  }
  return "unknown";
}

// Both formats escape alike in label values. In help text Prometheus 0.0.4 leaves quotes alone,
// OpenMetrics escapes them.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void append_number(std::string& out, double v) {
  if (std::isnan(v)) {
    out += "NaN";
  } else if (std::isinf(v)) {
    out += v > 0 ? "+Inf" : "-Inf";
  } else {
    fmt::format_to(std::back_inserter(out), "{}", v);
  }
}

// {a="b",c="d"}, or nothing where there are no labels.
std::string label_text(const Labels& labels) {
  if (labels.empty()) return {};
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    if (out.size() > 1) out += ',';
    out += name;
    out += "=\"";
    append_escaped(out, value, true);
    out += '"';
  }
  out += '}';
  return out;
}

// The same labels in any order are the same series.
Labels sorted(Labels labels) {
  std::sort(labels.begin(), labels.end());
  return labels;
}

bool valid_name(std::string_view name, bool colon) {
  if (name.empty()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (!letter && !(digit && i > 0) && !(c == ':' && colon)) return false;
  }
  return true;
}

constexpr std::string_view kTotal = "_total";

// OpenMetrics names a counter's family without _total; its sample keeps it.
std::string_view family_name(std::string_view name, Type type, Registry::Exposition exposition) {
  if (exposition == Registry::Exposition::openmetrics && type == Type::counter) {
    name.remove_suffix(kTotal.size());
  }
  return name;
}

struct Series {
  Labels labels;
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  const void* owner = nullptr;   ///< Of `read`.
  std::function<double()> read;  ///< A gauge that is asked.
};

struct Family {
  Type type = Type::counter;
  std::string help;
  std::vector<double> bounds;            ///< Of a histogram; the first registration decides.
  std::map<std::string, Series> series;  ///< By label text, so that output is in a fixed order.
};

double gauge_value(const Series& series) {
  return series.read ? series.read() : series.gauge->value();
}

double value_of(const Series& series) {
  if (series.counter) return static_cast<double>(series.counter->value());
  return series.read || series.gauge ? gauge_value(series) : 0;
}

void append_histogram(std::string& out, std::string_view name, const std::string& labels,
                      const Histogram& histogram) {
  // `le` joins the labels that are there.
  const std::string open = labels.empty() ? "{" : labels.substr(0, labels.size() - 1) + ",";
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
    cumulative += histogram.bucket(i);
    fmt::format_to(std::back_inserter(out), "{}_bucket{}le=\"", name, open);
    if (i < histogram.bounds().size()) {
      const double bound = histogram.bounds()[i];
      // OpenMetrics wants floats in canonical form: 1.0, not 1.
      fmt::format_to(std::back_inserter(out), "{}{}", bound,
                     bound == std::floor(bound) && std::abs(bound) < 1e16 ? ".0" : "");
    } else {
      out += "+Inf";
    }
    fmt::format_to(std::back_inserter(out), "\"}} {}\n", cumulative);
  }
  fmt::format_to(std::back_inserter(out), "{}_sum{} ", name, labels);
  append_number(out, histogram.sum());
  // The count is what the buckets say, so that a reader never sees +Inf and count disagree.
  fmt::format_to(std::back_inserter(out), "\n{}_count{} {}\n", name, labels, cumulative);
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)) {
  if (!std::is_sorted(bounds_.begin(), bounds_.end(), std::less_equal<>())) {
    throw std::logic_error("a histogram's bounds must ascend");
  }
  counts_ = std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1);
}

void Histogram::observe(double v) {
  // Upper bounds are inclusive; NaN is counted beyond all of them.
  const auto bound =
      std::isnan(v) ? bounds_.end() : std::lower_bound(bounds_.begin(), bounds_.end(), v);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())].fetch_add(1,
                                                                       std::memory_order_relaxed);
  double sum = sum_.load(std::memory_order_relaxed);
  while (!sum_.compare_exchange_weak(sum, sum + v, std::memory_order_relaxed)) {
  }
}

std::vector<double> latency_bounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
          0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
}

struct Registry::Impl {
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;

  Family& family(std::string_view name, Type type, std::string_view help) {
    auto found = families.find(name);
    if (found == families.end()) {
      if (!valid_name(name, true)) {
        throw std::logic_error(fmt::format("'{}' is not a metric name", name));
      }
      if ((type == Type::counter) != name.ends_with(kTotal)) {
        throw std::logic_error(fmt::format("{}: counters, and only they, end in _total", name));
      }
      found = families.emplace(std::string(name), Family{}).first;
      found->second.type = type;
      found->second.help = help;
    }
    if (found->second.type != type) {
      throw std::logic_error(fmt::format("metric {} is a {} and was asked for as a {}", name,
                                         type_name(found->second.type), type_name(type)));
    }
    return found->second;
  }

  // The series of these labels; the shared one when there are too many.
  Series& series(Family& family, Labels labels) {
    for (const auto& [label, value] : labels) {
      if (!valid_name(label, false) || label == "le") {
        throw std::logic_error(fmt::format("'{}' is not a label name", label));
      }
    }
    labels = sorted(std::move(labels));
    std::string text = label_text(labels);
    if (const auto found = family.series.find(text); found != family.series.end()) {
      return found->second;
    }
    if (family.series.size() >= kMaxSeries) {
      labels = {{"overflow", "true"}};
      text = label_text(labels);
    }
    Series& made = family.series[text];
    made.labels = std::move(labels);
    return made;
  }

  const Series* find(std::string_view name, const Labels& labels) const {
    const auto found = families.find(name);
    if (found == families.end()) return nullptr;
    const auto at = found->second.series.find(label_text(sorted(labels)));
    return at == found->second.series.end() ? nullptr : &at->second;
  }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, Labels labels) {
  const std::lock_guard lock(impl_->mutex);
  Series& series = impl_->series(impl_->family(name, Type::counter, help), std::move(labels));
  if (!series.counter) series.counter = std::make_unique<Counter>();
  return *series.counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, Labels labels) {
  const std::lock_guard lock(impl_->mutex);
  Series& series = impl_->series(impl_->family(name, Type::gauge, help), std::move(labels));
  if (!series.gauge) series.gauge = std::make_unique<Gauge>();
  return *series.gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help,
                               std::vector<double> bounds, Labels labels) {
  const std::lock_guard lock(impl_->mutex);
  Family& family = impl_->family(name, Type::histogram, help);
  if (family.series.empty()) family.bounds = std::move(bounds);
  Series& series = impl_->series(family, std::move(labels));
  if (!series.histogram) series.histogram = std::make_unique<Histogram>(family.bounds);
  return *series.histogram;
}

void Registry::gauge_callback(const void* owner, std::string_view name, std::string_view help,
                              Labels labels, std::function<double()> read) {
  const std::lock_guard lock(impl_->mutex);
  Series& series = impl_->series(impl_->family(name, Type::gauge, help), std::move(labels));
  series.owner = owner;
  series.read = std::move(read);
}

void Registry::remove_callbacks(const void* owner) {
  const std::lock_guard lock(impl_->mutex);
  for (auto& [name, family] : impl_->families) {
    std::erase_if(family.series, [&](const auto& item) {
      const Series& series = item.second;
      // A handle someone holds must keep its address: only its callback goes.
      return series.read && series.owner == owner && !series.gauge;
    });
    for (auto& [text, series] : family.series) {
      if (series.owner == owner) series.read = nullptr;
    }
  }
}

std::string Registry::render(Exposition exposition) const {
  const std::lock_guard lock(impl_->mutex);
  const bool openmetrics = exposition == Exposition::openmetrics;
  std::string out;
  for (const auto& [name, family] : impl_->families) {
    if (family.series.empty()) continue;
    const std::string_view described = family_name(name, family.type, exposition);
    fmt::format_to(std::back_inserter(out), "# HELP {} ", described);
    append_escaped(out, family.help, openmetrics);
    fmt::format_to(std::back_inserter(out), "\n# TYPE {} {}\n", described, type_name(family.type));
    for (const auto& [labels, series] : family.series) {
      switch (family.type) {
        case Type::counter:
          fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, labels,
                         series.counter->value());
          break;
        case Type::gauge:
          fmt::format_to(std::back_inserter(out), "{}{} ", name, labels);
          append_number(out, gauge_value(series));
          out += '\n';
          break;
        case Type::histogram:
          append_histogram(out, name, labels, *series.histogram);
          break;
      }
    }
  }
  if (openmetrics) out += "# EOF\n";
  return out;
}

double Registry::value(std::string_view name, const Labels& labels) const {
  const std::lock_guard lock(impl_->mutex);
  const Series* const series = impl_->find(name, labels);
  return series == nullptr ? 0 : value_of(*series);
}

double Registry::total(std::string_view name, const Labels& labels) const {
  const std::lock_guard lock(impl_->mutex);
  const auto family = impl_->families.find(name);
  if (family == impl_->families.end()) return 0;
  double sum = 0;
  for (const auto& [text, series] : family->second.series) {
    const bool wanted = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      return std::find(series.labels.begin(), series.labels.end(), label) != series.labels.end();
    });
    if (wanted) sum += value_of(series);
  }
  return sum;
}

}  // namespace streamobs::telemetry
