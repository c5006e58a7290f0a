#include "loadgen/report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace streamobs::loadgen {
namespace {
const double kLogStep = std::log(1.05);
}  // namespace

void LatencyHistogram::record(Duration latency) {
  const double us = static_cast<double>(std::max<Duration>(latency, 1));
  const auto bucket = static_cast<std::size_t>(std::ceil(std::log(us) / kLogStep));
  ++buckets_[std::min(bucket, buckets_.size() - 1)];
  ++count_;
}

Duration LatencyHistogram::quantile(double q) const {
  const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > rank || (seen == count_ && count_ != 0)) {
      return std::llround(std::exp(kLogStep * static_cast<double>(i)));
    }
  }
  return 0;
}

std::uint64_t Report::generated_total() const {
  return std::accumulate(generated.begin(), generated.end(), std::uint64_t{0});
}

std::string Report::to_text(Output output) const {
  const double seconds = std::max(static_cast<double>(elapsed) / kSecond, 1e-6);
  const double total = static_cast<double>(generated_total());
  std::string text =
      fmt::format("{} events, {:.1f} MB in {:.2f} s: {:.0f} events/s, {:.1f} MB/s{}\n",
                  generated_total(), static_cast<double>(bytes) / 1e6, seconds, total / seconds,
                  static_cast<double>(bytes) / 1e6 / seconds, interrupted ? " (interrupted)" : "");
  if (output == Output::kafka) {
    text += fmt::format("{} delivered, {} not delivered\n", accepted, undelivered);
  }
  if (output != Output::http) return text;
  text += fmt::format("{} accepted, {} rejected, {} not delivered; {} requests, {} retries\n",
                      accepted, rejected, undelivered, requests, retries);
  if (resent != 0) {
    text += fmt::format("{} events were sent again after a broken connection{}\n", resent,
                        keyed ? ", under the same Idempotency-Key" : " and may count twice");
  }
  if (latency.count() != 0) {
    text += fmt::format("request latency p50 {:.2f} ms, p99 {:.2f} ms\n",
                        static_cast<double>(latency.quantile(0.50)) / 1e3,
                        static_cast<double>(latency.quantile(0.99)) / 1e3);
  }
  return text;
}

}  // namespace streamobs::loadgen
