// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/proof.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

using namespace troupe;
using namespace troupe::net;

BOOST_AUTO_TEST_SUITE(proof)

BOOST_AUTO_TEST_CASE(a_proof_holds_for_one_end_of_one_opening_alone) {
  auto key = *job_key::make();
  auto other = *job_key::make();
  auto a = *random_secret();
  auto b = *random_secret();
  preamble::hello opening{preamble::channel::data, 3, "job"};
  auto with = [&opening](auto change) {
    auto x = opening;
    change(x);
    return x;
  };
  std::set<mac_bytes> seen;
  auto add = [&seen](const mac_bytes& x) { return seen.insert(x).second; };
  BOOST_TEST(add(make_proof(key, prover::dialer, opening, a, b)));
  BOOST_TEST(!add(make_proof(key, prover::dialer, opening, a, b)));
  BOOST_TEST(add(make_proof(other, prover::dialer, opening, a, b)));
  BOOST_TEST(add(make_proof(key, prover::gate, opening, a, b)));
  BOOST_TEST(add(make_proof(key, prover::dialer, opening, b, a)));
  BOOST_TEST(add(make_proof(key, prover::dialer, opening, a, a)));
  BOOST_TEST(add(make_proof(key, prover::dialer, with([](auto& x) {
                              x.kind = preamble::channel::pulse;
                            }),
                            a, b)));
  BOOST_TEST(add(
    make_proof(key, prover::dialer, with([](auto& x) { x.slot = 4; }), a, b)));
  BOOST_TEST(add(make_proof(key, prover::dialer,
                            with([](auto& x) { x.job = "jobs"; }), a, b)));
}

BOOST_AUTO_TEST_SUITE_END()
