// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>

#include "comm/transfer/executor_conformance.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/inproc/factory.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

const test::conformance::backend_maker subject = [] {
  return test::sync_backend{link_kind::inproc, {}, comm::inproc::make_link};
};

deadline ample() {
  return deadline::after(60s);
}

} // namespace

BOOST_AUTO_TEST_SUITE(inproc_executor)

TROUPE_EXECUTOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(sharing_gives_the_source_s_own_memory) {
  std::mt19937_64 random{7};
  auto backend = subject();
  test::sample_options options;
  options.whole = true;
  test::sync_sample sample{random, options, backend.memory};
  test::sample_group group{sample, backend};
  auto before = sample.held(0);
  for (int round = 0; round < 2; ++round) {
    for (auto& x : group.run({run_mode::share, false}, ample()))
      BOOST_REQUIRE(x);
    auto views = group.destinations[0]->shared_views();
    BOOST_REQUIRE_EQUAL(views.size(), sample.destinations[0].tensors.size());
    auto expected = sample.expected(0);
    for (const auto& x : views) {
      BOOST_CHECK(std::ranges::equal(x.memory, expected[x.tensor]));
      auto owned = std::ranges::any_of(sample.sources[0].tensors,
                                       [&](const auto& t) {
                                         return t.memory.data()
                                                == x.memory.data();
                                       });
      BOOST_CHECK(owned);
    }
  }
  BOOST_CHECK(sample.held(0) == before);
}

BOOST_AUTO_TEST_CASE(parts_of_tensors_are_not_shared) {
  std::mt19937_64 random{8};
  auto backend = subject();
  test::sync_sample sample{random, {}, backend.memory};
  test::sample_group group{sample, backend};
  auto codes = group.run({run_mode::share, false}, ample());
  BOOST_REQUIRE(!codes[1]);
  BOOST_CHECK(codes[1].error().code() == errc::invalid);
}

BOOST_AUTO_TEST_SUITE_END()
