// The coroutine shell round a synchronous operator: await the channel, call the operator, count,
// hand on what it says, close behind itself.
//
// Operators know no Asio, no clock and no file; this is the one place where they meet the loop. A
// stage lives from wiring until its input is closed and drained.
#pragma once

#include <utility>
#include <vector>

#include "flow/asio.h"
#include "flow/channel.h"
#include "telemetry/registry.h"

namespace streamobs::flow {

/// Runs `op` over everything that comes in: op.process(item, out) with `out` handed on to `next` in
/// order. Ends, and closes `next`, when `in` is closed and drained.
template <class In, class Out, class Operator, class Next>
asio::awaitable<void> run_stage(Channel<In>& in, Operator& op, Next& next,
                                telemetry::Counter& items) {
  std::vector<In> batch;
  std::vector<Out> out;
  while (true) {
    batch.clear();
    const std::size_t count = co_await in.pop_batch(batch, 64);
    if (count == 0) break;
    for (In& item : batch) op.process(item, out);
    items.add(count);
    for (Out& record : out) {
      const bool taken = co_await next.push(std::move(record));
      if (!taken) break;
    }
    out.clear();
  }
  next.close();
}

}  // namespace streamobs::flow
