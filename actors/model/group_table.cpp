// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/group_table.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/gloo/factory.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/core/log.hpp"

namespace troupe::model {

namespace {

/// Where the end of a link between processes of one machine lives.
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
    return fail(errc::invalid, "no address of a link between processes");
  return std::pair{slot, incarnation{life}};
}

bool needs_no_rendezvous(const protocol::group_seat& seat) {
  return seat.kind != protocol::seat_kind::member
         && (seat.backend == "inproc" || seat.backend == "cuda");
}

/// Whether the receiver reads the sender's memory, in another process.
bool joins_neighbours(const std::string& backend) {
  return backend == "shm" || backend == "cuda_ipc";
}

error no_device(const std::string& backend) {
  return {errc::unavailable,
          fmt::format("this process has no device: no {} links", backend)};
}

} // namespace

result<comm::endpoint_ptr>
group_table::make_endpoint(const protocol::group_seat& seat) const {
  if (seat.backend == "inproc")
    return hub_.make_endpoint(seat.group, seat.rank, seat.size);
  if (seat.backend != "gloo" && seat.backend != "nccl")
    return fail(errc::invalid,
                fmt::format("there is no communicator backend '{}'; known: "
                            "inproc, gloo, nccl, and shm, cuda, cuda_ipc for "
                            "links",
                            seat.backend));
  // A link that is gloo's carries what lies in the processes' memory, and its
  // other end may have no device.
  auto for_devices = seat.kind == protocol::seat_kind::member
                     || seat.backend == "nccl";
  if (device_ && for_devices)
    return device_->make_endpoint(seat.rank, seat.size, address_);
  if (seat.backend == "nccl")
    return fail(no_device(seat.backend));
  comm::gloo::endpoint_options options;
  if (!address_.empty())
    options.bind_address = address_;
  return comm::gloo::make_endpoint(seat.rank, seat.size, options);
}

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
  } else if (joins_neighbours(seat.backend)
             && seat.kind != protocol::seat_kind::member) {
    if (!mesh_)
      return fail(errc::unavailable,
                  fmt::format("this process has no sockets to others: no {} "
                              "links",
                              seat.backend));
    // Nobody sends before our address is known.
    if (seat.kind == protocol::seat_kind::receiver)
      mesh_->expect(seat.group);
    address = encode(self_);
  } else {
    auto endpoint = make_endpoint(seat);
    if (!endpoint)
      return fail(endpoint.error());
    fresh.endpoint = std::move(*endpoint);
    address = fresh.endpoint->address();
  }
  entry old;
  {
    std::lock_guard guard{mutex_};
    if (aborted_)
      return fail(errc::aborted, "the worker's communicators were aborted");
    old = std::exchange(entries_[seat.group], std::move(fresh));
  }
  let_go(std::move(old));
  return address;
}

result<void> group_table::connect(const std::string& group,
                                  const std::vector<bytes>& addresses,
                                  deadline until) {
  comm::endpoint_ptr endpoint;
  std::string backend;
  auto joins = false;
  auto kind = protocol::seat_kind::member;
  {
    std::lock_guard guard{mutex_};
    auto i = entries_.find(group);
    if (i == entries_.end())
      return fail(errc::invalid,
                  fmt::format("group '{}' was never opened here", group));
    endpoint = i->second.endpoint;
    kind = i->second.kind;
    backend = i->second.backend;
    joins = joins_neighbours(backend) && !i->second.link;
  }
  if (joins) {
    auto link = connect_neighbour(group, backend, kind, addresses, until);
    if (!link)
      return fail(link.error().within(group));
    std::unique_lock guard{mutex_};
    auto i = entries_.find(group);
    if (aborted_ || i == entries_.end()) {
      guard.unlock();
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
  // Of one process: it knows no other memory than the process's.
  if (connected && device_ && backend == "inproc")
    connected = device_->widen(std::move(*connected));
  if (!connected)
    return fail(connected.error().within(group));
  std::unique_lock guard{mutex_};
  auto i = entries_.find(group);
  if (aborted_ || i == entries_.end()) {
    guard.unlock();
    (*connected)->abort();
    return fail(errc::aborted, "the worker's communicators were aborted");
  }
  auto& x = i->second;
  x.communicator = std::move(*connected);
  auto old = std::exchange(x.endpoint, nullptr);
  if (x.kind != protocol::seat_kind::member)
    x.link = std::make_shared<comm::comm_link>(x.communicator,
                                               rank_id{1 - x.rank.value()}, 0,
                                               x.backend);
  guard.unlock();
  endpoint = nullptr;
  let_go(std::move(old));
  return {};
}

void group_table::offer(
  std::vector<std::shared_ptr<comm::shared_memory>> memories,
  std::vector<std::span<std::byte>> on_device) {
  std::lock_guard guard{mutex_};
  memories_ = std::move(memories);
  on_device_ = std::move(on_device);
}

result<comm::link_ptr> group_table::make_receiver(const std::string& backend,
                                                  int fd) const {
  process::unique_fd line{fd};
  if (backend == "shm")
    return comm::shm::make_receiver(line.release());
  if (!device_)
    return fail(no_device(backend));
  return device_->make_receiver(line.release());
}

result<comm::link_ptr> group_table::make_sender(const std::string& backend,
                                                int fd) const {
  process::unique_fd line{fd};
  decltype(memories_) memories;
  decltype(on_device_) on_device;
  {
    std::lock_guard guard{mutex_};
    memories = memories_;
    on_device = on_device_;
  }
  if (backend == "shm")
    return comm::shm::make_sender(line.release(), std::move(memories));
  if (!device_)
    return fail(no_device(backend));
  // Asks the device, which may have to be waited for. What has no name for other
  // processes is not offered: the executor packs it into buckets that have.
  std::size_t unnamed = 0;
  std::string why;
  for (auto span : on_device) {
    auto known = std::any_of(memories.begin(), memories.end(),
                             [&](const auto& x) { return x->contains(span); });
    if (known)
      continue;
    auto shared = device_->share(span);
    if (shared) {
      memories.push_back(std::move(*shared));
    } else if (shared.error().code() == errc::invalid) {
      ++unnamed;
      why = shared.error().message();
    } else {
      return fail(shared.error());
    }
  }
  if (unnamed > 0)
    log::info("links",
              "{} of {} tensors are copied once more on their way to other "
              "processes, which cannot read them in place: {}",
              unnamed, on_device.size(), why);
  return device_->make_sender(line.release(), std::move(memories));
}

result<comm::link_ptr> group_table::connect_neighbour(
  const std::string& group, const std::string& backend,
  protocol::seat_kind kind, const std::vector<bytes>& addresses,
  deadline until) {
  if (addresses.size() != 2)
    return fail(errc::invalid, "the other end of the link is missing");
  auto sends = kind == protocol::seat_kind::sender;
  auto peer = decode(addresses[sends ? 1 : 0]);
  if (!peer)
    return fail(peer.error());
  if (auto there = mesh_->await_peer(peer->first, peer->second, until,
                                     &aborted_);
      !there)
    return fail(there.error());
  if (!sends) {
    auto fd = mesh_->receive_fd(peer->first, peer->second, group, until,
                                &aborted_);
    if (!fd)
      return fail(fd.error());
    return make_receiver(backend, fd->release());
  }
  // Who has been told to stop opens nothing for others to find.
  if (aborted_)
    return fail(errc::aborted, "the worker's communicators were aborted");
  auto sockets = comm::shm::make_sockets();
  if (!sockets)
    return fail(sockets.error());
  process::unique_fd mine{sockets->first};
  process::unique_fd theirs{sockets->second};
  auto sent = mesh_->send_fd(peer->first, peer->second, group, theirs.get(),
                             until);
  if (!sent)
    return fail(sent.error());
  return make_sender(backend, mine.release());
}

void group_table::close(const std::string& group) {
  entry old;
  {
    std::lock_guard guard{mutex_};
    auto i = entries_.find(group);
    if (i == entries_.end())
      return;
    old = std::move(i->second);
    entries_.erase(i);
    if (entries_.empty())
      aborted_ = false;
  }
  discard(group, old);
  let_go(std::move(old));
}

void group_table::discard(const std::string& group, const entry& x) const {
  if (mesh_ && x.kind == protocol::seat_kind::receiver
      && joins_neighbours(x.backend))
    mesh_->discard(group);
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

std::vector<error> group_table::check() const {
  std::shared_lock visit{visits_};
  std::vector<std::pair<std::string, comm::communicator_ptr>> living;
  {
    std::lock_guard guard{mutex_};
    for (const auto& [name, x] : entries_)
      if (x.communicator && x.communicator->alive())
        living.emplace_back(name, x.communicator);
  }
  std::vector<error> out;
  for (const auto& [name, x] : living)
    if (auto good = x->health(); !good)
      out.push_back(good.error().within(name));
  return out;
}

void group_table::abort() noexcept {
  std::shared_lock visit{visits_};
  std::vector<entry> all;
  {
    std::lock_guard guard{mutex_};
    aborted_ = true;
    for (const auto& [name, x] : entries_)
      all.push_back(x);
  }
  if (mesh_)
    mesh_->wake_waiters();
  for (auto& x : all) {
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
  decltype(entries_) old;
  {
    std::lock_guard guard{mutex_};
    old.swap(entries_);
    aborted_ = false;
  }
  for (const auto& [name, x] : old)
    discard(name, x);
  let_go(std::move(old));
}

} // namespace troupe::model
