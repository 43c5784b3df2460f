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

/// Joining anew, saving what peers know, making, setting up, loading: each may
/// take the whole timeout.
constexpr auto repair_steps = 5;

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
  std::vector<std::string> names;
  for (const auto& [name, model] : models_)
    names.push_back(name);
  auto finish = [this, names](result<std::vector<repaired>> x) {
    repair_ended news;
    if (x) {
      std::map<std::string, repaired> all;
      for (std::size_t i = 0; i < names.size(); ++i)
        all[names[i]] = std::move((*x)[i]);
      news.models = std::move(all);
    } else {
      news.models = fail(x.error());
    }
    send(owner_, std::move(news));
    owner_ = repair_owner_actor{};
    quit();
  };
  auto all = std::make_shared<call::gather<repaired>>(names.size(), finish);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& order = orders_[names[i]];
    std::chrono::milliseconds timeout{order.timeout_ms};
    calls_.ask<repaired>(models_.at(names[i]),
                         repair_steps * with_grace(timeout), order,
                         [all, i](result<repaired> x) {
                           all->set(i, std::move(x));
                         });
  }
}

repair_crew::behavior_type repair_crew::make_behavior() {
  return {
    [this](repair_all) { begin(); },
  };
}

} // namespace troupe::engine
