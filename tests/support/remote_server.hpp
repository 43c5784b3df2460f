// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "support/remote_calls.hpp"
#include "support/remote_ranks.hpp"

namespace troupe::test {

/// The child's side of remote_ranks: owns the real objects and carries out
/// calls of them, each in a thread of its own, so that an `abort` meets the
/// call that it is to end.
///
/// Held by its threads too: nobody joins them, the process ends under them.
class rank_server : public std::enable_shared_from_this<rank_server> {
public:
  rank_server(comm::socket fd, remote_ranks::maker make);

  /// Serves until the parent closes its end; returns the exit status.
  [[nodiscard]] int run();

private:
  /// Memory of a failed call: nobody may write there any more.
  struct kept_memory {
    bytes memory;
    bytes as_answered;
  };

  void serve(std::uint64_t number, const remote_call& call);

  [[nodiscard]] remote_answer carry_out(const remote_call& call);
  [[nodiscard]] remote_answer make(const remote_call& call);
  [[nodiscard]] remote_answer connect(const remote_call& call);
  [[nodiscard]] remote_answer operate(const remote_call& call);
  [[nodiscard]] remote_answer drop(const remote_call& call);

  [[nodiscard]] comm::endpoint_ptr find_endpoint(std::uint64_t object);
  [[nodiscard]] comm::communicator_ptr find_group(std::uint64_t object);

  frame_socket socket_;
  const remote_ranks::maker make_;
  std::mutex mutex_;
  std::uint64_t last_object_ = 0;
  std::map<std::uint64_t, comm::endpoint_ptr> endpoints_;
  std::map<std::uint64_t, comm::communicator_ptr> groups_;
  std::map<std::uint64_t, std::vector<kept_memory>> kept_;
};

} // namespace troupe::test
