// SPDX-License-Identifier: Apache-2.0
// Ranks that send and receive in the same run. What the one side of an executor
// puts on a device may wait for the peer; neither side may wait for all that is
// on the device once the other has begun, or ranks wait in a circle.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "comm/devices/stand_in_beds.hpp"
#include "support/random_seed.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

using engines_ptr = std::shared_ptr<const copy_engine_maker>;

/// Rank 0 with `first`, rank 1 with `second`: each sends to the other.
struct two_ranks {
  two_ranks(std::mt19937_64& random, const test::device_bed& bed,
            const engines_ptr& first, const engines_ptr& second)
    : there(random, {}, test::memory_of(bed.source, bed.destination)),
      back(random, {}, test::memory_of(bed.destination, bed.source)) {
    auto way = bed.make_link();
    auto way_back = bed.make_link();
    // Either end of those over a communicator can send.
    if (bed.kind == link_kind::nccl)
      std::swap(way_back.first, way_back.second);
    ranks.push_back(make(there.sources[0], way.first, back.destinations[0],
                         way_back.second, bed.kind, first));
    ranks.push_back(make(back.sources[0], way_back.first, there.destinations[0],
                         way.second, bed.kind, second));
  }

  static std::unique_ptr<executor> make(const test::sample_rank& source,
                                        comm::link_ptr out,
                                        const test::sample_rank& destination,
                                        comm::link_ptr in, link_kind kind,
                                        const engines_ptr& engines) {
    auto program = source.program;
    auto tensors = source.tensors;
    auto offset = static_cast<std::uint32_t>(tensors.size());
    program.receives = destination.program.receives;
    for (auto& bucket : program.receives[0].buckets)
      for (auto& part : bucket.parts)
        part.tensor += offset;
    tensors.insert(tensors.end(), destination.tensors.begin(),
                   destination.tensors.end());
    program.sends[0].link = program.receives[0].link = kind;
    executor_options options;
    options.engines = engines;
    return executor::make(program, tensors, {std::move(out)}, {std::move(in)},
                          options)
      .value();
  }

  void run(std::mt19937_64& random) {
    there.refill(random);
    back.refill(random);
    auto expected = std::pair{there.expected(0), back.expected(0)};
    auto done = test::in_threads(2, [&](std::size_t rank) {
      return ranks[rank]->run({}, deadline::after(60s));
    });
    for (const auto& x : done)
      BOOST_REQUIRE_MESSAGE(x, (x ? "" : to_string(x.error())));
    BOOST_CHECK(there.held(0) == expected.first);
    BOOST_CHECK(back.held(0) == expected.second);
  }

  test::sync_sample there;
  test::sync_sample back;
  std::vector<std::unique_ptr<executor>> ranks;
};

/// What the engines of an executor have done.
struct engine_log {
  std::mutex mutex;
  std::condition_variable changed;
  bool copied = false;
  /// A side was told to wait for all when the other had begun.
  std::atomic<bool> settled_late = false;
};

/// The engine of this process's memory, which says when it begins. Slow to
/// settle: if the other side goes on meanwhile, it does so now.
class watched_engine final : public copy_engine {
public:
  watched_engine(std::shared_ptr<engine_log> log, bool slow)
    : log_(std::move(log)),
      slow_(slow) {
    // nop
  }

  bool deferred() const noexcept override { return inner_->deferred(); }

  result<buffer> allocate(std::uint64_t bytes) override {
    return inner_->allocate(bytes);
  }

  result<std::shared_ptr<comm::shared_memory>>
  allocate_shared(std::uint64_t bytes) override {
    return inner_->allocate_shared(bytes);
  }

  void prefault_write(std::span<std::byte> memory) noexcept override {
    inner_->prefault_write(memory);
  }

  void prefault_read(std::span<const std::byte> memory) noexcept override {
    inner_->prefault_read(memory);
  }

  result<void> warm_up(const copy_load& most, deadline until) override {
    return inner_->warm_up(most, until);
  }

  result<void> settle(deadline until) override {
    std::unique_lock lock{log_->mutex};
    if (slow_)
      log_->changed.wait_for(lock, 200ms, [&] { return log_->copied; });
    if (log_->copied)
      log_->settled_late = true;
    return inner_->settle(until);
  }

  result<void> copy(std::span<const keyed_copy> what, dtype wire_type,
                    digesting digests, digest& sum, deadline until) override {
    {
      std::unique_lock lock{log_->mutex};
      log_->copied = true;
      log_->changed.notify_all();
    }
    return inner_->copy(what, wire_type, digests, sum, until);
  }

  result<void> digest_regions(std::span<const keyed_region> what,
                              dtype wire_type, digest& sum,
                              deadline until) override {
    return inner_->digest_regions(what, wire_type, sum, until);
  }

  result<void> finish(deadline until) override { return inner_->finish(until); }

  void drop() noexcept override { inner_->drop(); }

  result<std::optional<region_difference>>
  compare(const region& here, const region& there, dtype wire_type,
          std::uint64_t key, digesting digests, digest& sum,
          deadline until) override {
    return inner_->compare(here, there, wire_type, key, digests, sum, until);
  }

  result<void> put(std::byte* to, std::span<const std::byte> from,
                   deadline until) override {
    return inner_->put(to, from, until);
  }

  result<void> get(std::span<std::byte> to, const std::byte* from,
                   deadline until) override {
    return inner_->get(to, from, until);
  }

private:
  std::unique_ptr<copy_engine> inner_ = make_host_engine();
  std::shared_ptr<engine_log> log_;
  bool slow_;
};

/// First the sending side's, then the receiving side's.
class watched_engines final : public copy_engine_maker {
public:
  explicit watched_engines(std::shared_ptr<engine_log> log)
    : log_(std::move(log)) {
    // nop
  }

  result<std::unique_ptr<copy_engine>> make() const override {
    return std::make_unique<watched_engine>(log_, made_++ % 2 == 1);
  }

private:
  std::shared_ptr<engine_log> log_;
  mutable std::size_t made_ = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(devices_both_ways)

BOOST_AUTO_TEST_CASE(both_sides_settle_before_either_begins) {
  std::mt19937_64 random{test::random_seed()};
  test::device_bed host;
  // Packed and pushed, so that the sending side copies too.
  host.kind = link_kind::gloo;
  host.make_link = [] {
    return test::link_over(comm::inproc::make_group(2), "stream");
  };
  auto log = std::make_shared<engine_log>();
  two_ranks all{random, host, std::make_shared<watched_engines>(log), nullptr};
  all.run(random);
  BOOST_CHECK(log->copied);
  BOOST_CHECK(!log->settled_late);
}

// Where NCCL's kernels run side by side: the two ways are launched in any order.
BOOST_AUTO_TEST_CASE(two_ranks_over_nccl_do_not_wait_in_a_circle) {
  std::mt19937_64 random{test::random_seed()};
  auto devices = std::make_shared<test::stand_in_devices>(2, true);
  {
    auto bed = test::nccl_bed(devices);
    two_ranks all{random, bed, bed.source.engines(), bed.destination.engines()};
    for (int round = 0; round < 5; ++round)
      all.run(random);
  }
  test::check_clean(*devices);
}

BOOST_AUTO_TEST_CASE(two_ranks_on_one_device_do_not_wait_in_a_circle) {
  std::mt19937_64 random{test::random_seed()};
  auto devices = std::make_shared<test::stand_in_devices>();
  {
    auto bed = test::cuda_bed(devices);
    two_ranks all{random, bed, bed.source.engines(), bed.source.engines()};
    for (int round = 0; round < 5; ++round)
      all.run(random);
  }
  test::check_clean(*devices);
}

BOOST_AUTO_TEST_SUITE_END()
