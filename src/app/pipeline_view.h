// What people and programs see of the running engine: the state behind /api/v1/pipeline, the live
// pulse, and the gauges of /metrics that are asked for when somebody looks.
//
// Reads atomics and snapshots only, so it may be used on any thread. Lives as long as the topology.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "serve/state.h"

namespace streamobs::app {

class Topology;

class PipelineView {
 public:
  explicit PipelineView(Topology& topology);
  ~PipelineView();

  void register_metrics();
  std::vector<serve::StreamInfo> stream_infos() const;
  std::vector<serve::WindowInfo> window_infos() const;
  std::vector<serve::RowSource> views() const;
  std::vector<serve::StreamState> stream_states() const;
  serve::PipelineState pipeline() const;
  /// Events per second since the last call; one caller.
  serve::Pulse pulse();

 private:
  static std::size_t windows_open(const Topology& topology);
  void register_sink_metrics();
  void register_archive_metrics();
  serve::ConfigState config() const;
  std::vector<serve::StageState> stages() const;
  std::vector<serve::SourceState> sources() const;
  std::vector<serve::SinkState> sinks() const;
  std::vector<serve::LookupState> lookups() const;
  std::vector<serve::JoinState> joins() const;
  std::vector<serve::RuleState> rules() const;

  Topology& topology_;
  std::uint64_t pulse_events_ = 0;
  Timestamp pulse_at_ = 0;
};

}  // namespace streamobs::app
