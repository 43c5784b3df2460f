// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/job_nodes.hpp"

#include <algorithm>
#include <limits>

#include <caf/io/middleman.hpp>
#include <fmt/core.h>

#include "troupe/actors/engine/nodes_file.hpp"
#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/inproc_launcher.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/process/cgroup.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

using std::chrono::milliseconds;

constexpr auto status_timeout = std::chrono::seconds{5};

/// How long killed processes may take to go: the kernel takes back their memory.
constexpr auto hosts_end_timeout = std::chrono::seconds{30};

process::store_settings store_settings(const config::job_config& config,
                                       const driver_settings& settings) {
  process::store_settings x;
  x.bytes_max = config.runtime.store_bytes_max;
  if (!settings.nodes.empty())
    x.node = node::driver_node;
  return x;
}

} // namespace

planner::cluster make_cluster(const config::device_request& x) {
  return planner::cluster::uniform(1, x.count, process::usable_cores());
}

job_nodes::job_nodes(const application& app, const config::job_config& config,
                     const driver_settings& settings)
  : app_(app),
    config_(config),
    settings_(settings),
    mesh_(process::node_slot),
    store_(store_settings(config, settings), &mesh_, &batches_) {
  // nop
}

std::int32_t job_nodes::threads_per_host() const {
  auto out = std::numeric_limits<std::int32_t>::max();
  for (const auto& x : cluster_.nodes)
    out = std::min(out, x.num_cpu
                          / std::max(1, static_cast<std::int32_t>(
                                          x.devices.size())));
  return std::max(1, out);
}

// -- starting ------------------------------------------------------------------

result<void> job_nodes::start(caf::actor_system& system,
                              const protocol::error_signal_actor& errors) {
  return settings_.nodes.empty() ? start_here(system, errors)
                                 : join(system, errors);
}

result<void> job_nodes::start_here(caf::actor_system& system,
                                   const protocol::error_signal_actor& errors) {
  cluster_ = make_cluster(settings_.devices);
  node::node_settings x;
  x.job = settings_.job;
  x.num_device = settings_.devices.count;
  x.device_kind = config::host_kind_of(settings_.devices.kind);
  x.device_ids = settings_.devices.ids;
  x.far_hosts = settings_.guard != nullptr;
  if (settings_.guard)
    return start_guarded(system, x, errors);
  model::host_services services{{}, &app_.models, &store_, &hub_};
  auto launcher = std::make_shared<
    node::inproc_launcher>(system, settings_.job, services,
                           node::worker_threads::own);
  nodes_.push_back(system.spawn<node::node>(x, launcher, errors));
  launcher->report_to(nodes_.front());
  return {};
}

result<void>
job_nodes::start_guarded(caf::actor_system& system,
                         const node::node_settings& x,
                         const protocol::error_signal_actor& errors) {
  node::host_arguments common;
  common.app = app_.name;
  common.job = settings_.job;
  common.num_threads = threads_per_host();
  common.store_bytes_max = config_.runtime.store_bytes_max;
  common.log_level = config_.runtime.log_level;
  auto launcher = std::make_shared<node::guarded_launcher>(*settings_.guard,
                                                           mesh_, common,
                                                           settings_.log_dir);
  nodes_.push_back(system.spawn<node::node>(x, launcher, errors));
  auto port = system.middleman().publish(nodes_.front(), 0, "127.0.0.1");
  if (!port)
    return fail(protocol::from_caf(port.error()).within("opening a port"));
  launcher->report_to(nodes_.front(), *port);
  return {};
}

result<void> job_nodes::join(caf::actor_system& system,
                             const protocol::error_signal_actor& errors) {
  const auto& runtime = config_.runtime;
  remote_settings x;
  x.gates = settings_.nodes;
  x.identity = settings_.identity;
  x.job = settings_.job;
  x.app = app_.name;
  x.store_bytes_max = runtime.store_bytes_max;
  x.log_level = runtime.log_level;
  x.pulse = runtime.pulse;
  x.pulse_timeout = runtime.pulse_timeout;
  x.driver_grace = runtime.driver_grace;
  x.core_grace = std::chrono::duration_cast<std::chrono::milliseconds>(
    process::guard_settings::core_grace_within(runtime.collective_timeout,
                                               runtime.pulse_timeout));
  x.node_lag = runtime.node_lag;
  x.debug = runtime.debug;
  x.writes_checkpoints = runtime.save_episode_interval > 0;
  if (x.writes_checkpoints || settings_.resume)
    x.checkpoint_dir = settings_.checkpoint_dir;
  auto joined = remote_machines::join(system, x, errors, store_, batches_);
  if (!joined)
    return fail(joined.error());
  machines_ = std::move(*joined);
  for (const auto& machine : machines_->all()) {
    nodes_.push_back(machine.node);
    planner::node_spec spec;
    spec.name = machine.machine;
    spec.num_cpu = machine.num_cpu;
    spec.devices.resize(static_cast<std::size_t>(machine.num_device));
    cluster_.nodes.push_back(std::move(spec));
  }
  return {};
}

void job_nodes::write_down() const {
  if (local() || settings_.nodes_file.empty())
    return;
  auto written = write_nodes_file(settings_.nodes_file, settings_.job,
                                  settings_.nodes, machines_->all());
  if (!written)
    log::warning("driver", "{}", to_string(written.error()));
}

// -- asking --------------------------------------------------------------------

template <class Reply, class Message>
std::vector<result<Reply>> job_nodes::ask_all(caf::scoped_actor& self,
                                              milliseconds timeout,
                                              const Message& message) {
  using pending = decltype(self->request(nodes_.front(), timeout, message));
  std::vector<std::pair<std::size_t, pending>> asked;
  std::vector<result<Reply>> out(nodes_.size(),
                                 fail(errc::lost,
                                      "the connection to the node has ended"));
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (!machines_ || !machines_->lost(i))
      asked.emplace_back(i, self->request(nodes_[i], timeout, message));
  for (auto& [index, answer] : asked) {
    auto& to = out[index];
    answer.receive([&](Reply& x) { to = std::move(x); },
                   [&](caf::error& x) { to = fail(protocol::from_caf(x)); });
  }
  return out;
}

std::vector<protocol::node_status>
job_nodes::statuses(caf::scoped_actor& self) {
  std::vector<protocol::node_status> out;
  for (auto& x : ask_all<protocol::node_status>(self, status_timeout,
                                                protocol::get_node_status{}))
    if (x)
      out.push_back(std::move(*x));
  return out;
}

result<void> job_nodes::begin_anew(caf::scoped_actor& self,
                                   const node_patience& patience) {
  auto until = deadline::after(config_.runtime.node_return);
  auto ended = ask_all<protocol::ack>(self, hosts_end_timeout,
                                      protocol::end_hosts{});
  for (std::size_t i = 0; i < ended.size(); ++i) {
    if (ended[i])
      continue;
    // A node without a guard says so and ends: another one takes its place.
    auto lost = machines_
                && (machines_->lost(i)
                    || ended[i].error().code() == errc::lost);
    if (!lost)
      return fail(ended[i].error().within("ending the hosts"));
    if (auto back = bring_back(i, patience, until); !back)
      return back;
  }
  // Others may have gone while one was waited for.
  for (std::size_t i = 0; machines_ && i < nodes_.size(); ++i)
    if (machines_->lost(i))
      if (auto back = bring_back(i, patience, until); !back)
        return back;
  // No scope of the old attempt is used any more, and the next one begins with
  // the same numbers.
  store_.release_before(std::numeric_limits<std::uint64_t>::max());
  return {};
}

result<void> job_nodes::end_host(caf::scoped_actor& self, node_id node,
                                 std::int32_t slot) {
  auto index = static_cast<std::size_t>(node.value());
  if (node.value() < 0 || index >= nodes_.size()
      || (machines_ && machines_->lost(index)))
    return fail(errc::lost, "the node is gone");
  result<void> out;
  self->request(nodes_[index], hosts_end_timeout, protocol::end_hosts{{slot}})
    .receive([](protocol::ack) {},
             [&](caf::error& x) { out = fail(protocol::from_caf(x)); });
  return out;
}

bool job_nodes::any_lost() const noexcept {
  for (std::size_t i = 0; machines_ && i < nodes_.size(); ++i)
    if (machines_->lost(i))
      return true;
  return false;
}

result<void> job_nodes::bring_back(std::size_t node,
                                   const node_patience& patience,
                                   deadline until) {
  auto back = await_return(
    machines_->name_of(node), [&] { return machines_->join_again(node); },
    patience, until);
  if (!back)
    return back;
  nodes_[node] = machines_->all()[node].node;
  write_down();
  return {};
}

void job_nodes::close(caf::scoped_actor& self, milliseconds timeout) {
  if (machines_)
    machines_->stop_watching();
  protocol::close_node order{static_cast<std::uint32_t>(timeout.count())};
  auto closed = ask_all<protocol::ack>(self, timeout + milliseconds{1000},
                                       order);
  for (std::size_t i = 0; i < closed.size(); ++i)
    if (!closed[i])
      log::warning("driver", "closing node {}: {}", i,
                   to_string(closed[i].error()));
  nodes_.clear();
  machines_.reset();
}

} // namespace troupe::engine
