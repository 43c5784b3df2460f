// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/recovery.hpp"

#include "troupe/actors/engine/step_time.hpp"

namespace troupe::engine {

bool must_end_host(const protocol::error_report& cause) {
  return cause.slot >= 0 && cause.code != errc::aborted;
}

std::vector<way> ways_on(const recovery_facts& x) {
  std::vector<way> out;
  auto leads_further = [&](std::optional<std::int64_t> episode) {
    return episode && (!x.repaired || *episode > *x.repaired);
  };
  auto reachable = !x.machine_lost || x.drop;
  // What a module remembers besides what it saves nobody takes back.
  auto exact = x.deterministic && !x.drop;
  if (!exact && reachable && leads_further(x.standing)
      && (!x.saved || *x.standing >= *x.saved))
    out.push_back(way::in_memory);
  if (reachable && leads_further(x.saved))
    out.push_back(way::reload);
  if (x.saved || !x.drop)
    out.push_back(way::anew);
  return out;
}

std::int64_t episode_of(way x, const recovery_facts& facts) {
  return (x == way::in_memory ? facts.standing : facts.saved).value_or(-1);
}

std::map<std::string, protocol::repair_model>
repair_orders(const module_registry& models, way how,
              const recovery_facts& facts, const recovery_folders& from,
              std::uint64_t scope, std::chrono::milliseconds timeout) {
  auto in_step = facts.saved && facts.saved == facts.standing;
  std::map<std::string, protocol::repair_model> out;
  for (const auto& model : models.models()) {
    auto& x = out[model->name()];
    x.drop = facts.drop && !model->trainable();
    x.timeout_ms = to_ms(timeout);
    if (how == way::reload) {
      x.checkpoint = from.checkpoint.string();
      x.load_all = true;
      continue;
    }
    x.scope = scope;
    x.must_load = model->trainable()
                  || facts.synced_once.contains(model->name());
    if (in_step || (facts.saved && !model->trainable()))
      x.checkpoint = from.checkpoint.string();
    else if (model->trainable() && model->same_on_data_ranks())
      x.rescue = from.rescue.string();
  }
  return out;
}

} // namespace troupe::engine
