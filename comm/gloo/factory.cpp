// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/factory.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include <fmt/core.h>
#include <sys/eventfd.h>

#include "troupe/comm/gloo/address.hpp"
#include "troupe/comm/gloo/rendezvous.hpp"
#include "troupe/comm/gloo/transport.hpp"
#include "troupe/comm/transport_communicator.hpp"

namespace troupe::comm::gloo {

namespace {

class gloo_endpoint final : public endpoint {
public:
  gloo_endpoint(contact self, socket listener, socket wake,
                std::shared_ptr<vendor::Device> device,
                const collective_options& options)
    : self_(self),
      address_(encode(self)),
      listener_(std::move(listener)),
      wake_(std::move(wake)),
      device_(std::move(device)),
      options_(options) {
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
    auto lines = meet(listener_, wake_, self_.rank, *ranks, until);
    listener_ = socket{};
    if (!lines)
      return fail(lines.error());
    try {
      auto carrier = std::make_unique<gloo_transport>(std::move(device_),
                                                      self_.rank,
                                                      std::move(*lines));
      if (auto opened = carrier->open(); !opened)
        return fail(opened.error());
      if (aborted_)
        return fail(errc::aborted, "the rendezvous was aborted");
      return std::make_shared<transport_communicator>(std::move(carrier),
                                                      options_);
    } catch (const std::exception& e) {
      return fail(errc::unavailable, e.what());
    }
  }

  void abort() noexcept override {
    aborted_ = true;
    // Fails only if the counter is full, and then `wake_` is readable anyway.
    [[maybe_unused]] auto rc = ::eventfd_write(wake_.fd(), 1);
  }

private:
  result<std::vector<contact>> read(const std::vector<bytes>& addresses) const {
    if (addresses.size() != static_cast<std::size_t>(self_.size))
      return fail(errc::invalid, fmt::format("{} addresses for a group of {}",
                                             addresses.size(), self_.size));
    std::vector<contact> ranks;
    for (const auto& x : addresses) {
      auto rank = static_cast<std::int32_t>(ranks.size());
      auto who = decode_contact(x);
      if (!who)
        return fail(who.error().within(fmt::format("rank {}", rank)));
      if (who->rank.value() != rank || who->size != self_.size)
        return fail(errc::invalid,
                    fmt::format("address {} is rank {} of {}, not of {}", rank,
                                who->rank.value(), who->size, self_.size));
      ranks.push_back(*who);
    }
    if (addresses[static_cast<std::size_t>(self_.rank.value())] != address_)
      return fail(errc::invalid, "our own address is not in the list");
    return ranks;
  }

  contact self_;
  bytes address_;
  socket listener_;
  socket wake_;
  std::shared_ptr<vendor::Device> device_;
  collective_options options_;
  std::atomic<bool> connected_{false};
  std::atomic<bool> aborted_{false};
};

} // namespace

probe_result probe(const endpoint_options& options) {
  auto where = resolve(options.bind_address, options.interface);
  if (!where)
    return {false, where.error().message()};
  if (auto listener = listen_at(*where); !listener)
    return {false, listener.error().message()};
  return {true, fmt::format("TCP at {}", where->host())};
}

result<endpoint_ptr> make_endpoint(rank_id rank, std::int32_t size,
                                   const endpoint_options& options) {
  if (rank.value() < 0 || rank.value() >= size)
    return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                           rank.value(), size));
  auto where = resolve(options.bind_address, options.interface);
  if (!where)
    return fail(where.error());
  auto listener = listen_at(*where);
  if (!listener)
    return fail(listener.error());
  socket wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!wake)
    return fail(errc::exhausted,
                fmt::format("no eventfd: {}", std::strerror(errno)));
  contact self;
  self.where = listener->second;
  self.secret = random_nonce();
  self.rank = rank;
  self.size = size;
  try {
    vendor::attr attributes;
    attributes.hostname = where->host();
    auto device = std::make_shared<vendor::Device>(
      vendor::CreateDeviceAttr(attributes));
    return std::make_shared<gloo_endpoint>(self, std::move(listener->first),
                                           std::move(wake), std::move(device),
                                           options.collectives);
  } catch (const std::exception& e) {
    return fail(errc::unavailable,
                fmt::format("Gloo cannot use {}: {}", where->host(), e.what()));
  }
}

} // namespace troupe::comm::gloo
