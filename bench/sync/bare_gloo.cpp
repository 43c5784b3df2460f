// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/bare_gloo.hpp"

#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gloo/broadcast.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include "troupe/bench/sync/stopwatch.hpp"

namespace troupe::bench {

namespace {

constexpr int source_rank = 0;

int rank_of(sync_end end) {
  return end == sync_end::source ? source_rank : 1;
}

/// How Gloo hears of the other rank's address: each says one thing.
class two_rank_store final : public ::gloo::rendezvous::Store {
public:
  explicit two_rank_store(const two_processes& with) : with_(with) {
    // nop
  }

  void set(const std::string&, const std::vector<char>& data) override {
    bytes mine(data.size());
    std::memcpy(mine.data(), data.data(), data.size());
    auto theirs = with_.exchange(mine, ample());
    if (!theirs)
      throw std::runtime_error{to_string(theirs.error())};
    other_.resize(theirs->size());
    std::memcpy(other_.data(), theirs->data(), theirs->size());
  }

  std::vector<char> get(const std::string&) override { return other_; }

  void wait(const std::vector<std::string>&) override {
    // `set` has waited.
  }

  void wait(const std::vector<std::string>&,
            const std::chrono::milliseconds&) override {
    // `set` has waited.
  }

private:
  const two_processes& with_;
  std::vector<char> other_;
};

error failed(const std::exception& why) {
  return {errc::lost, fmt::format("bare Gloo: {}", why.what())};
}

} // namespace

result<bare_gloo> bare_gloo::connect(const two_processes& with) {
  try {
    ::gloo::transport::tcp::attr where;
    where.hostname = "127.0.0.1";
    auto device = ::gloo::transport::tcp::CreateDevice(where);
    auto group = std::make_shared<::gloo::rendezvous::Context>(rank_of(
                                                                 with.self()),
                                                               2);
    two_rank_store store{with};
    group->connectFullMesh(store, device);
    return bare_gloo{with, std::move(group)};
  } catch (const std::exception& why) {
    return fail(failed(why));
  }
}

template <class F>
result<double> bare_gloo::timed(const sync_tensors& tensors, F f) {
  if (auto met = with_.exchange({}, ample()); !met)
    return fail(met.error());
  try {
    return seconds_of([&] {
      for (const auto& x : tensors.list)
        f(x.memory);
    });
  } catch (const std::exception& why) {
    return fail(failed(why));
  }
}

result<double> bare_gloo::send(const sync_tensors& tensors) {
  constexpr std::uint64_t slot = 7;
  return timed(tensors, [this](std::span<std::byte> x) {
    auto memory = group_->createUnboundBuffer(x.data(), x.size());
    if (group_->rank == source_rank) {
      memory->send(1, slot);
      memory->waitSend();
    } else {
      memory->recv(source_rank, slot);
      memory->waitRecv();
    }
  });
}

result<double> bare_gloo::broadcast(const sync_tensors& tensors) {
  return timed(tensors, [this](std::span<std::byte> x) {
    ::gloo::BroadcastOptions options{group_};
    options.setOutput(reinterpret_cast<char*>(x.data()), x.size());
    options.setRoot(source_rank);
    ::gloo::broadcast(options);
  });
}

} // namespace troupe::bench
