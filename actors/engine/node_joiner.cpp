// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/node_joiner.hpp"

#include <caf/scoped_actor.hpp>
#include <poll.h>

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
  result<joined_node> out = fail(errc::internal, "no answer came");
  caf::scoped_actor self{system_};
  self->request(*door, until.left_ms(), request)
    .receive(
      [&](protocol::joined& x) {
        out = joined_node{std::move(x), std::move(*opened)};
      },
      [&](caf::error& x) { out = fail(protocol::from_caf(x)); });
  return out;
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
