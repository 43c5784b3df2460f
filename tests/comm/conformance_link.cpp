// SPDX-License-Identifier: Apache-2.0
#include "comm/conformance.hpp"

#include <chrono>
#include <latch>

#include <boost/test/unit_test.hpp>

#include "support/rank_threads.hpp"

using namespace std::literals;

namespace troupe::test::conformance {

namespace {

deadline ample() {
  return deadline::after(60s);
}

constexpr auto at_once = 10s;

errc code_of(const result<void>& x) {
  return x ? errc{} : x.error().code();
}

std::vector<std::byte> pattern(std::size_t size, std::size_t seed) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::byte>((i * 131 + seed * 7 + (i >> 8)) & 0xff);
  return out;
}

} // namespace

void link_moves_what_is_pushed(const link_maker& make) {
  auto [sender, receiver] = make();
  BOOST_CHECK(!sender->backend().empty());
  BOOST_CHECK_EQUAL(sender->backend(), receiver->backend());
  const std::vector<std::size_t> sizes{0,     1,        7, 64, 4096, 4097,
                                       65537, 12345678, 3, 1,  0};
  auto& push_end = *sender;
  auto& pull_end = *receiver;
  auto codes = in_threads(2, [&](std::size_t end) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto data = pattern(sizes[i], i);
      if (end == 0) {
        if (auto done = push_end.push(data, ample()); !done)
          return done.error().code();
        // From here on the memory is ours again.
        data.assign(data.size(), std::byte{0});
      } else {
        std::vector<std::byte> got(sizes[i]);
        if (auto done = pull_end.pull(got, ample()); !done)
          return done.error().code();
        if (got != data)
          return errc::corrupt;
      }
    }
    return errc{};
  });
  BOOST_CHECK(codes[0] == errc{});
  BOOST_CHECK(codes[1] == errc{});
}

void link_deadline_kills(const link_maker& make) {
  for (auto pushing : {true, false}) {
    auto [sender, receiver] = make();
    std::vector<std::byte> memory(100);
    auto early = deadline::after(20ms);
    BOOST_CHECK(code_of(pushing ? sender->push(memory, early)
                                : receiver->pull(memory, early))
                == errc::timed_out);
    auto start = std::chrono::steady_clock::now();
    auto first = code_of(pushing ? sender->push(memory, ample())
                                 : receiver->pull(memory, ample()));
    BOOST_CHECK(first == errc::timed_out);
    auto other = code_of(pushing ? receiver->pull(memory, ample())
                                 : sender->push(memory, ample()));
    BOOST_CHECK_MESSAGE(other == errc::lost, to_string(other));
    BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
  }
}

void link_abort_wakes_both_ends(const link_maker& make) {
  for (auto pushing : {true, false})
    for (auto by_peer : {true, false}) {
      auto [sender, receiver] = make();
      auto& waiting = pushing ? *sender : *receiver;
      auto& aborting = pushing != by_peer ? *sender : *receiver;
      std::latch inside{2};
      std::vector<std::byte> memory(100);
      auto start = std::chrono::steady_clock::now();
      auto codes = in_threads(2, [&](std::size_t thread) {
        inside.arrive_and_wait();
        if (thread == 1) {
          aborting.abort();
          return errc{};
        }
        return code_of(pushing ? waiting.push(memory, ample())
                               : waiting.pull(memory, ample()));
      });
      BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
      BOOST_CHECK_MESSAGE(codes[0] == (by_peer ? errc::lost : errc::aborted),
                          to_string(codes[0]));
    }
}

void link_of_unequal_sizes_fails(const link_maker& make) {
  for (auto sizes : {std::pair{8u, 16u}, std::pair{16u, 8u}}) {
    auto [sender, receiver] = make();
    auto& push_end = *sender;
    auto& pull_end = *receiver;
    auto until = deadline::after(300ms);
    std::vector<std::byte> target(sizes.second);
    auto codes = in_threads(2, [&](std::size_t end) {
      std::vector<std::byte> source(sizes.first, std::byte{1});
      return code_of(end == 0 ? push_end.push(source, until)
                              : pull_end.pull(target, until));
    });
    for (auto code : codes)
      BOOST_CHECK(code == errc::invalid || code == errc::timed_out
                  || code == errc::lost);
    BOOST_CHECK(target == std::vector<std::byte>(sizes.second));
  }
}

void link_dropped_end_is_lost(const link_maker& make) {
  for (auto pushing : {true, false}) {
    auto [sender, receiver] = make();
    std::vector<std::byte> memory(100);
    if (pushing) {
      receiver.reset();
      BOOST_CHECK(code_of(sender->push(memory, ample())) == errc::lost);
    } else {
      sender.reset();
      BOOST_CHECK(code_of(receiver->pull(memory, ample())) == errc::lost);
    }
  }
}

} // namespace troupe::test::conformance
