// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_feed.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

#include <sys/socket.h>

#include "support/random_seed.hpp"

using namespace troupe;
using namespace std::chrono_literals;

using process::unique_fd;

namespace {

using lines = std::vector<std::string>;

struct fixture {
  unique_fd run;
  std::unique_ptr<monitoring::run_feed> feed;

  fixture() {
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
                  == 0);
    run = unique_fd{ends[0]};
    feed = std::make_unique<monitoring::run_feed>(unique_fd{ends[1]});
  }

  void say(std::string_view text) {
    BOOST_REQUIRE(::send(run.get(), text.data(), text.size(), 0)
                  == static_cast<ssize_t>(text.size()));
  }

  lines read() {
    auto got = feed->read();
    BOOST_REQUIRE(got);
    return *got;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(run_feed, fixture)

BOOST_AUTO_TEST_CASE(lines_come_whole_and_without_their_ends) {
  BOOST_TEST(read().empty());
  say("one\ntwo\nthr");
  BOOST_TEST(read() == (lines{"one", "two"}), boost::test_tools::per_element());
  BOOST_TEST(read().empty());
  say("ee\n\n");
  BOOST_TEST(read() == (lines{"three", ""}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_came_before_the_end_is_read_first) {
  say("last\nhalf a li");
  run.reset();
  BOOST_TEST(read() == (lines{"last"}), boost::test_tools::per_element());
  auto got = feed->read();
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(the_first_line_can_be_awaited_and_the_rest_stays) {
  say("hello\nfirst\n");
  auto until = deadline::after(10s);
  BOOST_TEST(feed->wait_line(until).value() == "hello");
  BOOST_TEST(read() == (lines{"first"}), boost::test_tools::per_element());
  auto silent = feed->wait_line(deadline::after(10ms));
  BOOST_REQUIRE(!silent);
  BOOST_TEST((silent.error().code() == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(a_line_without_end_is_refused) {
  std::string much(100'000, 'x');
  for (std::size_t said = 0;; said += much.size()) {
    BOOST_REQUIRE(said <= 2 * monitoring::run_feed::line_max);
    say(much);
    auto got = feed->read();
    if (!got) {
      BOOST_TEST((got.error().code() == errc::corrupt));
      break;
    }
    BOOST_TEST(got->empty());
  }
}

BOOST_AUTO_TEST_CASE(pieces_of_any_size_make_the_same_lines) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  lines said;
  std::string all;
  for (auto i = 0; i < 200; ++i) {
    said.emplace_back(random() % 40, static_cast<char>('a' + random() % 26));
    all += said.back() + '\n';
  }
  lines heard;
  for (std::size_t at = 0; at < all.size();) {
    auto size = std::min<std::size_t>(1 + random() % 50, all.size() - at);
    say(std::string_view{all}.substr(at, size));
    at += size;
    if (random() % 3 == 0 || at == all.size())
      for (auto& x : read())
        heard.push_back(std::move(x));
  }
  BOOST_TEST(heard == said, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(where_nobody_listens_is_told) {
  auto got = monitoring::run_feed::connect({"127.0.0.1", 1},
                                           deadline::after(10s));
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_SUITE_END()
