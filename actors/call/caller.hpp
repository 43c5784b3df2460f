// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <utility>

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/system_messages.hpp>
#include <caf/unit.hpp>

#include "troupe/actors/call/pending_calls.hpp"
#include "troupe/actors/protocol/errors.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/error.hpp"

namespace troupe::call {

/// How one actor asks others. Each actor that makes calls owns one, hands it
/// its down messages, and uses nothing else to make requests.
///
///  * Every call has a deadline: `errc::timed_out` when it passes.
///  * Every target is monitored: when it goes down all calls to it fail at once
///    with `errc::lost`, and so does every later call to it.
///  * The handler runs exactly once, on the actor, with the answer or an error;
///    never after the actor has ended: handlers are destroyed then, and the
///    promises they hold (reply.hpp) tell whoever waits.
///
/// `Self` is the event-based actor; it must outlive the caller, which is why
/// the caller is a member of it.
template <class Self>
class caller {
public:
  explicit caller(Self* self) : self_(self) {
    self_->set_down_handler([this](caf::down_msg& x) { on_down(x); });
    // A handler may hold a promise of the actor, which holds the actor: unless
    // somebody lets go of it, neither is ever destroyed.
    self_->attach_functor([this] { pending_.clear(); });
  }

  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;

  /// Asks `target` and runs `handler(result<Reply>)` later.
  template <class Reply, class Handle, class Message, class Handler>
  void ask(const Handle& target, std::chrono::milliseconds timeout,
           Message message, Handler handler) {
    auto shared = std::make_shared<Handler>(std::move(handler));
    auto address = caf::actor_cast<caf::actor_addr>(target);
    if (!target || dead_.count(address) > 0) {
      (*shared)(result<Reply>{fail(errc::lost, "its process is gone")});
      return;
    }
    watch(target, address);
    auto id = pending_.add(address, [shared](const error& reason) {
      (*shared)(result<Reply>{fail(reason)});
    });
    // Only the table owns the handler, so that clearing it is enough.
    auto settle = [this, id, weak = std::weak_ptr{shared}] {
      auto handler = weak.lock();
      return pending_.settle(id) ? handler : nullptr;
    };
    self_->request(target, timeout, std::move(message))
      .then(
        [settle](Reply& reply) {
          if (auto handler = settle())
            (*handler)(result<Reply>{std::move(reply)});
        },
        [settle](caf::error& reason) {
          if (auto handler = settle())
            (*handler)(result<Reply>{fail(protocol::from_caf(reason))});
        });
  }

  /// Watches `target` without asking it anything: `on_lost` runs with the
  /// reason when it goes down.
  template <class Handle>
  void watch(const Handle& target, std::function<void(const error&)> on_lost) {
    if (!target) {
      on_lost({errc::lost, "its process is gone"});
      return;
    }
    auto address = caf::actor_cast<caf::actor_addr>(target);
    watch(target, address);
    static_cast<void>(pending_.add(address, std::move(on_lost)));
  }

  /// Calls not yet answered, and watches.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size(); }

private:
  template <class Handle>
  void watch(const Handle& target, const caf::actor_addr& address) {
    if (watched_.insert(address).second)
      self_->monitor(target);
  }

  void on_down(caf::down_msg& x) {
    dead_.insert(x.source);
    watched_.erase(x.source);
    pending_.target_down(x.source, protocol::from_exit_reason(x.reason));
  }

  Self* self_;
  pending_calls<caf::actor_addr> pending_;
  std::set<caf::actor_addr> watched_;
  std::set<caf::actor_addr> dead_;
};

} // namespace troupe::call
