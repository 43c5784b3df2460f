// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/exception.hpp"

#include <new>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include "troupe/core/batch.hpp"

using namespace troupe;

namespace {

/// What `f` throws, as whoever calls an application's code makes of it.
template <class F>
troupe::error thrown_by(F f) {
  try {
    f();
  } catch (const std::exception& x) {
    return error_from(x);
  }
  return {errc::internal, "nothing was thrown"};
}

} // namespace

BOOST_AUTO_TEST_SUITE(exception)

BOOST_AUTO_TEST_CASE(an_error_comes_through_as_it_was) {
  for (auto code :
       {errc::timed_out, errc::lost, errc::aborted, errc::corrupt}) {
    troupe::error sent{code, "all-reduce: waited in vain for rank 1"};
    BOOST_TEST((thrown_by([&] { throw troupe::exception{sent}; }) == sent));
  }
}

BOOST_AUTO_TEST_CASE(its_words_are_the_sentence) {
  troupe::exception x{{errc::lost, "rank 3 is gone"}};
  BOOST_TEST(std::string{x.what()} == "rank 3 is gone");
  BOOST_TEST((x.why().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_result_without_a_value_says_why) {
  batch experience;
  experience.set("guess", tensor{dtype::float32, {2}});
  auto got = thrown_by([&] { static_cast<void>(experience.get("x").value()); });
  auto told = experience.get("x");
  BOOST_REQUIRE(!told);
  BOOST_TEST((got == told.error()));
  BOOST_TEST(got.message().find("'x'") != std::string::npos);
  BOOST_TEST(got.message().find("guess") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(anything_else_failed_with_its_words) {
  auto got = thrown_by([] { throw std::logic_error{"out of tea"}; });
  BOOST_TEST((got == troupe::error{errc::failed, "out of tea"}));
}

BOOST_AUTO_TEST_CASE(memory_that_ran_out_is_exhausted) {
  auto got = thrown_by([] { throw std::bad_alloc{}; });
  BOOST_TEST((got.code() == errc::exhausted));
  BOOST_TEST(got.message() == "out of memory: std::bad_alloc");
}

BOOST_AUTO_TEST_CASE(a_sentence_is_neither_empty_nor_endless) {
  auto silent = thrown_by([] { throw std::runtime_error{""}; });
  BOOST_TEST(silent.message() == "it threw an exception that says nothing");
  auto endless = thrown_by(
    [] { throw std::runtime_error{std::string(5'000'000, 'x')}; });
  BOOST_TEST(endless.message().size() < 20'000u);
  BOOST_TEST(endless.message().ends_with("x ... and 4983616 bytes more"));
}

BOOST_AUTO_TEST_SUITE_END()
