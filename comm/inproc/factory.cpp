// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/inproc/factory.hpp"

#include <memory>

#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/inproc/transport.hpp"
#include "troupe/comm/inproc/window_link.hpp"
#include "troupe/comm/transport_communicator.hpp"

namespace troupe::comm::inproc {

probe_result probe() {
  return {true, "ranks in one process"};
}

std::vector<communicator_ptr> make_group(std::int32_t size,
                                         const collective_options& options) {
  auto shared = std::make_shared<group>(size);
  std::vector<communicator_ptr> ranks;
  for (std::int32_t rank = 0; rank < size; ++rank)
    ranks.push_back(
      std::make_shared<
        transport_communicator>(std::make_unique<group_transport>(shared,
                                                                  rank_id{
                                                                    rank}),
                                options));
  return ranks;
}

std::pair<link_ptr, link_ptr> make_link() {
  auto ranks = make_group(2);
  return window_link::wrap(
    {std::make_shared<comm_link>(ranks[0], rank_id{1}, 0, "inproc"),
     std::make_shared<comm_link>(ranks[1], rank_id{0}, 0, "inproc")});
}

} // namespace troupe::comm::inproc
