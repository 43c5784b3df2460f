// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/group_table.hpp"

#include <fmt/core.h>

#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/gloo/factory.hpp"
#include "troupe/comm/shm/factory.hpp"

namespace troupe::model {

namespace {

result<comm::endpoint_ptr> make_endpoint(comm::inproc::hub& hub,
                                         const std::string& address,
                                         const protocol::group_seat& seat) {
  if (seat.backend == "inproc")
    return hub.make_endpoint(seat.group, seat.rank, seat.size);
  if (seat.backend == "gloo") {
    comm::gloo::endpoint_options options;
    if (!address.empty())
      options.bind_address = address;
    return comm::gloo::make_endpoint(seat.rank, seat.size, options);
  }
  return fail(errc::invalid,
              fmt::format("there is no communicator backend '{}'; known: "
                          "inproc, gloo, and shm for links",
                          seat.backend));
}

/// Where the end of a shm link lives.
bytes encode(const protocol::host_name& x) {
  bytes out;
  encoder sink{out};
  sink.put(x.slot);
  sink.put(x.life.value());
  return out;
}

result<std::pair<std::int32_t, incarnation>> decode(const bytes& x) {
  decoder source{x};
  std::int32_t slot = 0;
  std::uint32_t life = 0;
  if (!source.get(slot) || !source.get(life) || source.left() != 0)
    return fail(errc::invalid, "no address of a shm link");
  return std::pair{slot, incarnation{life}};
}

bool needs_no_rendezvous(const protocol::group_seat& seat) {
  return seat.backend == "inproc" && seat.kind != protocol::seat_kind::member;
}

} // namespace

result<bytes> group_table::open(const protocol::group_seat& seat) {
  entry fresh;
  fresh.kind = seat.kind;
  fresh.backend = seat.backend;
  fresh.rank = seat.rank;
  bytes address;
  if (needs_no_rendezvous(seat)) {
    auto end = seat.kind == protocol::seat_kind::sender
                 ? comm::inproc::link_end::sender
                 : comm::inproc::link_end::receiver;
    auto link = hub_.make_link(seat.group, end);
    if (!link)
      return fail(link.error());
    fresh.link = std::move(*link);
  } else if (seat.backend == "shm"
             && seat.kind != protocol::seat_kind::member) {
    if (!mesh_)
      return fail(errc::unavailable,
                  "this process has no sockets to others: no shm links");
    address = encode(self_);
  } else {
    auto endpoint = make_endpoint(hub_, address_, seat);
    if (!endpoint)
      return fail(endpoint.error());
    fresh.endpoint = std::move(*endpoint);
    address = fresh.endpoint->address();
  }
  std::lock_guard guard{mutex_};
  if (aborted_)
    return fail(errc::aborted, "the worker's communicators were aborted");
  entries_.insert_or_assign(seat.group, std::move(fresh));
  return address;
}

result<void> group_table::connect(const std::string& group,
                                  const std::vector<bytes>& addresses,
                                  deadline until) {
  comm::endpoint_ptr endpoint;
  auto over_shm = false;
  auto kind = protocol::seat_kind::member;
  {
    std::lock_guard guard{mutex_};
    auto i = entries_.find(group);
    if (i == entries_.end())
      return fail(errc::invalid,
                  fmt::format("group '{}' was never opened here", group));
    endpoint = i->second.endpoint;
    kind = i->second.kind;
    over_shm = i->second.backend == "shm" && !i->second.link;
  }
  if (over_shm) {
    auto link = connect_shm(group, kind, addresses, until);
    if (!link)
      return fail(link.error().within(group));
    std::lock_guard guard{mutex_};
    auto i = entries_.find(group);
    if (aborted_ || i == entries_.end()) {
      (*link)->abort();
      return fail(errc::aborted, "the worker's communicators were aborted");
    }
    i->second.link = std::move(*link);
    return {};
  }
  if (!endpoint)
    return {};
  // Blocks: outside of the lock, so that `abort` can reach the endpoint.
  auto connected = endpoint->connect(addresses, until);
  if (!connected)
    return fail(connected.error().within(group));
  std::lock_guard guard{mutex_};
  auto i = entries_.find(group);
  if (aborted_ || i == entries_.end()) {
    (*connected)->abort();
    return fail(errc::aborted, "the worker's communicators were aborted");
  }
  auto& x = i->second;
  x.communicator = std::move(*connected);
  x.endpoint = nullptr;
  if (x.kind != protocol::seat_kind::member)
    x.link = std::make_shared<comm::comm_link>(x.communicator,
                                               rank_id{1 - x.rank.value()}, 0,
                                               x.backend);
  return {};
}

void group_table::offer(std::vector<std::shared_ptr<comm::shm::arena>> arenas) {
  std::lock_guard guard{mutex_};
  arenas_ = std::move(arenas);
}

result<comm::link_ptr>
group_table::connect_shm(const std::string& group, protocol::seat_kind kind,
                         const std::vector<bytes>& addresses, deadline until) {
  if (addresses.size() != 2)
    return fail(errc::invalid, "the other end of the link is missing");
  auto sends = kind == protocol::seat_kind::sender;
  auto peer = decode(addresses[sends ? 1 : 0]);
  if (!peer)
    return fail(peer.error());
  if (auto there = mesh_->await_peer(peer->first, peer->second, until); !there)
    return fail(there.error());
  if (!sends) {
    auto fd = mesh_->receive_fd(peer->first, peer->second, group, until);
    if (!fd)
      return fail(fd.error());
    return comm::shm::make_receiver(fd->release());
  }
  auto sockets = comm::shm::make_sockets();
  if (!sockets)
    return fail(sockets.error());
  process::unique_fd mine{sockets->first};
  process::unique_fd theirs{sockets->second};
  auto sent = mesh_->send_fd(peer->first, peer->second, group, theirs.get(),
                             until);
  if (!sent)
    return fail(sent.error());
  std::lock_guard guard{mutex_};
  return comm::shm::make_sender(mine.release(), arenas_);
}

void group_table::close(const std::string& group) {
  entry old;
  std::lock_guard guard{mutex_};
  auto i = entries_.find(group);
  if (i == entries_.end())
    return;
  old = std::move(i->second);
  entries_.erase(i);
  if (entries_.empty())
    aborted_ = false;
}

comm::communicator* group_table::communicator(std::string_view group) const {
  std::lock_guard guard{mutex_};
  auto i = entries_.find(group);
  return i == entries_.end() ? nullptr : i->second.communicator.get();
}

comm::link_ptr group_table::link(std::string_view name) const {
  std::lock_guard guard{mutex_};
  auto i = entries_.find(name);
  return i == entries_.end() ? nullptr : i->second.link;
}

void group_table::abort() noexcept {
  std::lock_guard guard{mutex_};
  aborted_ = true;
  for (auto& [name, x] : entries_) {
    if (x.endpoint)
      x.endpoint->abort();
    if (x.link)
      x.link->abort();
    if (x.communicator)
      x.communicator->abort();
  }
}

void group_table::clear() noexcept {
  abort();
  std::lock_guard guard{mutex_};
  entries_.clear();
  aborted_ = false;
}

} // namespace troupe::model
