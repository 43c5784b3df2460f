// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/splicer.hpp"

#include <boost/test/unit_test.hpp>

#include <iostream>

#include <sys/socket.h>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;

namespace {

struct two_ends {
  std::unique_ptr<stream> near;
  std::unique_ptr<stream> far;
};

two_ends make_ends() {
  int fds[2];
  BOOST_REQUIRE(
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)
    == 0);
  return {make_plain_stream(process::unique_fd{fds[0]}),
          make_plain_stream(process::unique_fd{fds[1]})};
}

/// left ==== splice ==== right
struct fixture {
  fixture() {
    auto a = make_ends();
    auto b = make_ends();
    left = std::move(a.near);
    right = std::move(b.near);
    loop->run([&] {
      splices = std::make_unique<net::splicer>(*loop);
      splices->add(std::move(a.far), std::move(b.far),
                   [this] { ended.update([](int& n) { ++n; }); });
    });
  }

  ~fixture() {
    loop->run([this] { splices.reset(); });
  }

  [[nodiscard]] bool has_ended() {
    return ended.wait([](int n) { return n == 1; });
  }

  std::unique_ptr<event_loop> loop = *event_loop::start();
  std::unique_ptr<net::splicer> splices;
  std::unique_ptr<stream> left;
  std::unique_ptr<stream> right;
  net_test::watched<int> ended;
};

/// What a stream takes until it takes no more for a moment.
std::size_t write_until_full(stream& to) {
  bytes chunk(64 * 1024);
  std::size_t all = 0;
  for (;;) {
    auto sent = to.write(chunk);
    all += sent.bytes;
    if (sent.state == io_state::done)
      continue;
    if (sent.state != io_state::want_write
        || !send_all(to, std::span{chunk}.first(1),
                     deadline::after(std::chrono::milliseconds{100})))
      return all;
    ++all;
  }
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(splicer, fixture)

BOOST_AUTO_TEST_CASE(bytes_pass_both_ways_at_the_same_time) {
  auto data = net_test::pattern(4 * 1024 * 1024 + 17);
  std::thread sender{[&] {
    net_test::must_hold(send_all(*left, data, soon()).has_value(),
                        "all is sent");
  }};
  std::thread other{[&] { net_test::echo(*right); }};
  bytes back(data.size());
  BOOST_TEST(receive_all(*left, back, soon()).has_value());
  BOOST_TEST((back == data));
  sender.join();
  left.reset();
  other.join();
  BOOST_TEST(has_ended());
}

BOOST_AUTO_TEST_CASE(the_last_words_arrive_before_the_end) {
  auto data = net_test::pattern(200'000);
  std::thread sender{[&] {
    net_test::must_hold(send_all(*right, data, soon()).has_value(),
                        "all is sent");
    right.reset();
  }};
  BOOST_TEST((net_test::read_to_end(*left) == data));
  sender.join();
  BOOST_TEST(has_ended());
  BOOST_TEST(splices->size() == 0);
}

BOOST_AUTO_TEST_CASE(when_either_end_goes_the_other_hears_of_it) {
  left.reset();
  BOOST_TEST(net_test::ends(*right));
  BOOST_TEST(has_ended());
}

BOOST_AUTO_TEST_CASE(who_does_not_read_holds_back_a_bounded_number_of_bytes) {
  // The kernel's two pairs of buffers and ours.
  auto all = write_until_full(*left);
  BOOST_TEST(all > net::splicer::buffer_bytes);
  BOOST_TEST(all < 4u * 1024 * 1024);
  // The other direction does not suffer.
  auto word = net_test::pattern(1000);
  BOOST_TEST(send_all(*right, word, soon()).has_value());
  bytes got(word.size());
  BOOST_TEST(receive_all(*left, got, soon()).has_value());
  BOOST_TEST((got == word));
  BOOST_TEST(ended.get() == 0);
}

BOOST_AUTO_TEST_CASE(an_end_behind_bytes_that_nobody_takes_is_still_an_end) {
  write_until_full(*left);
  auto began = steady_clock().now();
  left.reset();
  BOOST_TEST(has_ended());
  auto took = steady_clock().now() - began;
  std::cout << "ended after "
            << std::chrono::round<std::chrono::milliseconds>(took).count()
            << " ms\n";
  // By itself: whoever does not read stays.
  BOOST_TEST((took < 5 * net::splicer::linger));
}

BOOST_AUTO_TEST_CASE(a_pair_that_is_removed_closes_both_sides_in_silence) {
  loop->run([this] { splices.reset(); });
  BOOST_TEST(net_test::ends(*left));
  BOOST_TEST(net_test::ends(*right));
  BOOST_TEST(ended.get() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
