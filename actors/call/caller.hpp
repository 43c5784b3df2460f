// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <caf/abstract_actor.hpp>
#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_clock.hpp>
#include <caf/behavior.hpp>
#include <caf/duration.hpp>
#include <caf/message.hpp>
#include <caf/system_messages.hpp>
#include <caf/unit.hpp>

#include "troupe/actors/call/any_reply.hpp"
#include "troupe/actors/call/exceptions.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/call/outbox.hpp"
#include "troupe/actors/call/pending_calls.hpp"
#include "troupe/actors/protocol/errors.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/error.hpp"

namespace troupe::call {

/// How one actor asks others. Each actor that makes calls owns one, hands it
/// its down messages, and uses nothing else to make requests.
///
///  * Every call has a deadline: `errc::timed_out` when it passes. CAF's own
///    are not used: each would stay in its clock until it has passed.
///  * Every target is monitored: when it goes down all calls to it fail at once
///    with `errc::lost`, and so does every later call to it.
///  * The handler runs exactly once, on the actor, with the answer or an error;
///    never after the actor has quit: handlers are destroyed then, and the
///    promises they hold (reply.hpp) tell whoever waits.
///  * If the actor throws, whoever waits for it hears what (exceptions.hpp).
///  * A target with a route (`route`) is asked through others, in the order of
///    the calls; what is asked while a `collection` lives takes one message for
///    all that begin with the same hop, and their answers one back. The next
///    hop is monitored then, and each hop monitors the one behind it.
///
/// `Self` is the event-based actor; it must outlive the caller, which is why
/// the caller is a member of it.
template <class Self>
class caller {
public:
  explicit caller(Self* self) : self_(self) {
    self_->set_down_handler([this](caf::down_msg& x) { on_down(x); });
    tell_exceptions(self_);
    // A handler may hold a promise of the actor, which holds the actor: unless
    // somebody lets go of it, neither is ever destroyed.
    self_->attach_functor([this] {
      outbox_.clear();
      pending_.clear();
    });
  }

  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;

  /// Asks `target` and runs `handler(result<Reply>)` later.
  template <class Reply, class Handle, class Message, class Handler>
  void ask(const Handle& target, std::chrono::milliseconds timeout,
           Message message, Handler handler) {
    if (is_ending())
      return;
    auto shared = std::make_shared<Handler>(std::move(handler));
    auto address = caf::actor_cast<caf::actor_addr>(target);
    if (!target || dead_.count(address) > 0) {
      (*shared)(result<Reply>{fail(errc::lost, "its process is gone")});
      return;
    }
    if (const auto* via = outbox_.route_to(address)) {
      protocol::parcel x;
      x.to = caf::actor_cast<caf::actor>(target);
      x.via = *via;
      x.content = caf::make_message(std::move(message));
      x.timeout_ms = to_ms(timeout);
      return forward(std::move(x), [shared](result<caf::message> answer) {
        (*shared)(unpack<Reply>(std::move(answer)));
      });
    }
    watch(target, address);
    auto settle = expect<Reply>(address, timeout, shared);
    self_->request(target, caf::infinite, std::move(message))
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

  /// Runs `handler` once that time is over; never after the actor has quit.
  void after(std::chrono::milliseconds time, std::function<void()> handler) {
    if (is_ending())
      return;
    // Nobody goes down before itself.
    static_cast<void>(pending_.add(
      self_->address(), [run = std::move(handler)](const error&) { run(); },
      self_->clock().now() + time));
    wind_up();
  }

  // -- through others ---------------------------------------------------------

  /// From now on `target` is asked through these, the next hop first; without
  /// any, directly.
  template <class Handle>
  void route(const Handle& target, std::vector<caf::actor> via) {
    outbox_.route(caf::actor_cast<caf::actor_addr>(target), std::move(via));
  }

  /// While one lives, what is asked through others waits for more.
  class collection {
  public:
    explicit collection(caller& owner) : owner_(owner) {
      owner_.outbox_.hold();
    }

    collection(const collection&) = delete;
    collection& operator=(const collection&) = delete;

    ~collection() {
      owner_.outbox_.release();
      owner_.send_out();
    }

  private:
    caller& owner_;
  };

  [[nodiscard]] collection collect() { return collection{*this}; }

  /// Sends a request on its way, whatever it asks: to its next hop, or to the
  /// target if there is none.
  template <class Handler>
  void forward(protocol::parcel x, Handler handler) {
    if (is_ending())
      return;
    auto shared = std::make_shared<Handler>(std::move(handler));
    auto next = x.via.empty() ? x.to : x.via.front();
    auto address = caf::actor_cast<caf::actor_addr>(next);
    if (!next || dead_.count(address) > 0) {
      (*shared)(result<caf::message>{fail(errc::lost, "its process is gone")});
      return;
    }
    watch(next, address);
    std::chrono::milliseconds timeout{x.timeout_ms};
    if (!x.via.empty())
      timeout = through_hops(timeout, x.via.size());
    auto settle = expect<caf::message>(address, timeout, shared);
    auto take = [settle](result<caf::message> answer) {
      if (auto handler = settle())
        (*handler)(std::move(answer));
    };
    if (x.via.empty()) {
      auto id = self_->request(next, caf::infinite, std::move(x.content)).id();
      self_->add_multiplexed_response_handler(id, any_reply(std::move(take)));
      return;
    }
    outbox_.add(std::move(x), std::move(take));
    send_out();
  }

  /// Calls not yet answered, and watches.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size(); }

private:
  using time_point = caf::actor_clock::time_point;
  using takers = std::vector<outbox::taker>;

  /// Remembers a call; what it returns gives the handler to the first who has
  /// an answer.
  template <class Reply, class Handler>
  auto expect(const caf::actor_addr& address, std::chrono::milliseconds timeout,
              const std::shared_ptr<Handler>& shared) {
    auto fail_it = [shared](const error& reason) {
      (*shared)(result<Reply>{fail(reason)});
    };
    auto id = pending_.add(address, std::move(fail_it),
                           self_->clock().now() + timeout);
    wind_up();
    // Only the table owns the handler, so that clearing it is enough.
    return [this, id, weak = std::weak_ptr{shared}] {
      auto handler = weak.lock();
      return pending_.settle(id) ? handler : nullptr;
    };
  }

  /// What waits for an answer keeps an actor alive that has quit.
  [[nodiscard]] bool is_ending() const {
    return self_->getf(caf::abstract_actor::is_shutting_down_flag);
  }

  void send_out() {
    if (is_ending())
      return;
    for (auto& x : outbox_.leave())
      ask_for_answers(x.next, std::move(x.bundle),
                      std::make_shared<takers>(std::move(x.takers)));
  }

  /// Asks for the answers to a bundle until all are there.
  template <class Message>
  void ask_for_answers(const caf::actor& next, Message message,
                       const std::shared_ptr<takers>& all) {
    self_->request(next, caf::infinite, std::move(message))
      .then(
        [=, this](protocol::bundle_answers& x) {
          // First, so that what the answers set off does not hold it up.
          if (x.rest != 0 && !is_ending())
            ask_for_answers(next, protocol::get_rest{x.rest}, all);
          for (auto& item : x.items)
            if (item.index < all->size()) {
              auto take = std::exchange((*all)[item.index], nullptr);
              if (!take)
                continue;
              if (item.why)
                take(fail(protocol::from_caf(item.why)));
              else
                take(std::move(item.content));
            }
        },
        [all](caf::error& reason) {
          for (auto& x : *all)
            if (auto take = std::exchange(x, nullptr))
              take(fail(protocol::from_caf(reason)));
        });
  }

  template <class Handle>
  void watch(const Handle& target, const caf::actor_addr& address) {
    if (watched_.insert(address).second)
      self_->monitor(target);
  }

  /// Has CAF's clock wake us for the next deadline, unless it does so earlier.
  void wind_up() {
    auto next = pending_.next_deadline();
    if (is_ending() || !next || (!alarms_.empty() && *alarms_.begin() <= *next))
      return;
    alarms_.insert(*next);
    auto left = std::max<
      typename time_point::duration>(*next - self_->clock().now(),
                                     std::chrono::nanoseconds{1});
    // A request that is sent to nobody ends when its time is over.
    auto id = self_->new_request_id(caf::message_priority::normal);
    self_->request_response_timeout(caf::duration{left}, id);
    auto ring = [this, at = *next](caf::error& reason) {
      on_alarm(at, protocol::from_caf(reason));
    };
    self_->add_multiplexed_response_handler(id.response_id(),
                                            caf::behavior{std::move(ring)});
  }

  void on_alarm(time_point at, const error& why) {
    alarms_.erase(at);
    auto late = pending_.expire(self_->clock().now());
    // First: one of these may end the actor.
    wind_up();
    for (auto& handler : late)
      handler(why);
  }

  void on_down(caf::down_msg& x) {
    dead_.insert(x.source);
    watched_.erase(x.source);
    outbox_.forget(x.source);
    pending_.target_down(x.source, protocol::from_exit_reason(x.reason));
  }

  Self* self_;
  pending_calls<caf::actor_addr> pending_;
  /// When the clock wakes us.
  std::set<time_point> alarms_;
  std::set<caf::actor_addr> watched_;
  std::set<caf::actor_addr> dead_;
  outbox outbox_;
};

} // namespace troupe::call
