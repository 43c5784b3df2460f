// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/sync_prediction.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <numeric>

#include "planner/sample_job.hpp"
#include "planner/simple_place.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

/// A source and a destination of the same 8 B parameters.
struct pair_of_models {
  job_spec job;
  std::vector<model_profile> profiles{profile_of("trainer", model_role::train),
                                      profile_of("policy",
                                                 model_role::generate)};
  cluster machines;

  pair_of_models(model_spec source, model_spec destination, cluster where,
                 bool colocated)
    : machines(std::move(where)) {
    source.name = "trainer";
    source.trainable = true;
    destination.name = "policy";
    job.models = {std::move(source), std::move(destination)};
    if (colocated)
      job.colocation = {{"trainer", "policy"}};
  }

  sync_prediction predict(const cost_model& costs = {}) const {
    auto plan = simple_place(job, machines);
    BOOST_REQUIRE_MESSAGE(plan, test::why(plan));
    auto end = [&](std::size_t i) {
      return sync_end{job.models[i], profiles[i], plan->models[i]};
    };
    auto x = predict_sync(end(0), end(1), machines,
                          planner::device_map{machines}, costs);
    BOOST_REQUIRE_MESSAGE(x, test::why(x));
    return *x;
  }

  /// Bytes of one whole copy of the destination.
  double copy_bytes() const {
    return 2 * static_cast<double>(profiles[1].parameters.total());
  }
};

std::uint64_t over(const sync_prediction& x, link_class link) {
  return x.bytes_by_link[static_cast<std::size_t>(link)];
}

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

} // namespace

BOOST_AUTO_TEST_SUITE(sync_prediction)

BOOST_AUTO_TEST_CASE(equal_layouts_on_one_device_copy_there) {
  pair_of_models x{spec_of("", 1, 1, 1), spec_of("", 1, 1, 1),
                   machines_of(1, 1, 0), true};
  auto found = x.predict();
  BOOST_TEST(near(static_cast<double>(found.bytes), x.copy_bytes()));
  BOOST_TEST(over(found, link_class::device) == found.bytes);
  BOOST_TEST((found.slowest == link_class::device));
  cost_model costs;
  BOOST_TEST(near(found.seconds, costs.sync_seconds
                                   + x.copy_bytes() / costs.device_bandwidth));
}

BOOST_AUTO_TEST_CASE(every_replica_receives_a_whole_copy) {
  for (int replicas : {1, 2, 4}) {
    pair_of_models x{spec_of("", 2, 1, 1), spec_of("", 1, 1, replicas),
                     machines_of(1, 8, 0), false};
    auto found = x.predict();
    BOOST_TEST(
      near(static_cast<double>(found.bytes), replicas * x.copy_bytes()));
    BOOST_TEST(std::accumulate(found.bytes_by_link.begin(),
                               found.bytes_by_link.end(), std::uint64_t{0})
               == found.bytes);
  }
}

BOOST_AUTO_TEST_CASE(what_is_on_another_node_goes_over_the_network) {
  pair_of_models x{spec_of("", 1, 4, 1), spec_of("", 1, 1, 4),
                   machines_of(2, 4, 0), false};
  auto found = x.predict();
  BOOST_TEST(over(found, link_class::network) == found.bytes);
  BOOST_TEST((found.slowest == link_class::network));
  // One NIC a node carries all four copies.
  cost_model costs;
  BOOST_TEST(near(found.seconds, costs.sync_seconds
                                   + 4 * x.copy_bytes() / costs.nic_bandwidth));
}

BOOST_AUTO_TEST_CASE(slower_links_never_make_it_faster) {
  pair_of_models x{spec_of("", 2, 2, 1), spec_of("", 4, 1, 1),
                   machines_of(2, 4, 0), false};
  cost_model fast;
  auto slow = fast;
  slow.nic_bandwidth /= 3;
  BOOST_TEST(x.predict(slow).seconds > x.predict(fast).seconds);
  BOOST_TEST(x.predict(slow).bytes == x.predict(fast).bytes);
}

BOOST_AUTO_TEST_CASE(a_placement_of_other_sizes_is_refused) {
  pair_of_models x{spec_of("", 2, 1, 1), spec_of("", 2, 1, 1),
                   machines_of(1, 4, 0), false};
  auto plan = simple_place(x.job, x.machines);
  BOOST_REQUIRE(plan);
  auto spec = x.job.models[1];
  spec.parallel.tensor = 1;
  auto found = predict_sync({x.job.models[0], x.profiles[0], plan->models[0]},
                            {spec, x.profiles[1], plan->models[1]}, x.machines,
                            planner::device_map{x.machines}, {});
  BOOST_REQUIRE(!found);
  BOOST_TEST((found.error().code() == errc::invalid));
  BOOST_TEST(found.error().message().find("policy") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
