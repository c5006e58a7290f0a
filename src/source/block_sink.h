// Where a source puts its blocks: the topology's way on to decode.
//
// Implemented by the topology, which owns it and keeps it until every source has ended. One source
// pushes from one strand.
#pragma once

#include "event/block.h"
#include "flow/asio.h"

namespace streamobs::source {

class BlockSink {
 public:
  virtual ~BlockSink() = default;
  /// Waits while the engine is busy: that is the backpressure a source feels. False: the engine is
  /// shutting down, the block was not taken and the source shall end.
  virtual asio::awaitable<bool> push(Block block) = 0;
};

}  // namespace streamobs::source
