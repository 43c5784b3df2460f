// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/host.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/model/worker.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/core/log.hpp"

namespace troupe::node {

using protocol::ack;

namespace {

/// A rank that waits looks by itself: this is for those that do not.
constexpr std::chrono::milliseconds groups_interval{500};

} // namespace

host::host(caf::actor_config& config, model::host_services services,
           worker_threads threads, std::function<void()> on_closed)
  : protocol::host_actor::base(config),
    services_(services),
    threads_(threads),
    on_closed_(std::move(on_closed)),
    calls_(this) {
  // nop
}

const char* host::name() const {
  return "host";
}

void host::on_exit() {
  bundles_.close();
  // CAF's clock keeps us until the last reminder is due; what is on a device
  // does not wait for that, nor whoever waits for a worker.
  workers_.clear();
  services_.device = nullptr;
}

void host::start(order x) {
  const auto& name = x.spec.name;
  if (!services_.registry->find(name.model))
    return x.out.deliver(
      fail(errc::invalid,
           fmt::format("this program has no model '{}'", name.model)));
  auto i = workers_.find(name);
  if (i == workers_.end())
    return x.out.deliver(make(x));
  auto& old = i->second;
  if (old.starter == caf::actor_cast<caf::actor_addr>(x.starter))
    return x.out.deliver(
      fail(errc::invalid,
           fmt::format("{} lives here already", to_string(name))));
  if (old.next)
    old.next->out.deliver(
      fail(errc::aborted, "another one was made in its place"));
  log::info(to_string(services_.host), "{} makes room for a new one",
            to_string(name));
  old.next = std::move(x);
  // So that it is not held by anybody who is gone.
  old.probe->groups.abort();
  old.probe->syncs.abort();
  caf::anon_send(old.actor, protocol::close_model{});
}

protocol::started_worker host::make(const order& order) {
  const auto& name = order.spec.name;
  slot x;
  x.starter = caf::actor_cast<caf::actor_addr>(order.starter);
  x.probe = std::make_shared<model::worker_probe>(*services_.hub,
                                                  services_.mesh,
                                                  services_.host,
                                                  services_.address,
                                                  services_.device);
  x.actor = threads_ == worker_threads::own
              ? spawn<model::worker, caf::detached + caf::linked>(order.spec,
                                                                  services_,
                                                                  x.probe,
                                                                  threads_)
              : spawn<model::worker, caf::linked>(order.spec, services_,
                                                  x.probe, threads_);
  x.mover = spawn<model::weight_mover, caf::linked>(name, x.probe, threads_);
  log::info(to_string(services_.host), "starts {}", to_string(name));
  protocol::started_worker reply{x.actor, x.mover};
  if (services_.device)
    reply.device = services_.device->uuid();
  calls_.watch(x.actor, [this, name](const error&) { forget(name); });
  // A worker does not outlive whoever started it, perhaps before the answer
  // came: nobody else could close it.
  if (order.starter)
    calls_.watch(order.starter, [this, name,
                                 address = x.actor.address()](const error&) {
      auto i = workers_.find(name);
      if (i != workers_.end() && i->second.actor.address() == address)
        caf::anon_send(i->second.actor, protocol::close_model{});
    });
  workers_.emplace(name, std::move(x));
  return reply;
}

void host::forget(const protocol::worker_name& name) {
  auto i = workers_.find(name);
  if (i == workers_.end())
    return;
  auto old = std::move(i->second);
  workers_.erase(i);
  send_exit(old.mover, caf::exit_reason::user_shutdown);
  if (old.next)
    old.next->out.deliver(make(*old.next));
}

protocol::host_status host::status() const {
  protocol::host_status x;
  x.host = services_.host;
  for (const auto& [name, worker] : workers_) {
    auto mark = worker.probe->mark.read();
    auto age = std::chrono::duration_cast<std::chrono::milliseconds>(mark.age);
    x.workers.push_back({name, mark.operation,
                         static_cast<std::uint64_t>(age.count()), false,
                         weight_version{worker.probe->version.load()},
                         worker.probe->memory.read()});
    for (const auto& seat : worker.probe->syncs.all())
      for (auto& line : seat->progress())
        x.workers.push_back({name, std::move(line), 0});
  }
  auto store = services_.store->stats();
  x.store_bytes = store.bytes;
  x.store_peak_bytes = store.bytes_peak;
  x.resident_bytes = resident_bytes();
  return x;
}

void host::abort_all(const std::string& reason) {
  log::info(to_string(services_.host), "aborts all communicators: {}", reason);
  for (auto& [name, worker] : workers_) {
    worker.probe->groups.abort();
    worker.probe->syncs.abort();
  }
}

void host::check_groups() {
  for (const auto& [name, worker] : workers_)
    for (const auto& x : worker.probe->groups.check())
      log::error(to_string(services_.host), "{}: {}", to_string(name),
                 to_string(x));
  delayed_send(this, groups_interval, protocol::check_groups{});
}

host::behavior_type host::make_behavior() {
  using namespace protocol;
  if (services_.device)
    delayed_send(this, groups_interval, protocol::check_groups{});
  return {
    [this](const bundle& x) { return bundles_.pass_on(this, calls_, x); },
    [this](const get_rest& x) { return bundles_.fetch(this, x); },
    [this](const start_worker& x) {
      // The promise takes the sender with it.
      auto starter = caf::actor_cast<caf::actor>(current_sender());
      call::reply<started_worker> out{make_response_promise<started_worker>()};
      start({x.spec, starter, out});
      return out.promise();
    },
    [this](const abort_groups& x) {
      abort_all(x.reason);
      return ack{};
    },
    [this](const release_batches& x) {
      services_.store->release_before(x.last + 1);
    },
    [this](get_host_status) { return status(); },
    [this](protocol::check_groups) { check_groups(); },
    [this](shut_down) {
      call::reply<ack> out{make_response_promise<ack>()};
      abort_all("the host shuts down");
      auto
        all = std::make_shared<call::gather<ack>>(workers_.size(),
                                                  [out, this](
                                                    result<std::vector<ack>>) {
                                                    out.deliver(ack{});
                                                    auto closed = on_closed_;
                                                    quit();
                                                    if (closed)
                                                      closed();
                                                  });
      std::size_t index = 0;
      for (auto& [name, worker] : workers_) {
        calls_.ask<ack>(worker.actor, std::chrono::seconds{1}, close_model{},
                        [all, index](const result<ack>&) {
                          all->set(index, ack{});
                        });
        ++index;
      }
      return out.promise();
    },
  };
}

} // namespace troupe::node
