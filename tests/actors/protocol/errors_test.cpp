// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/errors.hpp"

#include <exception>
#include <stdexcept>

#include <boost/test/unit_test.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>

#include "support/actor_fixture.hpp"
#include "troupe/core/exception.hpp"

using namespace troupe;
using protocol::from_caf;
using protocol::from_exit_reason;
using protocol::to_caf;

namespace {

std::vector<errc> all_codes() {
  std::vector<errc> out;
  for (auto i = 0; i < 256; ++i)
    if (auto x = static_cast<errc>(i); to_string(x) != "unknown")
      out.push_back(x);
  return out;
}

struct fixture : test::actor_fixture {
  caf::error over_the_wire(const caf::error& x) {
    std::vector<char> buffer;
    caf::binary_serializer sink{system(), buffer};
    BOOST_REQUIRE(!sink(x));
    caf::error y;
    caf::binary_deserializer source{system(), buffer};
    BOOST_REQUIRE(!source(y));
    return y;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(protocol_errors, fixture)

BOOST_AUTO_TEST_CASE(each_of_our_errors_comes_back_as_it_was) {
  BOOST_TEST(all_codes().size() == 10u);
  for (auto code : all_codes())
    for (const auto& text : {std::string{}, std::string{"out of tea"},
                             std::string(100'000, 'x')}) {
      error x{code, text};
      BOOST_TEST((from_caf(to_caf(x)) == x));
      BOOST_TEST((from_caf(over_the_wire(to_caf(x))) == x));
    }
}

BOOST_AUTO_TEST_CASE(an_error_of_ours_without_a_text_keeps_its_code) {
  auto x = from_caf(caf::make_error(errc::exhausted));
  BOOST_TEST((x == error{errc::exhausted, ""}));
  auto y = from_caf(caf::make_error(errc::exhausted, 42));
  BOOST_TEST((y.code() == errc::exhausted));
}

BOOST_AUTO_TEST_CASE(an_unknown_code_from_the_wire_is_an_internal_error) {
  for (auto code : {11, 77, 255}) {
    caf::error x{static_cast<std::uint8_t>(code), caf::atom("troupe"),
                 caf::make_message(std::string{"from the future"})};
    auto y = from_caf(over_the_wire(x));
    BOOST_TEST((y.code() == errc::internal));
    BOOST_TEST(y.message().find("from the future") != std::string::npos);
    BOOST_TEST(y.message().find(std::to_string(code)) != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(an_error_without_a_cause_does_no_harm) {
  BOOST_TEST((from_caf(caf::error{}).code() == errc::internal));
  BOOST_TEST((from_exit_reason(caf::error{}).code() == errc::lost));
  BOOST_TEST((from_caf(over_the_wire(caf::error{})).code() == errc::internal));
}

BOOST_AUTO_TEST_CASE(errors_of_the_runtime_call_for_the_right_reaction) {
  using caf::sec;
  auto code = [](sec x) { return from_caf(caf::make_error(x)).code(); };
  BOOST_TEST((code(sec::request_timeout) == errc::timed_out));
  BOOST_TEST((code(sec::request_receiver_down) == errc::lost));
  BOOST_TEST((code(sec::no_route_to_receiving_node) == errc::lost));
  BOOST_TEST((code(sec::cannot_connect_to_node) == errc::unavailable));
  BOOST_TEST((code(sec::incompatible_versions) == errc::refused));
  BOOST_TEST((code(sec::disconnect_during_handshake) == errc::lost));
  BOOST_TEST((code(sec::unexpected_message) == errc::internal));
}

BOOST_AUTO_TEST_CASE(
  a_node_that_ends_while_it_is_joined_is_told_in_a_sentence) {
  auto x = from_caf(caf::make_error(caf::sec::disconnect_during_handshake));
  BOOST_TEST(x.message() == "the connection ended while it was being opened");
}

BOOST_AUTO_TEST_CASE(silence_is_told_from_an_answer_about_something_late) {
  using protocol::is_silence;
  auto silent = caf::make_error(caf::sec::request_timeout);
  BOOST_TEST(is_silence(from_caf(silent)));
  // Through a node.
  BOOST_TEST(is_silence(from_caf(over_the_wire(to_caf(from_caf(silent))))));
  BOOST_TEST(!is_silence({errc::timed_out, "the disk is slow"}));
  BOOST_TEST(!is_silence({errc::lost, "no answer in time"}));
}

BOOST_AUTO_TEST_CASE(a_connection_dropped_early_is_told_from_nobody_there) {
  using protocol::is_dropped_early;
  BOOST_TEST(
    is_dropped_early(from_caf(caf::make_error(caf::sec::connection_timeout))));
  BOOST_TEST(!is_dropped_early(
    from_caf(caf::make_error(caf::sec::cannot_connect_to_node))));
  BOOST_TEST(!is_dropped_early({errc::unavailable, "nobody listens there"}));
}

BOOST_AUTO_TEST_CASE(every_error_of_the_runtime_has_a_text) {
  for (auto i = 1; i < 256; ++i)
    for (auto category : {caf::atom("system"), caf::atom("exit"),
                          caf::atom("pec"), caf::atom("nobody")}) {
      caf::error x{static_cast<std::uint8_t>(i), category};
      BOOST_TEST(!from_caf(x).message().empty());
      BOOST_TEST(!from_exit_reason(x).message().empty());
      BOOST_TEST(to_string(from_caf(x).code()) != "unknown");
    }
}

BOOST_AUTO_TEST_CASE(an_actor_that_throws_is_lost_and_says_why) {
  auto thrown = [](auto x) {
    return protocol::from_exception(std::make_exception_ptr(x));
  };
  BOOST_TEST((thrown(std::runtime_error{"no thread"})
              == error{errc::lost, "it threw: no thread"}));
  // Of ours, its sentence; and nothing is no sentence.
  BOOST_TEST((thrown(troupe::exception{{errc::invalid, "no such seat"}})
              == error{errc::lost, "it threw: no such seat"}));
  for (const auto& x : {thrown(std::runtime_error{""}), thrown(7)}) {
    BOOST_TEST((x.code() == errc::lost));
    BOOST_TEST(x.message().starts_with("it threw "), x.message());
  }
}

BOOST_AUTO_TEST_CASE(a_target_that_went_down_is_lost_whatever_the_reason) {
  using caf::exit_reason;
  for (auto why : {exit_reason::normal, exit_reason::kill,
                   exit_reason::remote_link_unreachable,
                   exit_reason::unreachable, exit_reason::user_shutdown}) {
    BOOST_TEST((from_exit_reason(why).code() == errc::lost));
    // An end in good order is no error.
    if (why != exit_reason::normal)
      BOOST_TEST((from_caf(why).code() == errc::lost));
  }
  BOOST_TEST(from_exit_reason(exit_reason::remote_link_unreachable).message()
             == "its process is gone");
}

BOOST_AUTO_TEST_CASE(a_target_that_went_down_with_an_error_passes_it_on) {
  error x{errc::failed, "out of tea"};
  BOOST_TEST((from_exit_reason(to_caf(x)) == x));
}

BOOST_AUTO_TEST_CASE(an_actor_system_can_print_our_errors) {
  auto text = system().render(to_caf({errc::exhausted, "out of tea"}));
  BOOST_TEST(text.find("exhausted") != std::string::npos);
  BOOST_TEST(text.find("out of tea") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
