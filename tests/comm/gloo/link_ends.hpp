// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "comm/conformance.hpp"
#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/gloo/factory.hpp"

namespace troupe::test {

/// Both ends of a link over sockets, in this process; first the sending one.
inline std::pair<comm::link_ptr, comm::link_ptr> make_gloo_ends() {
  const conformance::backend carrier{
    [](std::int32_t size, const comm::collective_options&) {
      std::vector<comm::endpoint_ptr> out;
      for (std::int32_t rank = 0; rank < size; ++rank)
        out.push_back(comm::gloo::make_endpoint(rank_id{rank}, size).value());
      return out;
    }};
  auto group = conformance::connect_all(carrier, 2);
  auto end = [&](std::size_t self, std::int32_t peer) {
    return std::make_shared<comm::comm_link>(group[self], rank_id{peer}, 3,
                                             "gloo");
  };
  return {end(0, 1), end(1, 0)};
}

} // namespace troupe::test
