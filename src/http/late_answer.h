// An answer that is given when the server that took the request may have gone: of a request that
// has the server itself replaced.
//
// Made by Exchange::answer_later(), which takes the client's connection out of the server. Any
// thread; the first send() counts. Without one the client sees the connection close.
#pragma once

#include <mutex>

#include "base/clock.h"
#include "http/exchange.h"
#include "http/listener.h"

namespace streamobs::http {

class LateAnswer {
 public:
  explicit LateAnswer(OwnedDescriptor client) : client_(std::move(client)) {}

  /// Sends it and closes. Blocks for at most two seconds, for a client that takes nothing.
  void send(const Response& response, Timestamp now);

 private:
  std::mutex mutex_;
  OwnedDescriptor client_;  ///< None: answered.
};

}  // namespace streamobs::http
