// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/endpoint.hpp"

#include <atomic>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/nccl/meeting.hpp"

namespace troupe::comm::nccl {

namespace {

constexpr std::uint32_t magic = 0x4c43434e;
constexpr std::uint8_t version = 1;

/// What an address says.
struct invitation {
  gloo::contact who;
  /// Of rank 0 alone.
  std::optional<unique_id> id;
};

bytes encode(const invitation& x) {
  bytes out;
  encoder to{out};
  to.put(magic);
  to.put(version);
  to.put(static_cast<std::uint8_t>(x.id ? 1 : 0));
  if (x.id)
    to.append(x.id->data(), x.id->size());
  auto who = gloo::encode(x.who);
  to.append(who.data(), who.size());
  return out;
}

result<invitation> decode(const bytes& in) {
  decoder from{in};
  std::uint32_t read_magic = 0;
  std::uint8_t read_version = 0;
  std::uint8_t has_id = 0;
  if (!from.get(read_magic) || read_magic != magic)
    return fail(errc::invalid, "not an address of the NCCL backend");
  if (!from.get(read_version) || read_version != version)
    return fail(errc::invalid, "an address of another version: all ranks must "
                               "run the same build");
  if (!from.get(has_id) || has_id > 1)
    return fail(errc::invalid, "a damaged address");
  invitation out;
  if (has_id == 1) {
    out.id.emplace();
    if (!from.read(out.id->data(), out.id->size()))
      return fail(errc::invalid, "a damaged address");
  }
  std::span<const std::byte> rest;
  if (!from.view(from.left(), rest))
    return fail(errc::invalid, "a damaged address");
  auto who = gloo::decode_contact({rest.begin(), rest.end()});
  if (!who)
    return fail(who.error());
  out.who = *who;
  if (out.id.has_value() != (who->rank == rank_id{0}))
    return fail(errc::invalid, "rank 0 alone has an NCCL id to give");
  return out;
}

class nccl_endpoint final : public endpoint {
public:
  nccl_endpoint(settings config, rank_id rank, std::int32_t size,
                std::unique_ptr<meeting_point> place,
                std::optional<unique_id> id)
    : config_(std::move(config)),
      rank_(rank),
      size_(size),
      place_(std::move(place)),
      address_(encode({place_->self(rank, size), id})) {
    // nop
  }

  const bytes& address() const noexcept override { return address_; }

  result<communicator_ptr> connect(const std::vector<bytes>& addresses,
                                   deadline until) override {
    if (connected_.exchange(true))
      return fail(errc::invalid, "an endpoint connects once");
    unique_id id{};
    auto ranks = read(addresses, id);
    if (!ranks)
      return fail(ranks.error());
    auto peers = place_->meet(rank_, *ranks, until);
    if (!peers)
      return fail(peers.error());
    auto begin = [&](const handle_place& out) {
      return config_.library->init(*out, id, size_, rank_.value());
    };
    auto wanted = [&]() -> result<void> {
      if (aborted_)
        return fail(errc::aborted, "the rendezvous was aborted");
      return {};
    };
    auto made = assemble(config_, rank_, size_, std::move(*peers), begin,
                         wanted, until);
    if (!made)
      return fail(made.error());
    return communicator_ptr{std::move(*made)};
  }

  void abort() noexcept override {
    aborted_ = true;
    place_->stop();
  }

private:
  result<std::vector<gloo::contact>> read(const std::vector<bytes>& addresses,
                                          unique_id& id) const {
    if (addresses.size() != static_cast<std::size_t>(size_))
      return fail(errc::invalid, fmt::format("{} addresses for a group of {}",
                                             addresses.size(), size_));
    std::vector<gloo::contact> ranks;
    for (const auto& x : addresses) {
      auto rank = static_cast<std::int32_t>(ranks.size());
      auto found = decode(x);
      if (!found)
        return fail(found.error().within(fmt::format("rank {}", rank)));
      if (found->who.rank.value() != rank || found->who.size != size_)
        return fail(errc::invalid,
                    fmt::format("address {} is rank {} of {}, not of {}", rank,
                                found->who.rank.value(), found->who.size,
                                size_));
      if (found->id)
        id = *found->id;
      ranks.push_back(found->who);
    }
    if (addresses[static_cast<std::size_t>(rank_.value())] != address_)
      return fail(errc::invalid, "our own address is not in the list");
    return ranks;
  }

  const settings config_;
  const rank_id rank_;
  const std::int32_t size_;
  const std::unique_ptr<meeting_point> place_;
  const bytes address_;
  std::atomic<bool> connected_{false};
  std::atomic<bool> aborted_{false};
};

} // namespace

result<endpoint_ptr> make_endpoint(rank_id rank, std::int32_t size,
                                   const settings& config) {
  if (rank.value() < 0 || rank.value() >= size)
    return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                           rank.value(), size));
  if (!config.runtime || !config.library)
    return fail(errc::invalid, "NCCL needs a CUDA runtime and a library: see "
                               "comm/nccl/factory.hpp");
  auto place = meeting_point::make(config);
  if (!place)
    return fail(place.error());
  std::optional<unique_id> id;
  if (rank == rank_id{0}) {
    id.emplace();
    // NCCL may look at the current device here.
    auto here = cuda::device_guard::enter(*config.runtime, config.device);
    if (!here)
      return fail(here.error());
    if (auto code = config.library->make_id(*id); code != codes::success)
      return fail(error_of(*config.library, code,
                           config.library->last_error(nullptr),
                           "making a unique id"));
  }
  return std::make_shared<nccl_endpoint>(config, rank, size, std::move(*place),
                                         id);
}

} // namespace troupe::comm::nccl
