// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/protocol/register.hpp"

namespace troupe::test {

/// An actor that keeps every message of one type.
template <class T>
class recorder : public caf::typed_actor<caf::reacts_to<T>>::base {
public:
  using base_type = typename caf::typed_actor<caf::reacts_to<T>>::base;

  recorder(caf::actor_config& config, std::shared_ptr<std::vector<T>> got)
    : base_type(config),
      got_(std::move(got)) {
    // nop
  }

  const char* name() const override { return "recorder"; }

protected:
  typename base_type::behavior_type make_behavior() override {
    return {[this](const T& x) { got_->push_back(x); }};
  }

private:
  std::shared_ptr<std::vector<T>> got_;
};

} // namespace troupe::test
