// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/conformance.hpp"
#include "troupe/comm/gloo/factory.hpp"

using namespace troupe;

namespace {

const test::conformance::backend subject{
  [](std::int32_t size, const comm::collective_options& collectives) {
    comm::gloo::endpoint_options options;
    options.collectives = collectives;
    std::vector<comm::endpoint_ptr> out;
    for (std::int32_t rank = 0; rank < size; ++rank)
      out.push_back(
        comm::gloo::make_endpoint(rank_id{rank}, size, options).value());
    return out;
  }};

} // namespace

BOOST_AUTO_TEST_SUITE(gloo_communicator)

TROUPE_COMMUNICATOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(the_backend_is_usable) {
  auto found = comm::gloo::probe();
  BOOST_CHECK_MESSAGE(found.usable, found.reason);
}

BOOST_AUTO_TEST_CASE(an_address_that_cannot_be_bound_is_a_reason) {
  comm::gloo::endpoint_options options;
  options.bind_address = "192.0.2.1";
  BOOST_CHECK(!comm::gloo::probe(options).usable);
  auto made = comm::gloo::make_endpoint(rank_id{0}, 1, options);
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::unavailable);
  options.bind_address = "no.such.host.invalid";
  BOOST_CHECK(!comm::gloo::probe(options).usable);
  options.interface = "no-such-interface";
  BOOST_CHECK(!comm::gloo::probe(options).usable);
  options.interface = "lo";
  BOOST_CHECK(comm::gloo::probe(options).usable);
}

BOOST_AUTO_TEST_CASE(ranks_outside_the_group_are_invalid) {
  BOOST_CHECK(!comm::gloo::make_endpoint(rank_id{2}, 2));
  BOOST_CHECK(!comm::gloo::make_endpoint(rank_id{-1}, 2));
  BOOST_CHECK(!comm::gloo::make_endpoint(rank_id{0}, 0));
}

BOOST_AUTO_TEST_SUITE_END()
