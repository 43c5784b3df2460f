// SPDX-License-Identifier: Apache-2.0
#include <chrono>

#include "troupe/bench/sync/rounds.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/gloo/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;

constexpr std::uint32_t raw_tag = 1;
constexpr std::uint32_t link_tag = 2;

deadline ample() {
  return deadline::after(std::chrono::seconds{120});
}

rank_id rank_of(sync_end end) {
  return rank_id{end == sync_end::source ? 0 : 1};
}

result<comm::communicator_ptr> connect(const two_processes& with) {
  auto self = comm::gloo::make_endpoint(rank_of(with.self()), 2);
  if (!self)
    return fail(self.error());
  auto other = with.exchange((*self)->address(), ample());
  if (!other)
    return fail(other.error());
  std::vector<bytes> all{(*self)->address(), *other};
  if (with.self() == sync_end::destination)
    std::swap(all[0], all[1]);
  return (*self)->connect(all, ample());
}

/// Both ends begin together; `f` is what one of them does with a tensor.
template <class F>
result<double> timed(const two_processes& with, const sync_tensors& tensors,
                     F f) {
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  result<void> done;
  auto seconds = seconds_of([&] {
    for (const auto& x : tensors.list)
      if (done = f(x.memory); !done)
        return;
  });
  if (!done)
    return fail(done.error());
  return seconds;
}

} // namespace

result<gloo_figures> measure_gloo(const two_processes& with,
                                  const sync_load& load, std::size_t rounds) {
  auto sends = with.self() == sync_end::source;
  auto peer = rank_of(sends ? sync_end::destination : sync_end::source);
  auto tensors = make_tensors(load, sends ? 1 : 0, heap);
  if (!tensors)
    return fail(tensors.error());
  auto group = connect(with);
  if (!group)
    return fail(group.error());
  auto& raw = **group;
  auto line = std::make_shared<comm::comm_link>(*group, peer, link_tag, "gloo");
  auto made = sends ? executor::make(load.sends(link_kind::gloo), tensors->list,
                                     {line}, {})
                    : executor::make(load.receives(link_kind::gloo),
                                     tensors->list, {}, {line});
  if (!made)
    return fail(made.error());
  auto& link = **made;
  gloo_figures out;
  result<void> done;
  out.first = seconds_of([&] { done = link.run({}, ample()); });
  if (!done)
    return fail(done.error());
  for (std::size_t i = 0; i < rounds; ++i) {
    auto sent = timed(with, *tensors, [&](std::span<std::byte> x) {
      return sends ? raw.send(x, peer, raw_tag, ample())
                   : raw.recv(x, peer, raw_tag, ample());
    });
    auto shared = timed(with, *tensors, [&](std::span<std::byte> x) {
      return raw.broadcast(x, rank_of(sync_end::source), ample());
    });
    if (!sent || !shared)
      return fail(!sent ? sent.error() : shared.error());
    if (auto met = with.exchange({}, ample()); !met)
      return fail(met.error());
    out.raw.push_back(*sent);
    out.broadcast.push_back(*shared);
    out.link.push_back(seconds_of([&] { done = link.run({}, ample()); }));
    if (!done)
      return fail(done.error());
  }
  return out;
}

} // namespace troupe::bench
