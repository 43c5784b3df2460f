// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "support/forked_ranks.hpp"
#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/options.hpp"

namespace troupe::test {

class rank_channel;

/// Endpoints and communicators that live in a process of their own for every
/// rank, and are used from the test as if they were its own: so the tests that
/// drive all ranks from one process also hold for a backend that wants no two
/// ranks in one.
///
/// ```
///   test's thread ... test's thread        one process a rank
///       |   endpoint, communicator             thread per call
///       +---------> rank_channel <---------> rank_server --> the real object
///                   a thread that reads      a thread that reads
/// ```
///
/// Host memory goes over with the call and comes back with its answer, so a
/// call changes the caller's memory exactly as the real one changed its own.
/// Deadlines go over as time left. A proxy that is destroyed destroys the
/// object and waits for that.
///
/// A process that dies ends all calls of its objects with `errc::lost`. One
/// that does not answer well after the deadline is `errc::internal`: what it
/// serves waits too long.
///
/// Make it before the test has threads and take it down before forking again:
/// a child has only the thread that forked. No process survives, as with
/// forked_ranks.
///
/// Threads: as `endpoint` and `communicator`; everything else from one.
class remote_ranks {
public:
  /// Makes an endpoint, in the rank's process. Its first call comes before
  /// that process has any other thread.
  using maker = std::function<
    result<comm::endpoint_ptr>(rank_id, std::int32_t size,
                               const comm::collective_options&)>;

  remote_ranks(std::size_t ranks, const maker& make);

  ~remote_ranks();

  remote_ranks(const remote_ranks&) = delete;
  remote_ranks& operator=(const remote_ranks&) = delete;

  /// The endpoint of a rank of a group of `size`, in that rank's process. Any
  /// number of groups may follow one another or stand at once.
  [[nodiscard]] result<comm::endpoint_ptr>
  make_endpoint(rank_id rank, std::int32_t size,
                const comm::collective_options& options = {});

  /// Of a whole group. Throws if one cannot be made.
  [[nodiscard]] std::vector<comm::endpoint_ptr>
  make_endpoints(std::int32_t size,
                 const comm::collective_options& options = {});

  /// Sends a process a signal, e.g. SIGKILL.
  void signal(std::size_t rank, int number) const;

  /// How often memory was written after the call that borrowed it had failed
  /// and returned. Nobody could see that over here, so the process keeps such
  /// memory and looks at it again when the communicator is gone.
  [[nodiscard]] std::uint64_t late_writes() const noexcept;

private:
  // Outlives the channels: they are closed before the processes end.
  std::unique_ptr<forked_ranks> processes_;
  std::vector<std::shared_ptr<rank_channel>> channels_;
};

} // namespace troupe::test
