// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include <caf/typed_response_promise.hpp>

#include "troupe/actors/protocol/errors.hpp"
#include "troupe/core/error.hpp"

namespace troupe::call {

/// The answer an actor owes. CAF 0.17 says nothing when a promise is dropped;
/// this one then delivers an error, so that nobody waits in vain. Copies share
/// the promise; only the first delivery counts.
template <class T>
class reply {
public:
  explicit reply(caf::typed_response_promise<T> promise)
    : state_(std::make_shared<state>(std::move(promise))) {
    // nop
  }

  void deliver(result<T> answer) const {
    if (std::exchange(state_->delivered, true))
      return;
    if (answer)
      state_->promise.deliver(std::move(*answer));
    else
      state_->promise.deliver(protocol::to_caf(answer.error()));
  }

  /// What the message handler returns.
  [[nodiscard]] caf::typed_response_promise<T> promise() const {
    return state_->promise;
  }

private:
  struct state {
    explicit state(caf::typed_response_promise<T> x) : promise(std::move(x)) {
      // nop
    }

    ~state() {
      if (!delivered && promise.pending())
        promise.deliver(
          protocol::to_caf({errc::internal, "the request was dropped"}));
    }

    caf::typed_response_promise<T> promise;
    bool delivered = false;
  };

  std::shared_ptr<state> state_;
};

} // namespace troupe::call
