// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/meeting.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/core.h>
#include <sys/eventfd.h>

#include "troupe/comm/gloo/rendezvous.hpp"
#include "troupe/comm/nccl/running.hpp"

namespace troupe::comm::nccl {

result<std::unique_ptr<meeting_point>>
meeting_point::make(const settings& config) {
  auto where = gloo::resolve(config.bind_address, config.interface);
  if (!where)
    return fail(where.error());
  auto listener = gloo::listen_at(*where);
  if (!listener)
    return fail(listener.error());
  socket wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!wake)
    return fail(errc::exhausted,
                fmt::format("no eventfd: {}", std::strerror(errno)));
  gloo::contact self;
  self.where = listener->second;
  self.secret = gloo::random_nonce();
  return std::unique_ptr<meeting_point>{
    new meeting_point{std::move(listener->first), std::move(wake), self}};
}

meeting_point::meeting_point(socket listener, socket wake, gloo::contact self)
  : listener_(std::move(listener)),
    wake_(std::move(wake)),
    self_(self) {
  // nop
}

gloo::contact meeting_point::self(rank_id rank, std::int32_t size) const {
  auto out = self_;
  out.rank = rank;
  out.size = size;
  return out;
}

result<std::unique_ptr<sideband>>
meeting_point::meet(rank_id self, const std::vector<gloo::contact>& ranks,
                    deadline until) {
  auto lines = gloo::meet(listener_, wake_, self, ranks, until);
  listener_ = socket{};
  if (!lines)
    return fail(lines.error());
  return sideband::make(self, std::move(*lines));
}

void meeting_point::stop() noexcept {
  // Fails only if the counter is full, and then it is readable anyway.
  [[maybe_unused]] auto rc = ::eventfd_write(wake_.fd(), 1);
}

comm_parts parts_of(const settings& config, rank_id rank, std::int32_t size) {
  return {config.library, config.runtime, config.device,
          name_of(rank, size, config), config.limits};
}

result<std::shared_ptr<nccl_communicator>>
assemble(const settings& config, rank_id rank, std::int32_t size,
         std::unique_ptr<sideband> peers, const beginning& begin,
         const std::function<result<void>()>& check, deadline until) {
  auto& lib = *config.library;
  auto here = cuda::device_guard::enter(*config.runtime, config.device);
  if (!here)
    return fail(here.error());
  auto least = static_cast<std::size_t>(size) * block_alignment;
  auto place = staging::make(config.runtime, config.device,
                             std::max(config.chunk_bytes, least));
  if (!place)
    return fail(place.error());
  auto raw = std::make_shared<comm_handle>(nullptr);
  auto code = begin(raw);
  if (*raw == nullptr)
    return fail(error_of(lib,
                         code == codes::success ? codes::internal_error : code,
                         lib.last_error(nullptr), "making a communicator"));
  auto comm = std::make_unique<owned_comm>(parts_of(config, rank, size), raw);
  if (code != codes::success && code != codes::in_progress)
    return fail(error_of(lib, code, comm->words(), "making a communicator"));
  auto wanted = [&]() -> result<void> {
    auto good = check();
    return good ? peers->check() : good;
  };
  if (auto made = await_settled(lib, *comm, *peers, "making a communicator",
                                wanted, until);
      !made)
    return fail(made.error());
  return std::make_shared<nccl_communicator>(config, rank, size,
                                             std::move(comm), std::move(peers),
                                             std::move(*place));
}

} // namespace troupe::comm::nccl
