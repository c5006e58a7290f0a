// Bytes to columns: one block in, one EventBatch out.
//
// A Decoder belongs to one lane and one stream; it lives as long as the lane and is used on the
// lane's strand only. It keeps what makes the next block cheaper: the dictionaries of its string
// columns and the shapes of the events it has seen. It never fails: what cannot be taken becomes a
// dead letter in the batch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "decode/stream_plan.h"
#include "event/block.h"
#include "event/event_batch.h"

namespace streamobs::decode {

struct DecoderOptions {
  /// False: every event goes through the plain reader. Gives the same batches, more slowly; for
  /// tests and measurements.
  bool shapes = true;
  /// False: as on a CPU without AVX2. Gives the same batches too.
  bool wide_loops = true;
};

class Decoder {
 public:
  /// `source_names[id]` is what a dead letter calls source `id`; both outlive the decoder.
  Decoder(std::shared_ptr<const StreamPlan> plan, const std::vector<std::string>& source_names,
          DecoderOptions options = {});
  ~Decoder();

  /// Fills `out` (cleared first) from `block`, checks included. `out` keeps the block's bytes.
  void decode(const Block& block, EventBatch& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::decode
