// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <caf/event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"

namespace troupe::bench {

/// Measures round trips from inside an actor, where applications make their
/// calls: asked for n of them, it makes one after the other and answers n.
/// What one round trip is, is handed in, so that Troupe's calls and CAF's bare
/// requests are timed by the same code.
class round_probe : public caf::event_based_actor {
public:
  using done_handler = std::function<void(result<void>)>;

  /// Starts one round trip; runs the handler once when it has ended.
  using round_trip = std::function<void(round_probe&, done_handler)>;

  /// Microseconds of each round trip since the last request. Whoever got the
  /// answer may read it until the next request.
  using samples = std::shared_ptr<std::vector<double>>;

  round_probe(caf::actor_config& config, round_trip trip, samples out);

  const char* name() const override;

  [[nodiscard]] call::caller<round_probe>& calls() noexcept { return calls_; }

protected:
  caf::behavior make_behavior() override;

private:
  void next();

  round_trip trip_;
  samples samples_;
  std::uint64_t left_ = 0;
  std::vector<call::reply<std::uint64_t>> asker_;
  call::caller<round_probe> calls_;
};

} // namespace troupe::bench
