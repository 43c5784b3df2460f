// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/node_process.hpp"

#include <algorithm>
#include <memory>
#include <mutex>

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "troupe/actors/checkpoint/shared_folder.hpp"
#include "troupe/actors/net/gate.hpp"
#include "troupe/actors/net/pulse_link.hpp"
#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/neighbours.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/node/node_door.hpp"
#include "troupe/actors/node/node_events.hpp"
#include "troupe/actors/node/node_wait.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/node/remote_batches.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/cgroup.hpp"
#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/core/log.hpp"

namespace troupe::node {

namespace {

using std::chrono::milliseconds;

/// How long hosts may take to end when the job is over.
constexpr auto end_max = std::chrono::milliseconds{1'500};

std::string machine_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0)
    return "?";
  return name;
}

class node_process {
public:
  node_process(const node_process_settings& settings,
               process::guard_client& guard)
    : settings_(settings),
      guard_(guard),
      mesh_(process::node_slot),
      actor_config_(true),
      system_(actor_config_),
      self_(system_),
      wait_(self_, settings_.tell) {
    // nop
  }

  node_end run() {
    auto watch = process::signal_watch::start([me = me()](int) {
      caf::anon_send<caf::message_priority::high>(me, stop_signal{});
    });
    if (!watch)
      return refuse(watch.error());
    if (auto opened = open(); !opened)
      return refuse(opened.error());
    auto end = wait_.run();
    close();
    return end;
  }

private:
  caf::actor me() {
    return caf::actor_cast<caf::actor>(
      caf::actor_cast<caf::strong_actor_ptr>(self_.ptr()));
  }

  [[nodiscard]] std::string kind() const {
    return std::string{config::host_kind_of(settings_.devices.kind)};
  }

  node_end refuse(const error& why) {
    log::error("node", "{}", to_string(why));
    settings_.tell(why.message());
    return node_end::refused;
  }

  // -- beginning --------------------------------------------------------------

  result<void> open() {
    net::gate_settings config;
    config.listen = settings_.listen;
    config.tls = settings_.identity;
    auto gate = net::gate::start(config);
    if (!gate)
      return fail(gate.error());
    gate_ = std::move(*gate);
    gate_->serve([this](std::int32_t slot, incarnation life, buffer_id id,
                        deadline until) -> result<process::exported_file> {
      auto file = mesh_.fetch(slot, life, id, until);
      if (!file)
        return fail(file.error());
      return process::exported_file{std::make_shared<process::unique_fd>(
                                      std::move(file->file)),
                                    file->size};
    });
    door_ = system_.spawn<node_door>(
      [this](const protocol::join_job& x) { return join(x); });
    auto port = system_.middleman().publish(door_, 0, "127.0.0.1");
    if (!port)
      return fail(protocol::from_caf(port.error()).within("opening a port"));
    gate_->route(process::node_slot, *port);
    settings_.tell(fmt::format("waiting for a job at {} with {} {} device{}",
                               to_string(gate_->bound()),
                               settings_.devices.count, kind(),
                               settings_.devices.count == 1 ? "" : "s"));
    return {};
  }

  // -- a job (the door's thread) ----------------------------------------------

  result<protocol::joined> join(const protocol::join_job& x) {
    if (auto seen = look_at(x.checkpoints); !seen)
      return fail(seen.error());
    auto key = to_key(x.book.key);
    if (!key)
      return fail(key.error());
    neighbourhood around{x.job,
                         {},
                         settings_.identity ? &*settings_.identity : nullptr};
    for (const auto& text : x.book.nodes) {
      auto gate = net::parse_endpoint(text);
      if (!gate)
        return fail(gate.error());
      around.gates.push_back(*gate);
    }
    auto here = static_cast<std::size_t>(x.node.value());
    if (x.node.value() < 0 || here >= around.gates.size())
      return fail(errc::invalid,
                  fmt::format("the job has no node {}", x.node.value()));
    auto log_dir = settings_.log_dir / x.job;
    std::error_code problem;
    std::filesystem::create_directories(log_dir, problem);
    if (problem)
      return fail(errc::refused,
                  fmt::format("cannot make {}: {}", log_dir.string(),
                              problem.message()));
    if (auto begun = guard_.begin_job(guard_settings_for(x)); !begun)
      return fail(begun.error());
    auto address = around.gates[here].host;
    auto node = start_node(x, std::move(address), std::move(around), log_dir);
    if (!node)
      return fail(node.error());
    take_pulses(x);
    gate_->admit(x.job, *key);
    caf::anon_send(me(), job_came{x.job, x.errors, *node,
                                  milliseconds{x.driver_grace_ms}});
    return protocol::joined{*node,           machine_name(),
                            ::getpid(),      settings_.devices.count,
                            kind(),          process::usable_cores(),
                            log_dir.string()};
  }

  /// Refuses a job whose checkpoints would be out of reach here.
  static result<void> look_at(const protocol::folder_proof& x) {
    if (x.file.empty())
      return {};
    auto seen = checkpoint::look_for_mark(x.file, x.token, x.write);
    if (seen)
      return {};
    auto advice = seen.error().code() == errc::refused
                    ? "run driver and nodes as the same user"
                    : "share that folder among all machines, under the same "
                      "path";
    auto other_way = x.write ? ", or set runtime.save_episode_interval: 0" : "";
    return fail(errc::refused, fmt::format("{}; {}{}", seen.error().message(),
                                           advice, other_way));
  }

  /// What was not known when the guard was forked.
  [[nodiscard]] process::guard_settings
  guard_settings_for(const protocol::join_job& x) const {
    process::guard_settings out;
    out.job_id = x.job;
    if (settings_.debug || x.debug)
      return out;
    out.pulse = milliseconds{std::max(1u, x.pulse_ms)};
    out.pulse_timeout = milliseconds{std::max(1u, x.pulse_timeout_ms)};
    out.node_grace = milliseconds{std::max(1u, x.driver_grace_ms)};
    out.core_grace = milliseconds{x.core_grace_ms};
    return out;
  }

  result<protocol::node_actor>
  start_node(const protocol::join_job& x, std::string address,
             neighbourhood around, const std::filesystem::path& log_dir) {
    node_settings config;
    config.job = x.job;
    config.id = x.node;
    config.num_device = settings_.devices.count;
    config.device_kind = kind();
    config.device_ids = settings_.devices.ids;
    config.far_hosts = true;
    config.others = system_.spawn<neighbours>(std::move(around));
    config.book = x.book;
    config.on_port = [this](std::int32_t slot, std::uint16_t port) {
      if (port == 0)
        gate_->unroute(slot);
      else
        gate_->route(slot, port);
    };
    config.on_guard_gone = [me = me()] { caf::anon_send(me, guard_gone{}); };
    config.on_close = [me = me()] { caf::anon_send(me, job_closing{}); };
    host_arguments common;
    common.app = x.app;
    common.job = x.job;
    common.host.node = x.node;
    common.num_threads = std::max(1, process::usable_cores()
                                       / std::max(1, settings_.devices.count));
    common.store_bytes_max = x.store_bytes_max;
    common.log_level = x.log_level;
    common.address = std::move(address);
    auto launcher = std::make_shared<guarded_launcher>(guard_, mesh_, common,
                                                       log_dir);
    auto node = system_.spawn<troupe::node::node>(std::move(config), launcher,
                                                  x.errors);
    auto port = system_.middleman().publish(node, 0, "127.0.0.1");
    if (!port)
      return fail(protocol::from_caf(port.error()).within("opening a port"));
    launcher->report_to(node, *port);
    return node;
  }

  void take_pulses(const protocol::join_job& x) {
    net::pulse_settings config;
    config.pulse = milliseconds{std::max(1u, x.pulse_ms)};
    config.timeout = milliseconds{std::max(1u, x.pulse_timeout_ms)};
    net::pulse_listener listener;
    listener.on_silent = [me = me()](milliseconds silent) {
      caf::anon_send(me, driver_silent{silent});
    };
    listener.on_heard = [me = me()] { caf::anon_send(me, driver_heard{}); };
    listener.on_closed = [me = me()] { caf::anon_send(me, driver_gone{}); };
    gate_->on_pulse([this, config, listener](process::unique_fd socket) {
      auto link = net::pulse_link::adopt(std::move(socket), config, listener);
      if (!link)
        return log::warning("node", "{}", to_string(link.error()));
      std::lock_guard guard{mutex_};
      pulses_ = std::move(*link);
    });
  }

  // -- ending (the process's own thread) --------------------------------------

  void close() {
    if (auto done = guard_.close(deadline::after(end_max)); !done)
      log::warning("node", "closing the guard: {}", to_string(done.error()));
    {
      std::lock_guard guard{mutex_};
      pulses_.reset();
    }
  }

  const node_process_settings& settings_;
  process::guard_client& guard_;
  process::peer_mesh mesh_;
  system_config actor_config_;
  caf::actor_system system_;
  caf::scoped_actor self_;
  node_wait wait_;
  std::unique_ptr<net::gate> gate_;
  protocol::node_door_actor door_;
  std::mutex mutex_;
  std::unique_ptr<net::pulse_link> pulses_;
};

} // namespace

node_end run_node_process(const node_process_settings& settings) {
  process::guard_settings config;
  // The job, and how it wants to be watched, are not known yet: see `join`.
  config.job_id = make_job_id();
  auto guard = process::guard_client::start(config);
  if (!guard) {
    settings.tell(guard.error().within("starting the guard").message());
    return node_end::refused;
  }
  // Destroying a system waits for its actors; the process ends instead.
  auto* process = new node_process{settings, **guard};
  auto end = process->run();
  static_cast<void>((*guard).release());
  return end;
}

} // namespace troupe::node
