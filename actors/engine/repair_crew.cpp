// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/repair_crew.hpp"

#include <memory>
#include <utility>
#include <vector>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/engine/step_time.hpp"

namespace troupe::engine {

using protocol::repaired;

namespace {

/// Joining anew (four), loading, saving what peers know, making, starting,
/// setting up, loading: each may take the whole timeout.
constexpr auto repair_steps = 10;

} // namespace

repair_crew::repair_crew(
  caf::actor_config& config,
  std::map<std::string, protocol::dist_model_actor> models,
  std::map<std::string, protocol::repair_model> orders,
  repair_owner_actor owner)
  : repair_crew_actor::base(config),
    models_(std::move(models)),
    orders_(std::move(orders)),
    owner_(std::move(owner)),
    calls_(this) {
  // nop
}

const char* repair_crew::name() const {
  return "repair_crew";
}

void repair_crew::begin() {
  using answers = std::map<std::string, result<repaired>>;
  auto heard = std::make_shared<answers>();
  auto finish = [this, heard](const result<std::vector<protocol::ack>>&) {
    repair_ended news;
    std::map<std::string, repaired> all;
    for (auto& [name, x] : *heard) {
      if (x)
        all[name] = std::move(*x);
      else if (news.models)
        news.models = fail(x.error());
    }
    if (news.models)
      news.models = std::move(all);
    send(owner_, std::move(news));
    owner_ = repair_owner_actor{};
    quit();
  };
  // Also of those that cannot be repaired the others are waited for: whoever
  // tries another way must not meet them half-way.
  auto all = std::make_shared<call::gather<protocol::ack>>(models_.size(),
                                                           finish);
  std::size_t index = 0;
  for (const auto& [name, model] : models_) {
    const auto& order = orders_[name];
    std::chrono::milliseconds timeout{order.timeout_ms};
    auto keep = [all, heard, index, name = name](result<repaired> x) {
      heard->emplace(name, std::move(x));
      all->set(index, protocol::ack{});
    };
    // Those that share devices wait for each other.
    auto patience = static_cast<int>(models_.size()) * repair_steps
                    * with_grace(timeout);
    calls_.ask<repaired>(model, patience, order, keep);
    ++index;
  }
}

repair_crew::behavior_type repair_crew::make_behavior() {
  return {
    [this](repair_all) { begin(); },
  };
}

} // namespace troupe::engine
