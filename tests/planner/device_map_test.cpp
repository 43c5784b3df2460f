// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/device_map.hpp"

#include <boost/test/unit_test.hpp>

#include "troupe/planner/cost_model.hpp"

using namespace troupe;
using namespace troupe::planner;

namespace {

/// Two nodes of four; the first has two link domains, the second none known.
cluster two_nodes() {
  auto x = cluster::uniform(2, 4, 8);
  for (std::size_t i = 0; i < 4; ++i) {
    x.nodes[0].devices[i].link_domain = i < 2 ? 0 : 1;
    x.nodes[1].devices[i].link_domain = -1;
  }
  return x;
}

link_class between(const device_map& map, int a, int b) {
  return map.between(device_id{a}, device_id{b});
}

} // namespace

BOOST_AUTO_TEST_SUITE(device_map)

BOOST_AUTO_TEST_CASE(devices_are_numbered_node_by_node) {
  planner::device_map map{two_nodes()};
  BOOST_TEST(map.size() == 8u);
  BOOST_TEST(map.node_of(device_id{3}) == 0);
  BOOST_TEST(map.node_of(device_id{4}) == 1);
  BOOST_TEST(map.contains(device_id{7}));
  BOOST_TEST(!map.contains(device_id{8}));
  BOOST_TEST(!map.contains(device_id{-1}));
}

BOOST_AUTO_TEST_CASE(the_nearest_link_that_two_devices_share) {
  planner::device_map map{two_nodes()};
  BOOST_TEST((between(map, 1, 1) == link_class::device));
  BOOST_TEST((between(map, 0, 1) == link_class::domain));
  BOOST_TEST((between(map, 1, 2) == link_class::node));
  BOOST_TEST((between(map, 3, 4) == link_class::network));
  // Nobody said that they are in one domain.
  BOOST_TEST((between(map, 4, 5) == link_class::node));
}

BOOST_AUTO_TEST_CASE(the_nics_of_a_node_are_shared_by_its_devices) {
  auto machines = two_nodes();
  cost_model costs;
  auto& node = machines.nodes[0];
  node.num_nic = 2;
  BOOST_TEST(bandwidth_of(costs, link_class::network, node)
             == costs.nic_bandwidth / 2);
  // A node that names no NIC has one, a node without devices divides by one.
  node.num_nic = 0;
  node.devices.clear();
  BOOST_TEST(bandwidth_of(costs, link_class::network, node)
             == costs.nic_bandwidth);
  BOOST_TEST(bandwidth_of(costs, link_class::domain, node)
             == costs.domain_bandwidth);
}

BOOST_AUTO_TEST_SUITE_END()
