// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/node.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/model/replica.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/process/host_types.hpp"
#include "troupe/core/log.hpp"

namespace troupe::node {

using protocol::ack;

node::node(caf::actor_config& config, node_settings settings,
           std::shared_ptr<host_launcher> launcher,
           protocol::error_signal_actor errors)
  : protocol::node_actor::base(config),
    settings_(std::move(settings)),
    launcher_(std::move(launcher)),
    errors_(std::move(errors)),
    calls_(this) {
  // nop
}

const char* node::name() const {
  return "node";
}

void node::on_exit() {
  // Owed answers hold the node.
  slots_.clear();
  ending_.clear();
  bundles_.close();
  settings_.others = protocol::neighbours_actor{};
}

// -- starting hosts ------------------------------------------------------------

result<std::int32_t> node::slot_for(const protocol::acquire_host& request) {
  auto on_device = request.kind == protocol::host_kind::device;
  if (on_device
      && (request.device < 0 || request.device >= settings_.num_device))
    return fail(errc::exhausted,
                fmt::format("node {} has {} devices, device {} was asked for",
                            settings_.id.value(), settings_.num_device,
                            request.device));
  if (!request.isolated_for.empty()) {
    auto key = fmt::format("{}@{}", request.isolated_for, request.device);
    auto first = settings_.num_device + 1;
    return isolated_
      .try_emplace(key, first + static_cast<std::int32_t>(isolated_.size()))
      .first->second;
  }
  return on_device ? request.device : settings_.num_device;
}

std::int32_t node::id_of(std::int32_t device) const {
  auto i = static_cast<std::size_t>(device);
  return i < settings_.device_ids.size() ? settings_.device_ids[i] : device;
}

void node::acquire(const protocol::acquire_host& request,
                   const call::reply<protocol::acquired_host>& out) {
  if (closing_)
    return out.deliver(fail(errc::unavailable, "the node shuts down"));
  if (!ending_.empty())
    return out.deliver(fail(errc::unavailable, "the node ends its hosts"));
  auto number = slot_for(request);
  if (!number)
    return out.deliver(fail(number.error()));
  auto& x = slots_[*number];
  if (x.control)
    return out.deliver(introduce(x, request.from));
  if (!x.waiting.empty()) {
    x.waiting.push_back({out, request.from});
    place(x, request.worker);
    return;
  }
  x.info.host = {settings_.id, *number, x.info.host.life.next()};
  auto on_device = request.kind == protocol::host_kind::device;
  x.info.device = on_device ? fmt::format("{}:{}", settings_.device_kind,
                                          id_of(request.device))
                            : "cpu host";
  x.info.workers.clear();
  x.waiting.push_back({out, request.from});
  place(x, request.worker);
  auto on_gpu = on_device && settings_.device_kind == "cuda";
  auto pid = launcher_->launch(x.info.host,
                               on_gpu ? id_of(request.device) : -1);
  if (!pid) {
    x.info.workers.clear();
    auto waiting = std::exchange(x.waiting, {});
    for (auto& reply : waiting)
      reply.out.deliver(fail(pid.error().within("starting " + x.info.device)));
    return;
  }
  // An in-process host may have reported before `launch` returned.
  x.info.pid = *pid;
  x.info.alive = true;
  log::info("node", "{} runs {} as process {}", to_string(x.info.host),
            x.info.device, *pid);
}

void node::place(slot& x, const protocol::worker_name& worker) {
  auto& workers = x.info.workers;
  if (!worker.model.empty() && std::ranges::count(workers, worker) == 0)
    workers.push_back(worker);
}

protocol::acquired_host node::introduce(const slot& x, node_id to) const {
  if (to == settings_.id)
    return {x.info.host, x.control};
  return {x.info.host, protocol::host_actor{}};
}

result<protocol::host_welcome> node::welcome(const protocol::host_hello& x) {
  auto refuse = [](std::string why) {
    log::warning("node", "refuses a host: {}", why);
    return fail(errc::refused, std::move(why));
  };
  if (x.wire != protocol::wire_version)
    return refuse(fmt::format("the host speaks protocol {}, this node {}",
                              x.wire, protocol::wire_version));
  if (x.build != build_id())
    return refuse(fmt::format("the host is build {}, this node is build {}",
                              x.build, build_id()));
  if (x.job != settings_.job)
    return refuse(fmt::format("the host belongs to job {}, this is job {}",
                              x.job, settings_.job));
  auto i = slots_.find(x.host.slot);
  if (i == slots_.end() || i->second.info.host != x.host
      || i->second.waiting.empty())
    return refuse(fmt::format("nobody waits for {}", to_string(x.host)));
  auto& slot = i->second;
  slot.control = x.control;
  slot.info.pid = x.pid;
  slot.info.alive = true;
  if (settings_.on_port && x.port != 0)
    settings_.on_port(x.host.slot, x.port);
  for (auto& reply : std::exchange(slot.waiting, {}))
    reply.out.deliver(introduce(slot, reply.from));
  return protocol::host_welcome{settings_.book};
}

result<protocol::made_replica>
node::make_replica(const protocol::make_replica& x) {
  if (closing_)
    return fail(errc::unavailable, "the node shuts down");
  if (x.spec.ranks.empty())
    return fail(errc::invalid, "a replica without ranks");
  model::replica_surroundings around;
  around.here = settings_.id;
  around.node = caf::actor_cast<protocol::node_actor>(this);
  around.others = settings_.others;
  around.errors = errors_;
  around.far_hosts = settings_.far_hosts;
  return protocol::made_replica{
    spawn<model::replica>(x.spec, std::move(around), x.owner)};
}

// -- ending hosts --------------------------------------------------------------

void node::exited(const protocol::host_exited& x) {
  if (x.host.slot == process::node_slot && !closing_) {
    guard_gone_ = true;
    protocol::error_report report;
    report.code = errc::lost;
    report.node = settings_.id;
    report.operation = "process";
    report.message = fmt::format("every host {}", x.how);
    send(errors_, report);
    if (settings_.on_guard_gone)
      settings_.on_guard_gone();
    return;
  }
  auto i = slots_.find(x.host.slot);
  if (i == slots_.end() || i->second.info.host != x.host)
    return;
  auto& slot = i->second;
  slot.info.alive = false;
  slot.control = protocol::host_actor{};
  if (settings_.on_port)
    settings_.on_port(x.host.slot, 0);
  auto text = fmt::format("the host process of {} (pid {}) ended: {}",
                          slot.info.device, x.pid, x.how);
  for (auto& reply : std::exchange(slot.waiting, {}))
    reply.out.deliver(fail(errc::lost, text));
  if (closing_)
    return;
  if (is_ending(x.host.slot))
    return finish_ending();
  if (!slot.info.workers.empty()) {
    std::vector<std::string> names;
    for (const auto& worker : slot.info.workers)
      names.push_back(to_string(worker));
    text += fmt::format("; it held {}", fmt::join(names, ", "));
  }
  // Nobody of ours kills a host and then comes here.
  auto starved = x.how.find("SIGKILL") == std::string::npos
                   ? std::string{}
                   : settings_.out_of_memory.what_is_new();
  if (!starved.empty())
    text += "; " + starved;
  log::error("node", "{}", text);
  protocol::error_report report;
  report.code = starved.empty() ? errc::lost : errc::exhausted;
  report.node = settings_.id;
  report.slot = x.host.slot;
  report.device = slot.info.device;
  report.operation = "process";
  report.message = text;
  if (slot.info.workers.size() == 1) {
    const auto& worker = slot.info.workers.front();
    report.model = worker.model;
    report.replica = worker.replica;
    report.rank = worker.rank;
  }
  send(errors_, report);
}

void node::end_hosts(const protocol::end_hosts& which,
                     const call::reply<ack>& out) {
  if (closing_)
    return out.deliver(fail(errc::unavailable, "the node shuts down"));
  if (guard_gone_)
    return out.deliver(fail(errc::lost, "the guard process is gone"));
  ending work{{}, out};
  for (auto& [number, slot] : slots_) {
    if (!which.slots.empty() && std::ranges::count(which.slots, number) == 0)
      continue;
    for (auto& reply : std::exchange(slot.waiting, {}))
      reply.out.deliver(fail(errc::unavailable, "the node ends its hosts"));
    if (!slot.info.alive)
      continue;
    auto killed = launcher_->kill(slot.info.host);
    // One that is gone already is about to be reported.
    if (!killed && killed.error().code() != errc::lost)
      return out.deliver(fail(killed.error()));
    work.slots.insert(number);
  }
  ending_.push_back(std::move(work));
  finish_ending();
}

bool node::is_ending(std::int32_t slot) const {
  return std::ranges::any_of(ending_, [&](const auto& x) {
    return x.slots.count(slot) > 0;
  });
}

void node::finish_ending() {
  auto over = [&](const ending& x) {
    return std::ranges::none_of(x.slots, [&](std::int32_t number) {
      return slots_.at(number).info.alive;
    });
  };
  for (auto& x : ending_)
    if (over(x))
      x.out.deliver(ack{});
  std::erase_if(ending_, over);
}

void node::close(std::chrono::milliseconds timeout,
                 const call::reply<ack>& out) {
  closing_ = true;
  if (settings_.on_close)
    settings_.on_close();
  auto until = deadline::after(timeout);
  std::vector<protocol::host_actor> open;
  for (auto& [number, slot] : slots_) {
    if (slot.control)
      open.push_back(slot.control);
    for (auto& reply : std::exchange(slot.waiting, {}))
      reply.out.deliver(fail(errc::unavailable, "the node shuts down"));
  }
  auto all = std::make_shared<call::gather<ack>>(open.size(),
                                                 [=, this](
                                                   result<std::vector<ack>>) {
                                                   launcher_->close(until);
                                                   out.deliver(ack{});
                                                   quit();
                                                 });
  // Half of the time for a good end, the rest for force.
  for (std::size_t i = 0; i < open.size(); ++i)
    calls_.ask<ack>(open[i], timeout / 2, protocol::shut_down{},
                    [all, i](const result<ack>&) { all->set(i, ack{}); });
}

node::behavior_type node::make_behavior() {
  using namespace protocol;
  return {
    [this](const bundle& x) { return bundles_.pass_on(this, calls_, x); },
    [this](const get_rest& x) { return bundles_.fetch(this, x); },
    [this](const host_hello& x) -> caf::result<host_welcome> {
      auto y = welcome(x);
      if (!y)
        return to_caf(y.error());
      return *y;
    },
    [this](const protocol::make_replica& x) -> caf::result<made_replica> {
      auto y = make_replica(x);
      if (!y)
        return to_caf(y.error());
      return *y;
    },
    [this](const acquire_host& x) {
      call::reply<acquired_host> out{make_response_promise<acquired_host>()};
      acquire(x, out);
      return out.promise();
    },
    [this](const worker_placed& x) {
      auto i = slots_.find(x.host.slot);
      if (i != slots_.end() && i->second.info.host == x.host)
        place(i->second, x.worker);
    },
    [this](const worker_removed& x) {
      for (auto& [number, slot] : slots_)
        std::erase(slot.info.workers, x.worker);
    },
    [this](const host_exited& x) { exited(x); },
    [this](const abort_groups& x) {
      call::reply<ack> out{make_response_promise<ack>()};
      std::vector<host_actor> open;
      for (const auto& [number, slot] : slots_)
        if (slot.control)
          open.push_back(slot.control);
      auto all = std::make_shared<
        call::gather<ack>>(open.size(), [out](result<std::vector<ack>>) {
        out.deliver(ack{});
      });
      for (std::size_t i = 0; i < open.size(); ++i)
        calls_.ask<ack>(open[i], std::chrono::seconds{1}, x,
                        [all, i](const result<ack>&) { all->set(i, ack{}); });
      return out.promise();
    },
    [this](const release_batches& x) {
      for (const auto& [number, slot] : slots_)
        if (slot.control)
          send(slot.control, x);
    },
    [this](get_node_status) {
      node_status x{settings_.id, {}};
      for (const auto& [number, slot] : slots_)
        x.hosts.push_back(slot.info);
      return x;
    },
    [this](const protocol::end_hosts& x) {
      call::reply<ack> out{make_response_promise<ack>()};
      end_hosts(x, out);
      return out.promise();
    },
    [this](const close_node& x) {
      call::reply<ack> out{make_response_promise<ack>()};
      close(std::chrono::milliseconds{x.timeout_ms}, out);
      return out.promise();
    },
  };
}

} // namespace troupe::node
