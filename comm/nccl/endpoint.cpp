// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/endpoint.hpp"

#include <atomic>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/nccl/meeting.hpp"

namespace troupe::comm::nccl {

namespace {

constexpr std::uint32_t magic = 0x4c43434e;
constexpr std::uint8_t version = 2;

bytes address_of(const gloo::contact& x) {
  bytes out;
  encoder to{out};
  to.put(magic);
  to.put(version);
  auto who = gloo::encode(x);
  to.append(who.data(), who.size());
  return out;
}

result<gloo::contact> read_address(const bytes& in) {
  decoder from{in};
  std::uint32_t read_magic = 0;
  std::uint8_t read_version = 0;
  if (!from.get(read_magic) || read_magic != magic)
    return fail(errc::invalid, "not an address of the NCCL backend");
  if (!from.get(read_version) || read_version != version)
    return fail(errc::invalid, "an address of another version: all ranks must "
                               "run the same build");
  std::span<const std::byte> rest;
  if (!from.view(from.left(), rest))
    return fail(errc::invalid, "a damaged address");
  return gloo::decode_contact({rest.begin(), rest.end()});
}

class nccl_endpoint final : public endpoint {
public:
  nccl_endpoint(settings config, rank_id rank, std::int32_t size,
                std::unique_ptr<meeting_point> place)
    : config_(std::move(config)),
      rank_(rank),
      size_(size),
      place_(std::move(place)),
      address_(address_of(place_->self(rank, size))) {
    // nop
  }

  const bytes& address() const noexcept override { return address_; }

  result<communicator_ptr> connect(const std::vector<bytes>& addresses,
                                   deadline until) override {
    if (connected_.exchange(true))
      return fail(errc::invalid, "an endpoint connects once");
    auto ranks = read(addresses);
    if (!ranks)
      return fail(ranks.error());
    auto met = place_->meet_with_id(
      rank_, *ranks, [this] { return make_id(); }, until);
    if (!met)
      return fail(met.error());
    auto begin = [&](const handle_place& out) {
      return config_.library->init(*out, met->id, size_, rank_.value());
    };
    auto wanted = [&]() -> result<void> {
      if (aborted_)
        return fail(errc::aborted, "the rendezvous was aborted");
      return {};
    };
    auto made = assemble(config_, rank_, size_, std::move(met->peers), begin,
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
  result<unique_id> make_id() const {
    // NCCL may look at the current device here.
    auto here = cuda::device_guard::enter(*config_.runtime, config_.device);
    if (!here)
      return fail(here.error());
    unique_id out{};
    if (auto code = config_.library->make_id(out); code != codes::success)
      return fail(error_of(*config_.library, code,
                           config_.library->last_error(nullptr),
                           "making a unique id"));
    return out;
  }

  result<std::vector<gloo::contact>>
  read(const std::vector<bytes>& addresses) const {
    if (addresses.size() != static_cast<std::size_t>(size_))
      return fail(errc::invalid, fmt::format("{} addresses for a group of {}",
                                             addresses.size(), size_));
    std::vector<gloo::contact> ranks;
    for (const auto& x : addresses) {
      auto rank = static_cast<std::int32_t>(ranks.size());
      auto found = read_address(x);
      if (!found)
        return fail(found.error().within(fmt::format("rank {}", rank)));
      if (found->rank.value() != rank || found->size != size_)
        return fail(errc::invalid,
                    fmt::format("address {} is rank {} of {}, not of {}", rank,
                                found->rank.value(), found->size, size_));
      ranks.push_back(*found);
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
  // What a rank cannot do is said before the others are met.
  if (auto here = cuda::device_guard::enter(*config.runtime, config.device);
      !here)
    return fail(here.error());
  return std::make_shared<nccl_endpoint>(config, rank, size, std::move(*place));
}

} // namespace troupe::comm::nccl
