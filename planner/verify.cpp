// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "troupe/planner/placement.hpp"
#include "troupe/planner/resolved_job.hpp"

namespace troupe::planner {

namespace {

class verifier {
public:
  verifier(const placement& plan, const job_spec& job, const cluster& machines,
           const resolved_job& jobs)
    : plan_(plan),
      job_(job),
      jobs_(jobs) {
    for (std::size_t n = 0; n < machines.nodes.size(); ++n)
      for (const auto& device : machines.nodes[n].devices) {
        node_of_.push_back(static_cast<std::int32_t>(n));
        domain_of_.push_back(device.link_domain);
      }
    num_node_ = static_cast<std::int32_t>(machines.nodes.size());
    holders_.resize(node_of_.size());
  }

  std::vector<std::string> run() {
    if (plan_.models.size() != job_.models.size()) {
      complain(fmt::format("the plan has {} models, the job {}",
                           plan_.models.size(), job_.models.size()));
      return std::move(problems_);
    }
    for (std::size_t i = 0; i < job_.models.size(); ++i)
      check_model(static_cast<std::int32_t>(i));
    check_sharing();
    if (problems_.empty())
      check_strategy();
    return std::move(problems_);
  }

private:
  void complain(std::string text) { problems_.push_back(std::move(text)); }

  [[nodiscard]] const model_spec& model(std::int32_t i) const {
    return job_.models[static_cast<std::size_t>(i)];
  }

  void check_model(std::int32_t i) {
    const auto& x = model(i);
    const auto& places = plan_.models[static_cast<std::size_t>(i)];
    if (places.name != x.name) {
      complain(fmt::format("the plan has {} where the job has {}", places.name,
                           x.name));
      return;
    }
    if (places.replicas.size() != static_cast<std::size_t>(x.num_replica)) {
      complain(fmt::format("{}: {} replicas are placed, not {}", x.name,
                           places.replicas.size(), x.num_replica));
      return;
    }
    for (std::size_t r = 0; r < places.replicas.size(); ++r)
      check_replica(i, r, places.replicas[r], places.reversed);
  }

  void check_replica(std::int32_t i, std::size_t r,
                     const replica_place& replica, bool reversed) {
    const auto& x = model(i);
    auto ranks = static_cast<std::size_t>(ranks_per_replica(x));
    if (replica.ranks.size() != ranks) {
      complain(fmt::format("{} replica {}: {} ranks are placed, not {}", x.name,
                           r, replica.ranks.size(), ranks));
      return;
    }
    for (std::size_t k = 0; k < ranks; ++k) {
      auto where = [&] {
        return fmt::format("{} replica {} rank {}", x.name, r, k);
      };
      const auto& place = replica.ranks[k];
      if (place.node.value() < 0 || place.node.value() >= num_node_) {
        complain(
          fmt::format("{}: there is no node {}", where(), place.node.value()));
        continue;
      }
      check_devices(i, place, where);
      if (x.on_cpu() || k == 0 || place.devices.empty())
        continue;
      const auto& before = replica.ranks[k - 1];
      if (before.node > place.node)
        complain(fmt::format("{}: its node comes before that of rank {}",
                             where(), k - 1));
      else if (before.node == place.node && !before.devices.empty()
               && same_domain(before.devices[0], place.devices[0])
               && (before.devices[0] > place.devices[0]) != reversed)
        complain(fmt::format("{}: the order of devices inside node {} is not "
                             "{}",
                             where(), place.node.value(),
                             reversed ? "descending" : "ascending"));
    }
  }

  /// Devices outside of the cluster are complained of elsewhere.
  [[nodiscard]] bool same_domain(device_id a, device_id b) const {
    auto at = [&](device_id x) { return static_cast<std::size_t>(x.value()); };
    auto known = [&](device_id x) {
      return x.value() >= 0 && at(x) < domain_of_.size();
    };
    return known(a) && known(b) && domain_of_[at(a)] == domain_of_[at(b)];
  }

  template <class Where>
  void check_devices(std::int32_t i, const rank_place& place, Where where) {
    const auto& x = model(i);
    auto width = x.on_cpu() ? 0 : x.gpu_per_process;
    if (place.devices.size() != static_cast<std::size_t>(width))
      complain(fmt::format("{}: it holds {} devices, not {}", where(),
                           place.devices.size(), width));
    for (auto device : place.devices) {
      auto at = static_cast<std::size_t>(device.value());
      if (device.value() < 0 || at >= node_of_.size()) {
        complain(
          fmt::format("{}: there is no device {}", where(), device.value()));
        continue;
      }
      if (node_of_[at] != place.node.value())
        complain(fmt::format("{}: device {} is on node {}, its process on {}",
                             where(), device.value(), node_of_[at],
                             place.node.value()));
      auto& holders = holders_[at];
      if (!holders.empty() && holders.back() == i)
        complain(fmt::format("{}: another rank of {} holds device {}", where(),
                             x.name, device.value()));
      else
        holders.push_back(i);
    }
  }

  /// Only models of one group may meet on a device, and each must know whom it
  /// meets.
  void check_sharing() {
    std::map<std::int32_t, std::set<std::int32_t>> met;
    for (std::size_t device = 0; device < holders_.size(); ++device) {
      const auto& holders = holders_[device];
      // Neighbouring devices mostly have the same holders.
      if (device > 0 && holders == holders_[device - 1])
        continue;
      for (auto a : holders)
        for (auto b : holders)
          if (a != b && met[a].insert(b).second && a < b
              && jobs_.group_of[static_cast<std::size_t>(a)]
                   != jobs_.group_of[static_cast<std::size_t>(b)])
            complain(fmt::format("device {} is held by {} and {}, which are "
                                 "not colocated",
                                 device, model(a).name, model(b).name));
    }
    for (std::size_t i = 0; i < job_.models.size(); ++i) {
      const auto& claimed = plan_.models[i].colocated;
      std::set<std::string_view> claims{claimed.begin(), claimed.end()};
      std::set<std::string_view> real;
      if (auto found = met.find(static_cast<std::int32_t>(i));
          found != met.end())
        for (auto other : found->second)
          real.insert(model(other).name);
      if (claims != real)
        complain(fmt::format("{}: it shares devices with {} models but {} are "
                             "listed",
                             job_.models[i].name, real.size(), claims.size()));
    }
  }

  /// STRICT_PACK: a group on one node. STRICT_SPREAD: replicas that share no
  /// device, directly or through others, on different nodes. Only for a plan
  /// that has no other problem.
  void check_strategy() {
    if (job_.strategy == node_strategy::pack
        || job_.strategy == node_strategy::spread)
      return;
    for (const auto& members : jobs_.groups) {
      std::vector<std::vector<device_id>> parts;
      for (auto i : members)
        for (const auto& replica :
             plan_.models[static_cast<std::size_t>(i)].replicas) {
          auto& devices = parts.emplace_back();
          for (const auto& rank : replica.ranks)
            devices.insert(devices.end(), rank.devices.begin(),
                           rank.devices.end());
        }
      check_bundles(model(members.front()).name, parts);
    }
  }

  void check_bundles(const std::string& name,
                     const std::vector<std::vector<device_id>>& replicas) {
    std::vector<std::size_t> root(replicas.size());
    std::iota(root.begin(), root.end(), std::size_t{0});
    auto find = [&](std::size_t i) {
      while (root[i] != i)
        i = root[i] = root[root[i]];
      return i;
    };
    std::map<device_id, std::size_t> first_holder;
    for (std::size_t r = 0; r < replicas.size(); ++r)
      for (auto device : replicas[r])
        root[find(r)] = find(first_holder.emplace(device, r).first->second);
    // The bundle on each node.
    std::map<std::int32_t, std::size_t> owner;
    std::map<std::size_t, std::int32_t> home;
    for (const auto& [device, r] : first_holder) {
      auto node = node_of_[static_cast<std::size_t>(device.value())];
      auto at = find(r);
      auto alone = owner.emplace(node, at).first->second == at;
      auto together = home.emplace(at, node).first->second == node;
      if (job_.strategy == node_strategy::strict_pack && owner.size() > 1) {
        complain(fmt::format("STRICT_PACK: the group of {} is on more nodes "
                             "than one",
                             name));
        return;
      }
      if (!together) {
        complain(fmt::format("{}: replicas of the group of {} that share "
                             "devices are on more nodes than one",
                             to_string(job_.strategy), name));
        return;
      }
      if (job_.strategy == node_strategy::strict_spread && !alone) {
        complain(fmt::format("STRICT_SPREAD: replicas of the group of {} share "
                             "node {} but no device",
                             name, node));
        return;
      }
    }
  }

  const placement& plan_;
  const job_spec& job_;
  const resolved_job& jobs_;
  std::int32_t num_node_ = 0;
  /// Of each device.
  std::vector<std::int32_t> node_of_;
  std::vector<std::int32_t> domain_of_;
  /// The models on each device.
  std::vector<std::vector<std::int32_t>> holders_;
  std::vector<std::string> problems_;
};

} // namespace

std::vector<std::string> verify(const placement& plan, const job_spec& job,
                                const cluster& machines) {
  auto jobs = resolve(job);
  if (!jobs)
    return {jobs.error().message()};
  return verifier{plan, job, machines, *jobs}.run();
}

} // namespace troupe::planner
