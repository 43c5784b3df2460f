// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>

#include "comm/gloo/link_ends.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

// One test searches the memory of the whole process, freed memory as well, and
// a sanitizer takes that for what it is.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#  define TROUPE_TEST_SEARCHES_MEMORY
#endif

namespace {

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

/// The sending end of a link with windows. The test has its hands on what is
/// lent and on what has come back, before the other end or the executor hears.
class tampering_windows final : public comm::link, private comm::window_source {
public:
  /// `staging` is empty unless something was packed.
  using lending = std::function<void(std::size_t lent,
                                     std::span<std::byte> staging)>;
  using returning = std::function<void(std::uint64_t returned)>;

  tampering_windows(comm::link_ptr inner, lending before,
                    returning after = nullptr)
    : inner_(std::move(inner)),
      before_(std::move(before)),
      after_(std::move(after)) {
    // nop
  }

  std::string_view backend() const noexcept override {
    return inner_->backend();
  }

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

  result<void> share(std::shared_ptr<comm::shared_memory> memory) override {
    staging_ = memory;
    return windows().share(std::move(memory));
  }

  std::optional<comm::window>
  locate(std::span<const std::byte> data) const noexcept override {
    return windows().locate(data);
  }

  result<void> lend(std::uint64_t count, deadline until) override {
    if (before_)
      before_(lent_++, staging_ ? staging_->memory() : std::span<std::byte>{});
    return windows().lend(count, until);
  }

  result<std::uint64_t> reclaim(std::uint64_t known, deadline until) override {
    auto done = windows().reclaim(known, until);
    if (done && after_)
      after_(*done);
    return done;
  }

  void withdraw() noexcept override { windows().withdraw(); }

  comm::link_ptr inner_;
  lending before_;
  returning after_;
  std::shared_ptr<comm::shared_memory> staging_;
  std::size_t lent_ = 0;
};

/// Two tensors, `first` and `second`, each in a bucket of its own.
struct two_buckets {
  static constexpr std::size_t size = 1000;

  explicit two_buckets(
    const std::function<buffer(std::size_t)>& allocate = buffer::allocate) {
    program_channel out{rank_id{0}, link_kind::shm, {}};
    for (std::uint32_t i = 0; i < 2; ++i) {
      program_part part;
      part.tensor = i;
      part.key = 40 + i;
      part.wire_bytes = size;
      part.run_elements = size;
      out.buckets.push_back({dtype::uint8, size, {part}});
      from[i] = allocate(size);
      to[i] = buffer::allocate(size);
      std::ranges::fill(to[i].bytes(), std::byte{0});
    }
    source.sends = {out};
    destination.receives = {out};
    for (std::size_t i = 0; i < size; ++i)
      from[0].data()[i] = static_cast<std::byte>(i);
    std::ranges::fill(from[1].bytes(), std::byte{7});
  }

  static std::vector<local_tensor> list(const std::array<buffer, 2>& all) {
    return {{"first", dtype::uint8, all[0].bytes()},
            {"second", dtype::uint8, all[1].bytes()}};
  }

  /// What both ends say to a sync. Commits as the protocol would: if both are
  /// content.
  std::vector<result<void>> run(comm::link_ptr sender, comm::link_ptr receiver,
                                const run_options& options,
                                duration patience = 60s) {
    out = executor::make(source, list(from), {std::move(sender)}, {}).value();
    in = executor::make(destination, list(to), {}, {std::move(receiver)})
           .value();
    auto done = test::in_threads(2, [&](std::size_t i) {
      return (i == 0 ? out : in)->run(options, deadline::after(patience));
    });
    if (done[0] && done[1])
      BOOST_CHECK(in->commit());
    return done;
  }

  bool arrived(std::size_t tensor) const {
    return std::ranges::equal(from[tensor].bytes(), to[tensor].bytes());
  }

  bool untouched(std::size_t tensor) const {
    return std::ranges::all_of(to[tensor].bytes(),
                               [](auto x) { return x == std::byte{0}; });
  }

  /// Where a tensor was packed.
  std::span<std::byte> packed(std::size_t tensor,
                              std::span<std::byte> staging) const {
    auto what = from[tensor].bytes();
    return {std::search(staging.begin(), staging.end(), what.begin(),
                        what.end()),
            size};
  }

  rank_program source;
  rank_program destination;
  std::array<buffer, 2> from;
  std::array<buffer, 2> to;
  std::unique_ptr<executor> out;
  std::unique_ptr<executor> in;
};

/// That `code` stands in the way, and that the text says where.
void check_named(const result<void>& got, std::size_t bucket,
                 errc code = errc::corrupt) {
  BOOST_REQUIRE(!got);
  BOOST_CHECK_MESSAGE(got.error().code() == code, to_string(got.error()));
  const auto& text = got.error().message();
  auto contains = [&](std::string_view part) {
    return text.find(part) != std::string::npos;
  };
  BOOST_CHECK_MESSAGE(contains(bucket == 0 ? "'first'" : "'second'")
                        && contains(bucket == 0 ? "bucket 0" : "bucket 1"),
                      text);
}

using ends = std::pair<comm::link_ptr, comm::link_ptr>;

ends shm_ends(std::vector<std::shared_ptr<comm::shm::arena>> arenas = {}) {
  auto fds = comm::shm::make_sockets().value();
  return {comm::shm::make_sender(fds.first, std::move(arenas)).value(),
          comm::shm::make_receiver(fds.second).value()};
}

const std::vector<std::function<ends()>> streams{comm::inproc::make_link,
                                                 test::make_gloo_ends};

/// A stream of `make` with a hand on what is pushed.
ends tampered(const std::function<ends()>& make, tampering_stream::hand with) {
  auto made = make();
  return {std::make_shared<tampering_stream>(made.first, std::move(with)),
          std::make_shared<tampering_stream>(made.second, nullptr)};
}

#ifdef TROUPE_TEST_SEARCHES_MEMORY
/// Copies of `what` in this process's anonymous memory, but for itself.
std::vector<std::byte*> copies_of(std::span<const std::byte> what) {
  std::vector<std::byte*> out;
  std::ifstream maps{"/proc/self/maps"};
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char rights[5] = {};
    int path = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %*s %n", &begin, &end,
                    rights, &path)
          < 3
        || std::string_view{rights} != "rw-p"
        || static_cast<std::size_t>(path) < line.size()
        // A sanitizer's shadow.
        || end - begin > std::size_t{1} << 30)
      continue;
    auto* at = reinterpret_cast<std::byte*>(begin);
    auto* last = reinterpret_cast<std::byte*>(end);
    for (;;) {
      at = static_cast<std::byte*>(::memmem(at,
                                            static_cast<std::size_t>(last - at),
                                            what.data(), what.size()));
      if (at == nullptr)
        break;
      if (at != what.data())
        out.push_back(at);
      ++at;
    }
  }
  return out;
}
#endif

const auto modes = {run_mode::in_place, run_mode::staged, run_mode::compare};

/// The first push that belongs to a bucket.
constexpr std::size_t first_bucket = 2;

} // namespace

BOOST_AUTO_TEST_SUITE(transfer_corruption)

BOOST_AUTO_TEST_CASE(an_untouched_stream_passes) {
  for (const auto& make : streams)
    for (auto mode : {run_mode::in_place, run_mode::staged}) {
      two_buckets sync;
      auto [sender, receiver] = tampered(make, [](std::size_t, octets x) {
        return std::vector<octets>{std::move(x)};
      });
      auto done = sync.run(sender, receiver, {mode, true});
      BOOST_CHECK(done[0] && done[1]);
      BOOST_CHECK(sync.arrived(0) && sync.arrived(1));
    }
}

BOOST_AUTO_TEST_CASE(untouched_windows_pass) {
  auto home = comm::shm::arena::create(1 << 20).value();
  auto in_arena = [&](std::size_t size) {
    return home->allocate(size).value();
  };
  using allocator = std::function<buffer(std::size_t)>;
  for (auto mode : {run_mode::in_place, run_mode::staged})
    for (const auto& memory :
         {allocator{in_arena}, allocator{buffer::allocate}}) {
      two_buckets sync{memory};
      auto made = shm_ends({home});
      auto sender = std::make_shared<tampering_windows>(made.first, nullptr);
      auto done = sync.run(sender, made.second, {mode, true});
      BOOST_CHECK(done[0] && done[1]);
      BOOST_CHECK(sync.arrived(0) && sync.arrived(1));
    }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_on_the_wire_is_corrupt) {
  for (const auto& make : streams)
    for (auto mode : modes)
      for (std::size_t bucket = 0; bucket < 2; ++bucket) {
        two_buckets sync;
        auto [sender,
              receiver] = tampered(make, [=](std::size_t push, octets x) {
          if (push == first_bucket + bucket)
            x[3] ^= std::byte{16};
          return std::vector<octets>{std::move(x)};
        });
        check_named(sync.run(sender, receiver, {mode, false})[1], bucket);
        if (mode != run_mode::in_place)
          BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
      }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_the_digests_is_corrupt) {
  for (const auto& make : streams) {
    two_buckets sync;
    auto [sender, receiver] = tampered(make, [](std::size_t push, octets x) {
      if (push == first_bucket + 2)
        x[sizeof(digest)] ^= std::byte{1};
      return std::vector<octets>{std::move(x)};
    });
    check_named(sync.run(sender, receiver, {run_mode::staged, false})[1], 1);
    BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
  }
}

BOOST_AUTO_TEST_CASE(swapped_buckets_on_the_wire_are_corrupt) {
  for (const auto& make : streams)
    for (auto mode : modes) {
      two_buckets sync;
      octets kept;
      auto [sender, receiver] = tampered(make, [&](std::size_t push, octets x) {
        if (push == first_bucket) {
          kept = std::move(x);
          return std::vector<octets>{};
        }
        std::vector<octets> out{std::move(x)};
        if (push == first_bucket + 1)
          out.push_back(std::move(kept));
        return out;
      });
      check_named(sync.run(sender, receiver, {mode, false})[1], 0);
      if (mode != run_mode::in_place)
        BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
    }
}

// The second is taken for the first, and then one is missing. Whether that
// shows as another size or as a wait that ends is up to the stream.
BOOST_AUTO_TEST_CASE(a_tensor_dropped_from_the_wire_is_missed) {
  for (const auto& make : streams)
    for (auto mode : modes) {
      two_buckets sync;
      auto [sender, receiver] = tampered(make, [](std::size_t push, octets x) {
        return push == first_bucket ? std::vector<octets>{}
                                    : std::vector<octets>{std::move(x)};
      });
      auto done = sync.run(sender, receiver, {mode, false}, 4s);
      check_named(done[1], 1, done[1] ? errc{} : done[1].error().code());
      if (mode != run_mode::in_place)
        BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
    }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_staging_is_corrupt) {
  for (auto mode : modes)
    for (std::size_t bucket = 0; bucket < 2; ++bucket) {
      two_buckets sync;
      auto [inner, receiver] = shm_ends();
      auto sender = std::make_shared<
        tampering_windows>(inner, [&](std::size_t lent,
                                      std::span<std::byte> staging) {
        if (lent == bucket)
          sync.packed(bucket, staging).back() ^= std::byte{1};
      });
      check_named(sync.run(sender, receiver, {mode, false})[1], bucket);
      if (mode != run_mode::in_place)
        BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
    }
}

BOOST_AUTO_TEST_CASE(a_tensor_dropped_from_staging_is_corrupt) {
  for (auto mode : modes) {
    two_buckets sync;
    auto [inner, receiver] = shm_ends();
    auto sender = std::make_shared<
      tampering_windows>(inner, [&](std::size_t lent,
                                    std::span<std::byte> staging) {
      if (lent == 1)
        std::ranges::fill(sync.packed(1, staging), std::byte{0});
    });
    check_named(sync.run(sender, receiver, {mode, false})[1], 1);
  }
}

// With its digest, as a whole: only the keys tell.
BOOST_AUTO_TEST_CASE(another_bucket_in_staging_is_corrupt) {
  for (auto mode : modes) {
    two_buckets sync;
    auto [inner, receiver] = shm_ends();
    octets first;
    auto sender = std::make_shared<
      tampering_windows>(inner,
                         [&](std::size_t lent, std::span<std::byte> staging) {
                           std::span whole{sync.packed(lent, staging).data(),
                                           two_buckets::size + sizeof(digest)};
                           if (lent == 0)
                             first.assign(whole.begin(), whole.end());
                           else
                             std::ranges::copy(first, whole.begin());
                         });
    check_named(sync.run(sender, receiver, {mode, false})[1], 1);
  }
}

// Where the receiver reads the source's own tensors there is nothing between
// to corrupt; that nobody wrote them meanwhile is what the source's digest
// tells, which is taken when all has been read.
BOOST_AUTO_TEST_CASE(a_source_written_to_while_it_is_read_has_another_digest) {
  auto home = comm::shm::arena::create(1 << 20).value();
  auto in_arena = [&](std::size_t size) {
    return home->allocate(size).value();
  };
  auto links = {std::function<ends()>{comm::inproc::make_link},
                std::function<ends()>{[&] { return shm_ends({home}); }}};
  for (const auto& make : links)
    for (std::size_t bucket = 0; bucket < 2; ++bucket) {
      two_buckets sync{in_arena};
      auto made = make();
      auto& written = sync.from[bucket].data()[500];
      auto sender = std::make_shared<
        tampering_windows>(made.first, nullptr, [&](std::uint64_t returned) {
        if (returned == 2)
          written ^= std::byte{2};
      });
      auto done = sync.run(sender, made.second, {run_mode::staged, true});
      BOOST_REQUIRE(done[0] && done[1]);
      BOOST_CHECK(sync.out->reports()[0].digested);
      BOOST_CHECK(sync.out->reports()[0].sum != sync.in->reports()[0].sum);
      for (std::size_t b = 0; b < 2; ++b)
        BOOST_CHECK_EQUAL(sync.out->bucket_digests(0)[b]
                            == sync.in->bucket_digests(0)[b],
                          b != bucket);
      check_named(fail(errc::corrupt, sync.in->bucket_text(0, bucket)), bucket);
    }
}

BOOST_AUTO_TEST_CASE(a_source_written_to_while_it_is_packed_is_corrupt) {
  for (std::size_t bucket = 0; bucket < 2; ++bucket) {
    two_buckets sync;
    auto [inner, receiver] = shm_ends();
    auto sender = std::make_shared<
      tampering_windows>(inner, [&](std::size_t lent, std::span<std::byte>) {
      if (lent == 1)
        sync.from[bucket].data()[500] ^= std::byte{2};
    });
    check_named(sync.run(sender, receiver, {run_mode::staged, true})[0],
                bucket);
    BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
  }
}

BOOST_AUTO_TEST_CASE(a_source_written_to_while_it_is_pushed_is_corrupt) {
  for (const auto& make : streams) {
    two_buckets sync;
    auto [sender, receiver] = tampered(make, [&](std::size_t push, octets x) {
      // Packed long ago: its digest has been sent with the others.
      if (push == first_bucket + 2)
        sync.from[0].data()[500] ^= std::byte{2};
      return std::vector<octets>{std::move(x)};
    });
    check_named(sync.run(sender, receiver, {run_mode::staged, true})[0], 0);
    BOOST_CHECK(sync.untouched(0) && sync.untouched(1));
  }
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

#ifdef TROUPE_TEST_SEARCHES_MEMORY
BOOST_AUTO_TEST_CASE(what_changes_between_staging_and_commit_is_named) {
  two_buckets sync;
  auto link = comm::inproc::make_link();
  sync.out = executor::make(sync.source, two_buckets::list(sync.from),
                            {link.first}, {})
               .value();
  sync.in = executor::make(sync.destination, two_buckets::list(sync.to), {},
                           {link.second})
              .value();
  auto done = test::in_threads(2, [&](std::size_t i) {
    return (i == 0 ? sync.out : sync.in)
      ->run({run_mode::staged, false}, deadline::after(60s));
  });
  BOOST_REQUIRE(done[0] && done[1]);
  auto copies = copies_of(sync.from[0].bytes());
  BOOST_REQUIRE(!copies.empty());
  for (auto* x : copies)
    x[500] ^= std::byte{1};
  check_named(sync.in->commit(), 0);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
