// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/meeting.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

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

result<std::vector<socket>>
meeting_point::connect(rank_id self, const std::vector<gloo::contact>& ranks,
                       deadline until) {
  auto lines = gloo::meet(listener_, wake_, self, ranks, until);
  listener_ = socket{};
  return lines;
}

result<std::unique_ptr<sideband>>
meeting_point::meet(rank_id self, const std::vector<gloo::contact>& ranks,
                    deadline until) {
  auto lines = connect(self, ranks, until);
  if (!lines)
    return fail(lines.error());
  return sideband::make(self, std::move(*lines));
}

result<meeting_point::introduction> meeting_point::meet_with_id(
  rank_id self, const std::vector<gloo::contact>& ranks,
  const std::function<result<unique_id>()>& make_id, deadline until) {
  auto lines = connect(self, ranks, until);
  if (!lines)
    return fail(lines.error());
  auto id = self == rank_id{0} ? make_id() : hear_id(lines->front(), until);
  if (!id)
    return fail(id.error());
  if (self == rank_id{0})
    for (std::size_t rank = 1; rank < lines->size(); ++rank) {
      // Always fits into the buffer of a fresh socket.
      auto said = ::send((*lines)[rank].fd(), id->data(), id->size(),
                         MSG_NOSIGNAL);
      if (said != static_cast<ssize_t>(id->size()))
        return fail(errc::lost,
                    fmt::format("rank {} cannot be told NCCL's id: {}", rank,
                                said < 0 ? std::strerror(errno)
                                         : "its socket is full"));
    }
  auto peers = sideband::make(self, std::move(*lines));
  if (!peers)
    return fail(peers.error());
  return introduction{std::move(*peers), *id};
}

result<unique_id> meeting_point::hear_id(const socket& line, deadline until) {
  unique_id out{};
  // Never more: what follows is the sideband's.
  for (std::size_t got = 0; got < out.size();) {
    std::array<pollfd, 2> watched{
      {{wake_.fd(), POLLIN, 0}, {line.fd(), POLLIN, 0}}};
    auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
    static_cast<void>(
      ::poll(watched.data(), watched.size(), static_cast<int>(left)));
    if (watched[0].revents != 0)
      return fail(errc::aborted, "the rendezvous was aborted");
    if (watched[1].revents == 0) {
      if (until.passed())
        return fail(errc::timed_out, "rank 0 did not tell NCCL's id");
      continue;
    }
    auto now = ::recv(line.fd(), out.data() + got, out.size() - got, 0);
    if (now > 0)
      got += static_cast<std::size_t>(now);
    else if (now == 0 || (errno != EAGAIN && errno != EINTR))
      return fail(errc::lost, "rank 0 went before it told NCCL's id");
  }
  return out;
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
