// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/calls/bare_peer.hpp"

#include <charconv>

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/protocol/errors.hpp"

namespace troupe::bench {

namespace {

bare_actor::behavior_type echo() {
  return {[](std::uint64_t x) { return x; }};
}

result<bare_actor> connect(caf::actor_system& system,
                           const child_process& process, deadline until) {
  auto line = process.read_line(until);
  if (!line)
    return fail(line.error());
  std::uint16_t port = 0;
  auto* end = line->data() + line->size();
  if (std::from_chars(line->data(), end, port).ptr != end)
    return fail(errc::corrupt, "a peer process sent no port");
  auto actor = system.middleman().remote_actor<bare_actor>("127.0.0.1", port);
  if (!actor)
    return fail(protocol::from_caf(actor.error()).within("bare CAF peer"));
  return *actor;
}

} // namespace

result<bare_peers> bare_peers::start(caf::actor_system& system,
                                     std::size_t processes,
                                     std::size_t actors_each, deadline until) {
  bare_peers out;
  for (std::size_t i = 0; i < processes; ++i) {
    auto process = child_process::start(
      {bare_peer_verb, std::to_string(actors_each)});
    if (!process)
      return fail(process.error());
    out.processes_.push_back(std::move(*process));
  }
  for (const auto& process : out.processes_)
    for (std::size_t i = 0; i < actors_each; ++i) {
      auto actor = connect(system, process, until);
      if (!actor)
        return fail(actor.error());
      out.actors_.push_back(std::move(*actor));
    }
  return out;
}

int bare_peer_main(std::string_view actors) {
  std::size_t count = 0;
  auto* end = actors.data() + actors.size();
  if (std::from_chars(actors.data(), end, count).ptr != end)
    return 2;
  node::system_config config;
  caf::actor_system system{config};
  for (std::size_t i = 0; i < count; ++i) {
    auto actor = system.spawn(echo);
    auto port = system.middleman().publish(actor, 0, "127.0.0.1");
    if (!port)
      return 1;
    auto line = fmt::format("{}\n", *port);
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0)
      return 1;
  }
  char ignored = 0;
  while (::read(STDIN_FILENO, &ignored, 1) > 0) {
    // Nothing is said here; only the end counts.
  }
  ::_exit(0);
}

} // namespace troupe::bench
