// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "troupe/comm/gloo/address.hpp"
#include "troupe/comm/nccl/communicator.hpp"
#include "troupe/comm/nccl/sideband.hpp"
#include "troupe/comm/socket.hpp"

namespace troupe::comm::nccl {

/// Where the other ranks of a group to come find this one: a listening socket,
/// and the rendezvous of the gloo backend (comm/gloo/rendezvous.hpp), which
/// lets nobody in who does not know the nonces.
///
/// Threads: `meet` once, from one thread; `stop` from any.
class meeting_point {
public:
  /// The others, and what all of them hand to NCCL.
  struct introduction {
    std::unique_ptr<sideband> peers;
    unique_id id{};
  };

  [[nodiscard]] static result<std::unique_ptr<meeting_point>>
  make(const settings& config);

  /// Who we are in a group where we stand at `rank`.
  [[nodiscard]] gloo::contact self(rank_id rank, std::int32_t size) const;

  /// Connects with all others; `ranks[r]` is rank r's contact.
  [[nodiscard]] result<std::unique_ptr<sideband>>
  meet(rank_id self, const std::vector<gloo::contact>& ranks, deadline until);

  /// As `meet`; then rank 0 calls `make_id` and tells the others. Not before all
  /// are there: NCCL keeps a thread and a socket for an id until every rank of
  /// it has come.
  [[nodiscard]] result<introduction>
  meet_with_id(rank_id self, const std::vector<gloo::contact>& ranks,
               const std::function<result<unique_id>()>& make_id,
               deadline until);

  void stop() noexcept;

private:
  meeting_point(socket listener, socket wake, gloo::contact self);

  [[nodiscard]] result<std::vector<socket>>
  connect(rank_id self, const std::vector<gloo::contact>& ranks,
          deadline until);

  [[nodiscard]] result<unique_id> hear_id(const socket& line, deadline until);

  socket listener_;
  socket wake_;
  gloo::contact self_;
};

/// Begins NCCL's communicator on the current device, without blocking. NCCL may
/// write to `out` again from a thread of its own.
using beginning = std::function<status(const handle_place& out)>;

/// What rank `rank` of a group makes an `owned_comm` with.
[[nodiscard]] comm_parts parts_of(const settings& config, rank_id rank,
                                  std::int32_t size);

/// The last step of every way to a communicator: NCCL's own is begun and waited
/// for, then all parts are put together. `check` is asked at every look.
[[nodiscard]] result<std::shared_ptr<nccl_communicator>>
assemble(const settings& config, rank_id rank, std::int32_t size,
         std::unique_ptr<sideband> peers, const beginning& begin,
         const std::function<result<void>()>& check, deadline until);

} // namespace troupe::comm::nccl
