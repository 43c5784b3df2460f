// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/node_joiner.hpp"

#include <chrono>
#include <future>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <poll.h>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/node/local_connection.hpp"
#include "troupe/actors/process/host_types.hpp"

namespace troupe::engine {

namespace {

/// How long one node may take to answer.
constexpr auto answer_max = std::chrono::seconds{10};

/// How long a refused connection may be that of a node that begins anew.
constexpr auto restart_max = std::chrono::seconds{3};

constexpr auto retry_interval = std::chrono::milliseconds{100};

/// Asks a door. A node's process ends with its job, perhaps just now: CAF's own
/// request would wait for its answer to the end.
class visitor : public caf::event_based_actor {
public:
  visitor(caf::actor_config& config, protocol::node_door_actor door,
          protocol::join_job request, std::chrono::milliseconds timeout,
          std::promise<result<protocol::joined>> out)
    : caf::event_based_actor(config),
      door_(std::move(door)),
      request_(std::move(request)),
      timeout_(timeout),
      out_(std::move(out)),
      calls_(this) {
    // nop
  }

  const char* name() const override { return "visitor"; }

protected:
  caf::behavior make_behavior() override {
    calls_.ask<protocol::joined>(std::exchange(door_, {}), timeout_, request_,
                                 [this](result<protocol::joined> x) {
                                   out_.set_value(std::move(x));
                                   quit();
                                 });
    // It hears answers alone.
    return {[](caf::unit_t) {}};
  }

private:
  protocol::node_door_actor door_;
  protocol::join_job request_;
  std::chrono::milliseconds timeout_;
  std::promise<result<protocol::joined>> out_;
  call::caller<visitor> calls_;
};

} // namespace

node_joiner::node_joiner(caf::actor_system& system,
                         const std::optional<net::tls_identity>& identity)
  : system_(system),
    identity_(identity) {
  // nop
}

result<joined_node>
node_joiner::try_join(const net::endpoint& gate,
                      const protocol::join_job& request) const {
  auto until = deadline::after(answer_max);
  auto opened = net::tunnel::open(gate, identity_ ? &*identity_ : nullptr,
                                  process::node_slot,
                                  deadline::after(net::dial_budget));
  if (!opened)
    return fail(opened.error());
  auto door = node::connect_locally<protocol::node_door_actor>(system_,
                                                               (*opened)
                                                                 ->local_port(),
                                                               until);
  if (!door)
    return fail(door.error());
  std::promise<result<protocol::joined>> promise;
  auto answer = promise.get_future();
  auto who = system_.spawn<visitor>(*door, request, until.left_ms(),
                                    std::move(promise));
  if (answer.wait_for(until.left_ms() + std::chrono::seconds{1})
      != std::future_status::ready) {
    caf::anon_send_exit(who, caf::exit_reason::kill);
    return fail(errc::timed_out, "no answer in time");
  }
  auto joined = answer.get();
  if (!joined)
    return fail(joined.error());
  return joined_node{std::move(*joined), std::move(*opened)};
}

result<joined_node> node_joiner::join(const net::endpoint& gate,
                                      const protocol::join_job& request,
                                      duration join_max) const {
  auto busy_until = deadline::after(join_max);
  auto gone_until = deadline::after(restart_max);
  for (;;) {
    auto out = try_join(gate, request);
    if (out)
      return out;
    auto code = out.error().code();
    // Somebody was there: it works for another job, cleans up after it, or ended
    // while we spoke. Another process takes its place then.
    auto busy = code == errc::exhausted || code == errc::lost;
    if (busy)
      gone_until = deadline::after(restart_max);
    auto again = busy ? !busy_until.passed()
                      : code == errc::unavailable && !gone_until.passed();
    if (!again)
      return out;
    ::poll(nullptr, 0, static_cast<int>(retry_interval.count()));
  }
}

} // namespace troupe::engine
