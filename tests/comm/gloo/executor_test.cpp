// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/conformance.hpp"
#include "comm/transfer/executor_conformance.hpp"
#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/gloo/factory.hpp"

using namespace troupe;

namespace {

const test::conformance::backend carrier{
  [](std::int32_t size, const comm::collective_options&) {
    std::vector<comm::endpoint_ptr> out;
    for (std::int32_t rank = 0; rank < size; ++rank)
      out.push_back(comm::gloo::make_endpoint(rank_id{rank}, size).value());
    return out;
  }};

const test::conformance::backend_maker subject = [] {
  return test::sync_backend{
    link_kind::gloo, buffer::allocate, [] {
      auto group = test::conformance::connect_all(carrier, 2);
      auto end = [&](std::size_t self, std::int32_t peer) {
        return std::make_shared<comm::comm_link>(group[self], rank_id{peer}, 3,
                                                 "gloo");
      };
      return std::pair<comm::link_ptr, comm::link_ptr>{end(0, 1), end(1, 0)};
    }};
};

} // namespace

BOOST_AUTO_TEST_SUITE(gloo_executor)

TROUPE_EXECUTOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_SUITE_END()
