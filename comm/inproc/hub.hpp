// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/link.hpp"
#include "troupe/comm/options.hpp"

namespace troupe::comm::inproc {

struct hub_state;

enum class link_end : std::uint8_t { sender, receiver };

/// Where the ranks that live in one process find each other. Make one in main
/// and hand it to whoever builds communicators; endpoints and links keep what
/// they need of it alive.
///
/// Callable from any thread.
class hub {
public:
  hub();
  ~hub();
  hub(const hub&) = delete;
  hub& operator=(const hub&) = delete;

  /// The endpoint of `rank` in the group `group_name`. Every endpoint is
  /// unique, so a name may be used again when a group is rebuilt: those that
  /// connect with the same list of addresses form the group. Addresses of
  /// another hub or process fail with `errc::invalid` on `connect`.
  ///
  /// Fails with `errc::invalid` if `rank` is not in [0, size).
  [[nodiscard]] result<endpoint_ptr>
  make_endpoint(std::string_view group_name, rank_id rank, std::int32_t size,
                const collective_options& options = {});

  /// One end of the link `name`; the other end may be made before or after.
  /// Taking an end that is taken already fails with `errc::refused` until the
  /// holder drops it; a link of which one end was dropped is dead, and the name
  /// then stands for a new link.
  [[nodiscard]] result<link_ptr> make_link(std::string_view name, link_end end);

private:
  std::shared_ptr<hub_state> state_;
};

} // namespace troupe::comm::inproc
