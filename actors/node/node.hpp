// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/bundle_book.hpp"
#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/node/launcher.hpp"
#include "troupe/actors/process/oom_counter.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

struct node_settings {
  std::string job;
  node_id id;
  /// Devices of this machine and what to call them: `"cpu"`, `"cuda"`.
  std::int32_t num_device = 0;
  std::string device_kind = "cpu";
  /// What the machine calls device 0, 1, ...: the numbers of its GPUs; empty:
  /// the same.
  std::vector<std::int32_t> device_ids = {};
  /// Null if there is no other machine.
  protocol::neighbours_actor others = protocol::neighbours_actor{};
  /// What its hosts are told when they report.
  protocol::job_address_book book = {};
  /// Called with the port of each host that other machines may reach, and with
  /// 0 when the host has ended; null if nobody may.
  std::function<void(std::int32_t slot, std::uint16_t port)> on_port = {};
  /// Called when the guard has ended, after the error_signal was told; may be
  /// null.
  std::function<void()> on_guard_gone = {};
  /// Called when the driver has said that the job ends; may be null.
  std::function<void()> on_close = {};
  /// Hosts are other processes.
  bool far_hosts = false;
  /// Tells whether a host that was killed ran out of memory.
  process::oom_counter out_of_memory = {};
};

/// The actor of one machine: starts a host for each device when it is first
/// asked for, resolves hosts for replicas, passes on what comes for several
/// actors of this machine in one message, and tells the error_signal which
/// workers a dead process took with it.
class node : public protocol::node_actor::base {
public:
  node(caf::actor_config& config, node_settings settings,
       std::shared_ptr<host_launcher> launcher,
       protocol::error_signal_actor errors);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  /// A replica that waits for a host to report.
  struct waiting_replica {
    call::reply<protocol::acquired_host> out;
    node_id from;
  };

  struct slot {
    protocol::host_info info;
    protocol::host_actor control;
    std::vector<waiting_replica> waiting;
  };

  [[nodiscard]] result<std::int32_t>
  slot_for(const protocol::acquire_host& request);

  void acquire(const protocol::acquire_host& request,
               const call::reply<protocol::acquired_host>& out);

  /// The machine's number of a device.
  [[nodiscard]] std::int32_t id_of(std::int32_t device) const;

  /// Notes that `worker` lives in the slot's process, or soon will.
  static void place(slot& x, const protocol::worker_name& worker);

  /// A host as somebody on machine `to` hears of it.
  [[nodiscard]] protocol::acquired_host introduce(const slot& x,
                                                  node_id to) const;

  [[nodiscard]] result<protocol::host_welcome>
  welcome(const protocol::host_hello& x);

  [[nodiscard]] result<protocol::made_replica>
  make_replica(const protocol::make_replica& x);

  void exited(const protocol::host_exited& x);

  void end_hosts(const protocol::end_hosts& which,
                 const call::reply<protocol::ack>& out);

  /// Answers those who wait for the end of hosts, if none of theirs is left.
  void finish_ending();

  /// Somebody wants this host to end.
  [[nodiscard]] bool is_ending(std::int32_t slot) const;

  void close(std::chrono::milliseconds timeout,
             const call::reply<protocol::ack>& out);

  node_settings settings_;
  std::shared_ptr<host_launcher> launcher_;
  protocol::error_signal_actor errors_;
  std::map<std::int32_t, slot> slots_;
  std::map<std::string, std::int32_t> isolated_;
  /// Who waits for the end of which hosts: that is no error.
  struct ending {
    std::set<std::int32_t> slots;
    call::reply<protocol::ack> out;
  };

  std::vector<ending> ending_;
  bool closing_ = false;
  /// Nobody can start or end hosts any more.
  bool guard_gone_ = false;
  call::bundle_book bundles_;
  call::caller<node> calls_;
};

} // namespace troupe::node
