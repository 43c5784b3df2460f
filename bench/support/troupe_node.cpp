// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/troupe_node.hpp"

#include <caf/io/middleman.hpp>
#include <caf/send.hpp>

#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/bench/support/stub_model.hpp"

namespace troupe::bench {

namespace {

using protocol::ack;
using std::chrono::milliseconds;

constexpr milliseconds start_timeout{20'000};
constexpr milliseconds stop_timeout{3'000};
/// A replica that the model's own ones never collide with.
constexpr replica_id extra_replica{1000};

std::uint32_t count(milliseconds x) {
  return static_cast<std::uint32_t>(x.count());
}

} // namespace

troupe_node::troupe_node(const troupe_node_settings& settings)
  : settings_(settings),
    mesh_(process::node_slot),
    store_({}, &mesh_),
    system_(std::make_unique<caf::actor_system>(config_)),
    self_(std::make_unique<caf::scoped_actor>(*system_)) {
  // nop
}

result<std::unique_ptr<troupe_node>>
troupe_node::start(process::guard_client& guard,
                   const troupe_node_settings& settings) {
  std::unique_ptr<troupe_node> out{new troupe_node{settings}};
  if (auto up = out->start_node(guard); !up)
    return fail(up.error());
  return out;
}

result<void> troupe_node::start_node(process::guard_client& guard) {
  errors_ = spawn<monitor::error_signal>();
  node::node_settings x;
  x.job = settings_.job;
  x.num_device = settings_.num_device;
  x.far_hosts = true;
  node::host_arguments common;
  common.app = "bench";
  common.job = settings_.job;
  common.store_bytes_max = 64 * mib;
  auto launcher = std::make_shared<node::guarded_launcher>(guard, mesh_, common,
                                                           settings_.log_dir);
  node_ = spawn<node::node>(x, launcher, errors_);
  auto port = system_->middleman().publish(node_, 0, "127.0.0.1");
  if (!port)
    return fail(protocol::from_caf(port.error()).within("opening a port"));
  launcher->report_to(node_, *port);
  return {};
}

troupe_node::~troupe_node() {
  static_cast<void>(ask<ack>(node_, stop_timeout + milliseconds{1000},
                             protocol::close_node{count(stop_timeout)}));
  for (const auto& x : kept_)
    caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
  auto left = kept_.size();
  auto until = deadline::after(stop_timeout);
  while (left > 0 && !until.passed())
    (*self_)->receive([&](const caf::down_msg&) { --left; },
                      caf::after(until.left_ms()) >> [] {});
  kept_.clear();
  node_ = protocol::node_actor{};
  errors_ = protocol::error_signal_actor{};
  self_.reset();
  // Only a system without actors can be destroyed without waiting.
  if (left > 0)
    static_cast<void>(system_.release());
}

// -- models --------------------------------------------------------------------

result<protocol::dist_model_actor>
troupe_node::start_model(worker_shape shape) {
  model::model_surroundings around{{node_},
                                   errors_,
                                   {settings_.num_device},
                                   &store_};
  auto out = spawn<model::dist_model>(stub_job(shape), around);
  auto up = ask<protocol::manifests>(out, start_timeout + milliseconds{2000},
                                     protocol::set_up{count(start_timeout)});
  if (!up)
    return fail(up.error());
  return out;
}

result<protocol::host_actor> troupe_node::host_of(std::int32_t device) {
  protocol::acquire_host request;
  request.device = device;
  request.timeout_ms = count(start_timeout);
  auto host = ask<protocol::acquired_host>(node_, start_timeout, request);
  if (!host)
    return fail(host.error());
  return host->control;
}

result<protocol::worker_actor> troupe_node::start_worker(std::int32_t device) {
  auto host = host_of(device);
  if (!host)
    return fail(host.error());
  protocol::start_worker request;
  request.spec.name = {stub_name, extra_replica, rank_id{0}};
  request.spec.device = device;
  request.spec.config = stub_job({}).config;
  auto started = ask<protocol::started_worker>(*host, start_timeout, request);
  if (!started)
    return fail(started.error());
  auto up = ask<protocol::manifests>(started->worker, start_timeout,
                                     protocol::set_up{count(start_timeout)});
  if (!up)
    return fail(up.error());
  return started->worker;
}

result<void> troupe_node::stop_hosts(const protocol::dist_model_actor& x) {
  static_cast<void>(
    ask<ack>(x, stop_timeout, protocol::close_model{count(stop_timeout)}));
  auto ended = ask<ack>(node_, stop_timeout, protocol::end_hosts{});
  if (!ended)
    return fail(ended.error());
  return {};
}

// -- errors --------------------------------------------------------------------

result<std::map<std::int32_t, std::int32_t>> troupe_node::host_pids() {
  auto status = ask<protocol::node_status>(node_, stop_timeout,
                                           protocol::get_node_status{});
  if (!status)
    return fail(status.error());
  std::map<std::int32_t, std::int32_t> out;
  for (const auto& x : status->hosts)
    if (x.alive)
      out[x.host.slot] = x.pid;
  return out;
}

void troupe_node::watch_errors() {
  auto me = caf::actor_cast<protocol::error_listener_actor>(
    caf::actor_cast<caf::strong_actor_ptr>(self_->ptr()));
  caf::anon_send(errors_, protocol::subscribe_errors{me, true});
}

std::optional<protocol::error_report>
troupe_node::next_process_error(deadline until) {
  std::optional<protocol::error_report> out;
  while (!out && !until.passed())
    (*self_)->receive(
      [&](protocol::error_news& x) {
        for (auto& report : x.items)
          if (!out && report.operation == "process")
            out = std::move(report);
        return ack{};
      },
      caf::after(until.left_ms()) >> [] {});
  return out;
}

} // namespace troupe::bench
