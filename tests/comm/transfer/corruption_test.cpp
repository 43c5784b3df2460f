// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>

#include "support/rank_threads.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

deadline ample() {
  return deadline::after(60s);
}

using octets = std::vector<std::byte>;

/// A stream whose pushes pass through the test's hands. What is pushed first
/// is the table of the channel: its size and itself.
class tampering_stream final : public comm::link {
public:
  /// May change the message, keep it back, or send more.
  using hand = std::function<std::vector<octets>(std::size_t push, octets)>;

  tampering_stream(comm::link_ptr inner, hand with)
    : inner_(std::move(inner)),
      with_(std::move(with)) {
    // nop
  }

  std::string_view backend() const noexcept override { return "stream"; }

  result<void> push(std::span<const std::byte> data, deadline until) override {
    for (const auto& x : with_(pushes_++, octets(data.begin(), data.end())))
      if (auto done = inner_->push(x, until); !done)
        return done;
    return {};
  }

  result<void> pull(std::span<std::byte> data, deadline until) override {
    return inner_->pull(data, until);
  }

  void abort() noexcept override { inner_->abort(); }

private:
  comm::link_ptr inner_;
  hand with_;
  std::size_t pushes_ = 0;
};

/// The sending end of shared memory, whose staging the test changes between
/// the packing and the reading.
class tampering_staging final : public comm::link, private comm::window_source {
public:
  using hand = std::function<void(std::size_t bucket, std::span<std::byte>)>;

  tampering_staging(comm::link_ptr inner, hand with)
    : inner_(std::move(inner)),
      with_(std::move(with)) {
    // nop
  }

  std::string_view backend() const noexcept override { return "shm"; }

  result<void> push(std::span<const std::byte> data, deadline until) override {
    return inner_->push(data, until);
  }

  result<void> pull(std::span<std::byte> data, deadline until) override {
    return inner_->pull(data, until);
  }

  void abort() noexcept override { inner_->abort(); }

  comm::window_source* source_windows() noexcept override { return this; }

private:
  comm::window_source& windows() const { return *inner_->source_windows(); }

  result<void> share(std::shared_ptr<comm::shm::arena> memory) override {
    staging_ = memory;
    return windows().share(std::move(memory));
  }

  std::optional<comm::window>
  locate(std::span<const std::byte> data) const noexcept override {
    return windows().locate(data);
  }

  result<void> lend(std::uint64_t count, deadline until) override {
    with_(lent_++, staging_->memory());
    return windows().lend(count, until);
  }

  result<std::uint64_t> reclaim(std::uint64_t known, deadline until) override {
    return windows().reclaim(known, until);
  }

  void withdraw() noexcept override { windows().withdraw(); }

  comm::link_ptr inner_;
  hand with_;
  std::shared_ptr<comm::shm::arena> staging_;
  std::size_t lent_ = 0;
};

/// Two tensors, `first` and `second`, each in a bucket of its own.
struct two_buckets {
  static constexpr std::size_t size = 1000;

  two_buckets() {
    program_channel out{rank_id{0}, link_kind::shm, {}};
    for (std::uint32_t i = 0; i < 2; ++i) {
      program_part part;
      part.tensor = i;
      part.key = 40 + i;
      part.wire_bytes = size;
      part.run_elements = size;
      out.buckets.push_back({dtype::uint8, size, {part}});
    }
    source.sends = {out};
    destination.receives = {out};
    for (std::size_t i = 0; i < size; ++i)
      from[0][i] = static_cast<std::byte>(i), from[1][i] = std::byte{7};
  }

  static std::vector<local_tensor> list(std::array<octets, 2>& all) {
    return {{"first", dtype::uint8, all[0]}, {"second", dtype::uint8, all[1]}};
  }

  /// What the receiving end says to a sync.
  result<void> run(comm::link_ptr sender, comm::link_ptr receiver,
                   run_mode mode) {
    auto a = executor::make(source, list(from), {std::move(sender)}, {})
               .value();
    auto b = executor::make(destination, list(to), {}, {std::move(receiver)})
               .value();
    auto done = test::in_threads(2, [&](std::size_t i) {
      return (i == 0 ? a : b)->run({mode, false}, ample());
    });
    b->commit();
    return done[1];
  }

  rank_program source;
  rank_program destination;
  std::array<octets, 2> from{octets(size), octets(size)};
  std::array<octets, 2> to{octets(size), octets(size)};
};

void check_named(const result<void>& got, std::string_view tensor,
                 std::string_view bucket) {
  BOOST_REQUIRE(!got);
  BOOST_CHECK(got.error().code() == errc::corrupt);
  const auto& text = got.error().message();
  BOOST_CHECK_MESSAGE(text.find(tensor) != std::string::npos
                        && text.find(bucket) != std::string::npos,
                      text);
}

const auto modes = {run_mode::in_place, run_mode::staged, run_mode::compare};

} // namespace

BOOST_AUTO_TEST_SUITE(transfer_corruption)

BOOST_AUTO_TEST_CASE(untouched_streams_and_staging_pass) {
  for (auto mode : {run_mode::in_place, run_mode::staged}) {
    two_buckets sync;
    auto ends = comm::inproc::make_link();
    auto sender = std::make_shared<tampering_stream>(ends.first, [](std::size_t,
                                                                    octets x) {
      return std::vector<octets>{std::move(x)};
    });
    auto receiver = std::make_shared<tampering_stream>(ends.second, nullptr);
    BOOST_CHECK(sync.run(sender, receiver, mode));
    BOOST_CHECK(sync.to == sync.from);
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_on_the_wire_is_corrupt) {
  for (auto mode : modes)
    for (std::size_t bucket = 0; bucket < 2; ++bucket) {
      two_buckets sync;
      auto ends = comm::inproc::make_link();
      auto sender = std::make_shared<
        tampering_stream>(ends.first, [bucket](std::size_t push, octets x) {
        if (push == 2 + bucket)
          x[3] ^= std::byte{16};
        return std::vector<octets>{std::move(x)};
      });
      auto receiver = std::make_shared<tampering_stream>(ends.second, nullptr);
      check_named(sync.run(sender, receiver, mode),
                  bucket == 0 ? "'first'" : "'second'",
                  bucket == 0 ? "bucket 0" : "bucket 1");
      // A commit after a failure is none.
      if (mode != run_mode::in_place)
        BOOST_CHECK(sync.to[bucket] == octets(two_buckets::size));
    }
}

BOOST_AUTO_TEST_CASE(swapped_buckets_on_the_wire_are_corrupt) {
  for (auto mode : modes) {
    two_buckets sync;
    auto ends = comm::inproc::make_link();
    octets kept;
    auto sender = std::make_shared<
      tampering_stream>(ends.first, [&kept](std::size_t push, octets x) {
      if (push == 2) {
        kept = std::move(x);
        return std::vector<octets>{};
      }
      std::vector<octets> out{std::move(x)};
      if (push == 3)
        out.push_back(std::move(kept));
      return out;
    });
    auto receiver = std::make_shared<tampering_stream>(ends.second, nullptr);
    check_named(sync.run(sender, receiver, mode), "'first'", "bucket 0");
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_staging_is_corrupt) {
  for (auto mode : modes)
    for (std::size_t bucket = 0; bucket < 2; ++bucket) {
      two_buckets sync;
      auto fds = comm::shm::make_sockets().value();
      auto sender = std::make_shared<
        tampering_staging>(comm::shm::make_sender(fds.first).value(),
                           [&](std::size_t lent, std::span<std::byte> staging) {
                             if (lent != bucket)
                               return;
                             auto at = std::ranges::search(staging,
                                                           sync.from[bucket])
                                         .begin();
                             at[two_buckets::size - 1] ^= std::byte{1};
                           });
      auto receiver = comm::shm::make_receiver(fds.second).value();
      check_named(sync.run(sender, receiver, mode),
                  bucket == 0 ? "'first'" : "'second'",
                  bucket == 0 ? "bucket 0" : "bucket 1");
      if (mode != run_mode::in_place)
        BOOST_CHECK(sync.to[bucket] == octets(two_buckets::size));
    }
}

// With its digest, as a whole: only the keys tell.
BOOST_AUTO_TEST_CASE(another_bucket_in_staging_is_corrupt) {
  for (auto mode : modes) {
    two_buckets sync;
    auto fds = comm::shm::make_sockets().value();
    octets first;
    auto whole = two_buckets::size + 16;
    auto sender = std::make_shared<
      tampering_staging>(comm::shm::make_sender(fds.first).value(),
                         [&](std::size_t lent, std::span<std::byte> staging) {
                           auto at = std::ranges::search(staging,
                                                         sync.from[lent])
                                       .begin();
                           if (lent == 0)
                             first.assign(at, at
                                                + static_cast<std::ptrdiff_t>(
                                                  whole));
                           else
                             std::ranges::copy(first, at);
                         });
    auto receiver = comm::shm::make_receiver(fds.second).value();
    check_named(sync.run(sender, receiver, mode), "'second'", "bucket 1");
  }
}

// Where the receiver reads the source's own tensors there is nothing between;
// that nobody writes them meanwhile is what the source's digest is for.
BOOST_AUTO_TEST_CASE(a_source_written_during_the_copy_has_another_digest) {
  two_buckets sync;
  auto ends = comm::inproc::make_link();
  auto a = executor::make(sync.source, two_buckets::list(sync.from),
                          {ends.first}, {})
             .value();
  auto b = executor::make(sync.destination, two_buckets::list(sync.to), {},
                          {ends.second})
             .value();
  auto run = [&] {
    for (auto& x : test::in_threads(2, [&](std::size_t i) {
           return (i == 0 ? a : b)->run({run_mode::in_place, true}, ample());
         }))
      BOOST_REQUIRE(x);
  };
  run();
  BOOST_CHECK(a->reports()[0].sum == b->reports()[0].sum);
  auto received = b->bucket_digests(0)[1];
  sync.from[1][500] ^= std::byte{2};
  run();
  BOOST_CHECK(a->reports()[0].sum == b->reports()[0].sum);
  BOOST_CHECK(a->bucket_digests(0)[1] != received);
  BOOST_CHECK(a->bucket_text(0, 1).find("'second'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(programs_that_cannot_be_are_invalid) {
  auto answer = [](std::function<void(program_channel&)> change,
                   executor_options options = {}) {
    two_buckets sync;
    change(sync.source.sends[0]);
    auto fds = comm::shm::make_sockets().value();
    auto other = comm::shm::make_receiver(fds.second).value();
    auto made = executor::make(sync.source, two_buckets::list(sync.from),
                               {comm::shm::make_sender(fds.first).value()}, {},
                               options);
    return made ? errc{} : made.error().code();
  };
  BOOST_CHECK(answer([](auto&) {}) == errc{});
  auto part = [&](auto change) {
    return answer([&](auto& x) { change(x.buckets[1].parts[0]); });
  };
  BOOST_CHECK(part([](auto& x) { x.tensor = 2; }) == errc::invalid);
  BOOST_CHECK(part([](auto& x) { x.wire_begin = 8; }) == errc::invalid);
  BOOST_CHECK(part([](auto& x) { x.wire_begin = ~7ull; }) == errc::invalid);
  BOOST_CHECK(part([](auto& x) { x.wire_bytes = 999; }) == errc::invalid);
  BOOST_CHECK(part([](auto& x) { x.offset_bytes = 1; }) == errc::invalid);
  BOOST_CHECK(part([](auto& x) { x.offset_bytes = ~0ull; }) == errc::invalid);
  BOOST_CHECK(part([](auto& x) {
                x.run_elements = 500;
                x.loops = {{2, 501}};
              })
              == errc::invalid);
  BOOST_CHECK(answer([](auto& x) { x.buckets[0].wire_type = dtype::float32; })
              == errc::invalid);
  BOOST_CHECK(answer([](auto& x) { x.buckets[0].wire_type = dtype{99}; })
              == errc::invalid);
  executor_options tight;
  tight.bytes_in_flight_max = 4096;
  BOOST_CHECK(answer([](auto&) {}, tight) == errc::exhausted);
}

BOOST_AUTO_TEST_SUITE_END()
