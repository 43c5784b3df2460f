// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/units.hpp"

namespace troupe::net {

/// Fetches buffers from processes of other machines through their gates, into
/// memory files like those that processes of one machine hand each other: a
/// batch store maps them without knowing where they come from.
///
/// Keeps a few connections to each gate, so that the next buffer costs no
/// opening.
///
/// Threads: any; each call blocks its own, and has a connection of its own.
class data_client {
public:
  /// What one buffer may have if the caller knows no better.
  static constexpr std::uint64_t bytes_max_default = 4 * gib;

  /// Connections to one gate that are kept while nobody needs them.
  static constexpr std::size_t idle_max = 4;

  /// Connections that are kept in all.
  static constexpr std::size_t idle_total_max = 64;

  data_client();

  data_client(const data_client&) = delete;

  data_client& operator=(const data_client&) = delete;

  /// No call may be under way.
  ~data_client();

  /// Fetches buffer `id` of life `life` of the process in `slot` (of the node
  /// itself: `process::node_slot`) of the machine whose gate is at `from`. The
  /// file is sealed and has been received completely. Fails with
  ///  - what the handler there says (`errc::unavailable`: no such buffer);
  ///  - `errc::lost`: nobody listens there any more, or the connection ended;
  ///  - `errc::refused`: the gate does not know the job, or has another key;
  ///  - `errc::corrupt`: more than `bytes_max`, or not an answer;
  ///  - `errc::exhausted`: no memory for it;
  ///  - `errc::timed_out`.
  [[nodiscard]] result<process::fetched_file>
  fetch(const endpoint& from, std::string_view job, const job_key& key,
        std::int32_t slot, incarnation life, buffer_id id, deadline until,
        std::uint64_t bytes_max = bytes_max_default);

  /// Connections kept now.
  [[nodiscard]] std::size_t idle() const;

private:
  struct impl;

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::net
