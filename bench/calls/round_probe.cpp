// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/calls/round_probe.hpp"

#include <chrono>

namespace troupe::bench {

round_probe::round_probe(caf::actor_config& config, round_trip trip,
                         samples out)
  : caf::event_based_actor(config),
    trip_(std::move(trip)),
    samples_(std::move(out)),
    calls_(this) {
  // nop
}

const char* round_probe::name() const {
  return "round_probe";
}

void round_probe::next() {
  using clock = std::chrono::steady_clock;
  using microseconds = std::chrono::duration<double, std::micro>;
  auto finish = [this](result<std::uint64_t> x) {
    auto asker = std::move(asker_.back());
    asker_.clear();
    asker.deliver(std::move(x));
  };
  if (left_ == 0) {
    finish(samples_->size());
    return;
  }
  --left_;
  auto start = clock::now();
  trip_(*this, [this, start, finish](const result<void>& x) {
    if (!x) {
      finish(fail(x.error()));
      return;
    }
    samples_->push_back(microseconds{clock::now() - start}.count());
    next();
  });
}

caf::behavior round_probe::make_behavior() {
  return {
    [this](std::uint64_t count) {
      call::reply<std::uint64_t> out{make_response_promise<std::uint64_t>()};
      samples_->clear();
      samples_->reserve(count);
      left_ = count;
      asker_.assign(1, out);
      next();
      return out.promise();
    },
  };
}

} // namespace troupe::bench
