// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/communicator.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/nccl/running.hpp"
#include "troupe/comm/reduce.hpp"
#include "troupe/core/log.hpp"

namespace troupe::comm::nccl {

namespace {

/// Kernels end within milliseconds of an abort; a device that takes longer is
/// beyond help.
constexpr auto drain_limit = std::chrono::seconds{5};

/// How long a rank that is done lets NCCL finish what its peers still need, as
/// far as ncclCommFinalize waits for it (see README, "Not known yet").
constexpr auto retire_limit = std::chrono::seconds{2};

bool whole(std::size_t bytes, std::int32_t ranks, std::size_t part) {
  auto count = static_cast<std::size_t>(ranks);
  return bytes % count == 0 && bytes / count == part;
}

result<void> check_reducible(std::size_t bytes, dtype type, reduce_op op) {
  if (!is_reducible(type, op))
    return fail(errc::invalid,
                fmt::format("no such reduction of {}", to_string(type)));
  if (bytes % size_of(type) != 0)
    return fail(errc::invalid, fmt::format("{} bytes are no whole number of {}",
                                           bytes, to_string(type)));
  return {};
}

} // namespace

std::string name_of(rank_id rank, std::int32_t size, const settings& config) {
  return fmt::format("rank {} of {} on device {}", rank.value(), size,
                     config.device);
}

nccl_communicator::nccl_communicator(settings config, rank_id rank,
                                     std::int32_t size,
                                     std::unique_ptr<owned_comm> comm,
                                     std::unique_ptr<sideband> peers,
                                     std::unique_ptr<staging> place)
  : config_(std::move(config)),
    rank_(rank),
    size_(size),
    peers_(std::move(peers)),
    staging_(std::move(place)),
    comm_(std::move(comm)),
    name_(name_of(rank, size, config_)),
    sent_(static_cast<std::size_t>(size)),
    received_(static_cast<std::size_t>(size)) {
  // nop
}

nccl_communicator::~nccl_communicator() {
  auto here = cuda::device_guard::enter(*config_.runtime, config_.device);
  if (alive_) {
    peers_->leave(collectives_, received_);
    // What NCCL did not let come through in time may still use our memory.
    if (!comm_->retire(deadline::after(retire_limit)))
      drain();
  } else {
    comm_->abort();
    await_end();
  }
  // Freeing device memory waits for kernels of others too.
  bounded_task free{fmt::format("freeing the memory of {}", name_),
                    [parts = std::shared_ptr<staging>{std::move(staging_)},
                     on = config_.runtime, device = config_.device]() mutable {
                      auto there = cuda::device_guard::enter(*on, device);
                      parts.reset();
                    }};
  free.wait(deadline::after(config_.limits.end));
}

// -- operations ---------------------------------------------------------------

result<void> nccl_communicator::send(std::span<const std::byte> data,
                                     rank_id peer, std::uint32_t tag,
                                     deadline until) {
  return run("send", [&]() -> result<void> {
    if (auto good = check_peer(peer); !good)
      return good;
    auto where = place_of(data);
    if (!where)
      return fail(where.error());
    auto number = ++sent_[static_cast<std::size_t>(peer.value())];
    watch peers = [this, peer, number] {
      return peers_->check_send(peer, number);
    };
    auto staged = *where == place::host;
    auto said = peers_->announce(peer, {data.size(), tag, staged}, until);
    if (!said)
      return said;
    if (staged)
      return staged_send(data, peer, peers, until);
    if (data.empty())
      return {};
    auto begun = launch("send", peers, until, [&](comm_handle x) {
      return config_.library->send(data.data(), data.size(), peer.value(), x,
                                   staging_->stream());
    });
    return begun ? finish(peers, until) : begun;
  });
}

result<void> nccl_communicator::recv(std::span<std::byte> data, rank_id peer,
                                     std::uint32_t tag, deadline until) {
  return run("recv", [&]() -> result<void> {
    if (auto good = check_peer(peer); !good)
      return good;
    auto where = place_of(data);
    if (!where)
      return fail(where.error());
    auto announced = await_header(peer, until);
    if (!announced)
      return fail(announced.error());
    auto staged = *where == place::host;
    if (announced->tag != tag || announced->bytes != data.size())
      return fail(errc::invalid,
                  fmt::format("the next message of rank {} is {} bytes with "
                              "tag {}, not {} with tag {}",
                              peer.value(), announced->bytes, announced->tag,
                              data.size(), tag));
    if (announced->staged != staged && !data.empty())
      return fail(errc::invalid,
                  fmt::format("rank {} sends {} memory: receive into the same "
                              "kind",
                              peer.value(),
                              announced->staged ? "host" : "device"));
    watch peers = [this] { return peers_->check(); };
    if (staged) {
      if (auto moved = staged_recv(data, peer, peers, until); !moved)
        return moved;
    } else if (!data.empty()) {
      auto begun = launch("recv", peers, until, [&](comm_handle x) {
        return config_.library->recv(data.data(), data.size(), peer.value(), x,
                                     staging_->stream());
      });
      if (!begun)
        return begun;
      if (auto done = finish(peers, until); !done)
        return done;
    }
    ++received_[static_cast<std::size_t>(peer.value())];
    return {};
  });
}

result<void> nccl_communicator::broadcast(std::span<std::byte> data,
                                          rank_id root, deadline until) {
  return run("broadcast", [&]() -> result<void> {
    if (root.value() < 0 || root.value() >= size_)
      return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                             root.value(), size_));
    return collective(
      "broadcast", data, {}, until,
      [&](const watch& peers) {
        return staged_broadcast(data, root, peers, until);
      },
      [&](comm_handle x) {
        return config_.library->broadcast(data.data(), data.size(),
                                          root.value(), x, staging_->stream());
      });
  });
}

result<void> nccl_communicator::all_reduce(std::span<std::byte> data,
                                           dtype type, reduce_op op,
                                           deadline until) {
  return run("all_reduce", [&]() -> result<void> {
    if (auto good = check_reducible(data.size(), type, op); !good)
      return good;
    return collective(
      "all_reduce", data, {}, until,
      [&](const watch& peers) {
        return staged_reduce(data, type, op, peers, until);
      },
      [&](comm_handle x) {
        return config_.library->all_reduce(data.data(),
                                           data.size() / size_of(type), type,
                                           op, x, staging_->stream());
      });
  });
}

result<void> nccl_communicator::all_gather(std::span<const std::byte> in,
                                           std::span<std::byte> out,
                                           deadline until) {
  return run("all_gather", [&]() -> result<void> {
    if (!whole(out.size(), size_, in.size()))
      return fail(errc::invalid,
                  fmt::format("{} bytes in and {} out do not fit {} ranks",
                              in.size(), out.size(), size_));
    return collective(
      "all_gather", in, out, until,
      [&](const watch& peers) { return staged_gather(in, out, peers, until); },
      [&](comm_handle x) {
        return config_.library->all_gather(in.data(), out.data(), in.size(), x,
                                           staging_->stream());
      });
  });
}

result<void> nccl_communicator::reduce_scatter(std::span<const std::byte> in,
                                               std::span<std::byte> out,
                                               dtype type, reduce_op op,
                                               deadline until) {
  return run("reduce_scatter", [&]() -> result<void> {
    if (auto good = check_reducible(out.size(), type, op); !good)
      return good;
    if (!whole(in.size(), size_, out.size()))
      return fail(errc::invalid,
                  fmt::format("{} bytes in and {} out do not fit {} ranks",
                              in.size(), out.size(), size_));
    return collective(
      "reduce_scatter", in, out, until,
      [&](const watch& peers) {
        return staged_scatter(in, out, type, op, peers, until);
      },
      [&](comm_handle x) {
        return config_.library->reduce_scatter(in.data(), out.data(),
                                               out.size() / size_of(type), type,
                                               op, x, staging_->stream());
      });
  });
}

result<void> nccl_communicator::barrier(deadline until) {
  return run("barrier", [&]() -> result<void> {
    auto peers = next_collective();
    auto begun = launch("barrier", peers, until, [&](comm_handle x) {
      return config_.library->all_reduce(staging_->word(), 1, dtype::int32,
                                         reduce_op::max, x, staging_->stream());
    });
    return begun ? finish(peers, until) : begun;
  });
}

template <class Staged, class Direct>
result<void>
nccl_communicator::collective(const char* name, std::span<const std::byte> in,
                              std::span<const std::byte> out, deadline until,
                              Staged staged, Direct direct) {
  auto where = place_of(in, out);
  if (!where)
    return fail(where.error());
  auto peers = next_collective();
  switch (*where) {
    case place::nowhere: return peers();
    case place::host: return staged(peers);
    case place::device: break;
  }
  auto begun = launch(name, peers, until, direct);
  return begun ? finish(peers, until) : begun;
}

// -- life and death -----------------------------------------------------------

void nccl_communicator::abort() noexcept {
  try {
    (void) die(error{errc::aborted, "the communicator was aborted"});
  } catch (...) {
    // Out of memory for the text; waking the waiters needs none.
    alive_ = false;
    peers_->kill();
    peers_->wake();
  }
  comm_->abort();
}

result<void> nccl_communicator::health() {
  if (auto good = wanted(); !good)
    return good;
  if (auto good = peers_->check(); !good)
    return fail(die(good.error()));
  auto state = comm_->look();
  if (state && *state != codes::success && *state != codes::in_progress)
    return fail(die(error_of(*config_.library, *state, comm_->words(),
                             "between operations")));
  return wanted();
}

error nccl_communicator::die(error what) {
  // NCCL says that a call of CUDA's failed, not that it was the device's end.
  if (what.code() == errc::failed)
    if (auto end = end_of_device())
      what = error{errc::lost,
                   fmt::format("{}; {}", what.message(), end->message())};
  {
    std::unique_lock lock{mutex_};
    if (cause_)
      what = *cause_;
    else
      cause_ = what;
    alive_ = false;
  }
  peers_->kill();
  peers_->wake();
  if (!config_.keep_for_shrink)
    comm_->abort();
  return what;
}

std::optional<error> nccl_communicator::end_of_device() const {
  auto here = cuda::device_guard::enter(*config_.runtime, config_.device);
  if (!here)
    return here.error().code() == errc::lost ? std::optional{here.error()}
                                             : std::nullopt;
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  auto code = config_.runtime->memory_bytes(free_bytes, total_bytes);
  if (cuda::sticky(code))
    return cuda::describe(*config_.runtime, code, "cudaMemGetInfo");
  cuda::ignore(*config_.runtime, code);
  return std::nullopt;
}

result<void> nccl_communicator::wanted() const {
  std::unique_lock lock{mutex_};
  if (cause_)
    return fail(*cause_);
  if (!alive_)
    return fail(errc::aborted, "the communicator was aborted");
  return {};
}

void nccl_communicator::await_end() noexcept {
  if (!comm_->ended())
    return;
  (void) comm_->await_end();
  drain();
}

void nccl_communicator::drain() noexcept {
  auto until = deadline::after(drain_limit);
  if (!staging_->mark())
    return;
  for (;;) {
    auto through = staging_->passed();
    // A device that has failed does nothing any more.
    if (!through || *through)
      return;
    if (until.passed())
      break;
    std::this_thread::yield();
  }
  staging_->abandon();
  log::error("nccl",
             "what NCCL left on device {} does not end: its memory is "
             "never released; restart the process",
             config_.device);
}

// -- waiting ------------------------------------------------------------------

result<void> nccl_communicator::launch(const char* name, const watch& peers,
                                       deadline until, const enqueue& f) {
  auto code = comm_->with(f);
  if (!code)
    return fail(errc::aborted, "the communicator was aborted");
  if (*code != codes::success && *code != codes::in_progress)
    return fail(error_of(*config_.library, *code, comm_->words(), name));
  // Until then NCCL refuses the next call, and the stream has nothing to wait
  // for.
  return settle(name, peers, until);
}

result<void> nccl_communicator::settle(const char* name, const watch& peers,
                                       deadline until) {
  auto check = [&]() -> result<void> {
    auto good = wanted();
    return good ? peers() : good;
  };
  return await_settled(*config_.library, *comm_, *peers_, name, check, until);
}

result<void> nccl_communicator::finish(const watch& peers, deadline until) {
  if (auto marked = staging_->mark(); !marked)
    return marked;
  patience rests{*peers_};
  for (;;) {
    auto through = staging_->passed();
    // Asked after the event: an abort lets it happen too.
    if (auto good = wanted(); !good)
      return good;
    auto state = comm_->state();
    if (!state)
      return fail(errc::aborted, "the communicator was aborted");
    if (*state != codes::success && *state != codes::in_progress)
      return fail(
        error_of(*config_.library, *state, comm_->words(), "while waiting"));
    if (!through)
      return fail(through.error());
    if (*through)
      return {};
    if (auto good = peers(); !good)
      return good;
    if (until.passed())
      return fail(errc::timed_out, "waited in vain for the other ranks");
    rests.rest();
  }
}

result<message_header> nccl_communicator::await_header(rank_id peer,
                                                       deadline until) {
  patience rests{*peers_};
  for (;;) {
    if (auto good = wanted(); !good)
      return fail(good.error());
    auto next = peers_->take(peer);
    if (!next)
      return fail(next.error());
    if (*next)
      return **next;
    if (until.passed())
      return fail(errc::timed_out,
                  fmt::format("waited in vain for rank {}", peer.value()));
    rests.rest();
  }
}

nccl_communicator::watch nccl_communicator::next_collective() {
  auto number = ++collectives_;
  return [this, number] { return peers_->check_collective(number); };
}

// -- arguments ----------------------------------------------------------------

result<void> nccl_communicator::check_peer(rank_id peer) const {
  if (peer.value() < 0 || peer.value() >= size_)
    return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                           peer.value(), size_));
  if (peer == rank_)
    return fail(errc::invalid,
                fmt::format("rank {} is the caller itself", peer.value()));
  return {};
}

result<nccl_communicator::place>
nccl_communicator::place_of(std::span<const std::byte> x) const {
  if (x.empty())
    return place::nowhere;
  auto facts = cuda::facts_of(*config_.runtime, x.data());
  if (!facts)
    return fail(facts.error());
  if (facts->kind != cuda::memory_kind::device)
    return place::host;
  if (facts->device != config_.device)
    return fail(errc::invalid,
                fmt::format("memory of device {} for a communicator of device "
                            "{}",
                            facts->device, config_.device));
  return place::device;
}

result<nccl_communicator::place>
nccl_communicator::place_of(std::span<const std::byte> x,
                            std::span<const std::byte> y) const {
  auto first = place_of(x);
  auto second = place_of(y);
  if (!first || *first == place::nowhere)
    return first ? second : first;
  if (!second || *second == place::nowhere)
    return second ? first : second;
  if (*first != *second)
    return fail(errc::invalid, "one of host memory and one of device memory: "
                               "use the same kind for both");
  return first;
}

} // namespace troupe::comm::nccl
