// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/protocol/model.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/inproc/hub.hpp"
#include "troupe/comm/link.hpp"
#include "troupe/comm/shared_memory.hpp"

namespace troupe::model {

/// The communicators and links of one worker, by name.
///
/// Threads: the worker's thread opens, connects, uses and closes; `abort` may
/// be called from any thread and wakes the worker out of any of them. After an
/// abort new groups are refused until `close` has emptied the table. Nothing is
/// made, aborted, waited for or destroyed under the table's lock, and communicators
/// end on the thread that closes them.
class group_table {
public:
  /// Without a mesh there are no links to other processes' memory. `address`
  /// is where processes of other machines reach this one; empty: loopback.
  /// `device` is what this process works on, if it has one.
  explicit group_table(comm::inproc::hub& hub,
                       process::peer_mesh* mesh = nullptr,
                       const protocol::host_name& self = {},
                       std::string address = {}, comm::device_ptr device = {})
    : hub_(hub),
      mesh_(mesh),
      self_(self),
      address_(std::move(address)),
      device_(std::move(device)) {
    // nop
  }

  /// Memory that links to other processes offer without a copy, and memory of
  /// the device of which they offer what can be shared; for links opened from
  /// now on.
  void offer(std::vector<std::shared_ptr<comm::shared_memory>> memories,
             std::vector<std::span<std::byte>> on_device = {});

  /// Makes the seat's endpoint; the address is empty where none is needed.
  [[nodiscard]] result<bytes> open(const protocol::group_seat& seat);

  /// Connects the endpoint of `group` to its peers.
  [[nodiscard]] result<void> connect(const std::string& group,
                                     const std::vector<bytes>& addresses,
                                     deadline until);

  void close(const std::string& group);

  /// Null if there is none.
  [[nodiscard]] comm::communicator* communicator(std::string_view group) const;

  /// Null if there is none.
  [[nodiscard]] comm::link_ptr link(std::string_view name) const;

  /// Looks after groups that live (`communicator::health`): what those say that
  /// do not live any more, with the group's name. From any thread.
  [[nodiscard]] std::vector<error> check() const;

  /// Kills everything in the table.
  void abort() noexcept;

  /// Kills everything and forgets it: new groups are welcome again.
  void clear() noexcept;

private:
  struct entry {
    protocol::seat_kind kind = protocol::seat_kind::member;
    std::string backend;
    rank_id rank;
    comm::endpoint_ptr endpoint;
    comm::communicator_ptr communicator;
    comm::link_ptr link;
  };

  [[nodiscard]] result<comm::endpoint_ptr>
  make_endpoint(const protocol::group_seat& seat) const;

  /// Makes one end of a link to a process of this machine: the sender hands the
  /// receiver its socket.
  [[nodiscard]] result<comm::link_ptr>
  connect_neighbour(const std::string& group, const std::string& backend,
                    protocol::seat_kind kind,
                    const std::vector<bytes>& addresses, deadline until);

  [[nodiscard]] result<comm::link_ptr> make_receiver(const std::string& backend,
                                                     int fd) const;

  [[nodiscard]] result<comm::link_ptr> make_sender(const std::string& backend,
                                                   int fd) const;

  /// What neighbours have sent for a group that is no more.
  void discard(const std::string& group, const entry& x) const;

  /// Destroys it here: whoever looks in from outside at this moment must not
  /// turn out to be the last who has it, and wait for its end.
  template <class T>
  void let_go(T x) const noexcept {
    // Those who took copies before it was taken out are through after this.
    { std::unique_lock wait{visits_}; }
    static_cast<void>(T{std::move(x)});
  }

  comm::inproc::hub& hub_;
  process::peer_mesh* mesh_;
  protocol::host_name self_;
  std::string address_;
  comm::device_ptr device_;
  std::vector<std::shared_ptr<comm::shared_memory>> memories_;
  std::vector<std::span<std::byte>> on_device_;
  /// Shared by those who look in from outside, while they have copies of what
  /// the table has.
  mutable std::shared_mutex visits_;
  mutable std::mutex mutex_;
  /// Written under the lock.
  std::atomic<bool> aborted_ = false;
  std::map<std::string, entry, std::less<>> entries_;
};

} // namespace troupe::model
