// SPDX-License-Identifier: Apache-2.0
#include "comm/transfer/executor_conformance.hpp"

#include <algorithm>
#include <chrono>
#include <latch>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "support/rank_threads.hpp"

using namespace std::literals;

namespace troupe::test::conformance {

using namespace comm::transfer;

namespace {

constexpr auto at_once = 10s;

deadline ample() {
  return deadline::after(60s);
}

struct seeded {
  seeded() : seed(std::random_device{}()), random(seed) {
    BOOST_TEST_MESSAGE("seed " << seed);
  }

  unsigned seed;
  std::mt19937_64 random;
};

void require_all(const std::vector<result<void>>& all) {
  for (const auto& x : all)
    BOOST_REQUIRE_MESSAGE(x, (x ? "" : to_string(x.error())));
}

void require_held(const sync_sample& sample,
                  const std::vector<std::vector<std::vector<std::byte>>>& all) {
  for (std::size_t d = 0; d < all.size(); ++d)
    BOOST_REQUIRE(sample.held(d) == all[d]);
}

auto all_expected(const sync_sample& sample) {
  std::vector<std::vector<std::vector<std::byte>>> out;
  for (std::size_t d = 0; d < sample.destinations.size(); ++d)
    out.push_back(sample.expected(d));
  return out;
}

/// Both ends of every channel report the plan's bytes and one digest.
void require_reports(const sync_sample& sample, const sample_group& group,
                     bool source_digests) {
  for (std::size_t s = 0; s < group.sources.size(); ++s)
    for (std::size_t d = 0; d < group.destinations.size(); ++d) {
      const auto& sent = group.sources[s]->reports()[d];
      const auto& got = group.destinations[d]->reports()[s];
      BOOST_REQUIRE_EQUAL(sent.bytes, sample.bytes(s, d));
      BOOST_REQUIRE_EQUAL(got.bytes, sent.bytes);
      BOOST_REQUIRE(got.digested);
      BOOST_REQUIRE(sent.digested || !source_digests);
      if (sent.digested)
        BOOST_REQUIRE(sent.sum == got.sum);
      BOOST_REQUIRE(!got.first_difference);
    }
}

void flip(const sync_memory& memory, std::byte& where) {
  std::byte value{};
  memory.get({&value, 1}, &where);
  value ^= std::byte{4};
  memory.put(&where, {&value, 1});
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

void every_element_arrives(const backend_maker& make) {
  seeded rnd;
  for (auto elements : {1u, 300u, 20000u, 150000u}) {
    auto backend = make();
    sample_options options;
    options.sources = elements > 100000 ? 1 : 2;
    options.destinations = elements > 100000 ? 1 : 2;
    options.elements_max = elements;
    sync_sample sample{rnd.random, options, backend.memory};
    sample_group group{sample, backend};
    for (int round = 0; round < 2; ++round) {
      sample.refill(rnd.random);
      auto expected = all_expected(sample);
      auto digests = round == 1;
      require_all(group.run({run_mode::in_place, digests}, ample()));
      require_held(sample, expected);
      require_reports(sample, group, digests);
    }
    require_all(group.run({run_mode::compare, true}, ample()));
    require_reports(sample, group, true);
  }
}

void staged_is_seen_after_the_commit(const backend_maker& make) {
  seeded rnd;
  auto backend = make();
  sample_options options;
  options.sources = 2;
  options.destinations = 2;
  options.elements_max = 30000;
  sync_sample sample{rnd.random, options, backend.memory};
  sample_group group{sample, backend};
  for (auto commits : {true, false, true}) {
    sample.refill(rnd.random);
    std::vector<std::vector<std::vector<std::byte>>> before;
    for (std::size_t d = 0; d < 2; ++d)
      before.push_back(sample.held(d));
    auto expected = all_expected(sample);
    require_all(group.run({run_mode::staged, true}, ample()));
    require_held(sample, before);
    require_reports(sample, group, true);
    // What was staged is ours: the source may go on.
    sample.refill(rnd.random);
    for (auto& x : group.destinations) {
      BOOST_CHECK(x->holds_staged());
      if (!commits)
        x->discard();
      BOOST_CHECK(x->commit());
      BOOST_CHECK(!x->holds_staged());
    }
    require_held(sample, commits ? expected : before);
  }
  if (group.destinations[0]->staged_bytes() == 0)
    return;
  executor_options tight;
  tight.staged_bytes_max = group.destinations[0]->staged_bytes() - 1;
  sample_group poor{sample, make(), tight};
  auto codes = poor.run({run_mode::staged, false}, deadline::after(5s));
  BOOST_REQUIRE(!codes[2]);
  BOOST_CHECK(codes[2].error().code() == errc::exhausted);
}

void comparing_names_tensor_element_and_values(const backend_maker& make) {
  seeded rnd;
  auto backend = make();
  sample_options options;
  options.elements_max = 5000;
  options.whole = true;
  sync_sample sample{rnd.random, options, backend.memory};
  sample_group group{sample, backend};
  require_all(group.run({run_mode::in_place, false}, ample()));
  for (int round = 0; round < 5; ++round) {
    auto& rank = sample.destinations[0];
    auto tensor = rnd.random() % rank.tensors.size();
    auto& where = rank.tensors[tensor];
    if (where.memory.empty())
      continue;
    auto byte = rnd.random() % where.memory.size();
    flip(sample.memory(), where.memory[byte]);
    auto changed = sample.held(0);
    require_all(group.run({run_mode::compare, false}, ample()));
    BOOST_CHECK(sample.held(0) == changed);
    auto found = group.destinations[0]->reports()[0].first_difference;
    BOOST_REQUIRE(found);
    BOOST_CHECK_EQUAL(found->tensor, tensor);
    BOOST_CHECK_EQUAL(found->name, where.name);
    BOOST_CHECK_EQUAL(found->element, byte / size_of(where.type));
    BOOST_CHECK_NE(found->here, found->there);
    BOOST_CHECK(contains(to_string(*found), where.name));
    flip(sample.memory(), where.memory[byte]);
  }
}

void ranks_cross_in_any_order(const backend_maker& make) {
  seeded rnd;
  for (auto ranks : {std::pair{3u, 4u}, std::pair{4u, 3u}}) {
    auto backend = make();
    sample_options options;
    options.sources = ranks.first;
    options.destinations = ranks.second;
    options.buckets = 5;
    options.elements_max = 3000;
    sync_sample sample{rnd.random, options, backend.memory};
    sample_group group{sample, backend};
    for (int round = 0; round < 4; ++round) {
      sample.refill(rnd.random);
      auto expected = all_expected(sample);
      require_all(group.run({run_mode::in_place, false}, ample()));
      require_held(sample, expected);
    }
  }
}

void an_absent_peer_meets_the_deadline(const backend_maker& make) {
  seeded rnd;
  for (auto opened : {false, true})
    for (auto sending : {true, false}) {
      auto backend = make();
      sync_sample sample{rnd.random, {}, backend.memory};
      sample_group group{sample, backend};
      if (opened)
        require_all(group.run({}, ample()));
      auto& waiting = sending ? *group.sources[0] : *group.destinations[0];
      auto start = std::chrono::steady_clock::now();
      // Room for what comes before the wait for the peer: a first run makes
      // what it needs, and on a device each begins in a thread of its own.
      auto done = waiting.run({}, deadline::after(1s));
      // A stream may have taken all of a small sync.
      if (sending && done)
        continue;
      BOOST_REQUIRE(!done);
      BOOST_CHECK_MESSAGE(done.error().code() == errc::timed_out,
                          to_string(done.error()));
      BOOST_CHECK_MESSAGE(contains(done.error().message(), "rank 0"),
                          done.error().message());
      BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
      auto& other = sending ? *group.destinations[0] : *group.sources[0];
      auto late = other.run({}, ample());
      BOOST_REQUIRE(!late);
      BOOST_CHECK_MESSAGE(late.error().code() == errc::lost,
                          to_string(late.error()));
      BOOST_CHECK(waiting.run({}, ample()).error() == done.error());
    }
}

void abort_ends_both_runs(const backend_maker& make) {
  seeded rnd;
  for (auto aborts_source : {true, false}) {
    auto backend = make();
    sample_options options;
    options.elements_max = 500000;
    sync_sample sample{rnd.random, options, backend.memory};
    sample_group group{sample, backend};
    auto start = std::chrono::steady_clock::now();
    std::latch inside{3};
    auto& source = *group.sources[0];
    auto& destination = *group.destinations[0];
    auto codes = in_threads(3, [&](std::size_t thread) {
      inside.arrive_and_wait();
      if (thread == 2) {
        (aborts_source ? source : destination).abort();
        return errc{};
      }
      for (;;) {
        auto done = (thread == 0 ? source : destination).run({}, ample());
        if (!done)
          return done.error().code();
      }
    });
    BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
    BOOST_CHECK(codes[aborts_source ? 0 : 1] == errc::aborted);
    BOOST_CHECK(codes[aborts_source ? 1 : 0] == errc::lost);
  }
}

void a_dropped_peer_is_lost(const backend_maker& make) {
  seeded rnd;
  for (auto drops_source : {true, false}) {
    auto backend = make();
    sample_options options;
    options.elements_max = 100000;
    sync_sample sample{rnd.random, options, backend.memory};
    sample_group group{sample, backend};
    require_all(group.run({}, ample()));
    (drops_source ? group.sources : group.destinations)[0].reset();
    auto& left = drops_source ? *group.destinations[0] : *group.sources[0];
    auto done = left.run({}, ample());
    if (done)
      done = left.run({}, ample());
    BOOST_REQUIRE(!done);
    BOOST_CHECK_MESSAGE(done.error().code() == errc::lost,
                        to_string(done.error()));
  }
}

void other_parts_are_named_before_anything_moves(const backend_maker& make) {
  seeded rnd;
  auto backend = make();
  sample_options options;
  options.parts = 6;
  sync_sample sample{rnd.random, options, backend.memory};
  // The source has lost its last tensor.
  auto& bucket = sample.sources[0].program.sends[0].buckets.back();
  auto lost = sample.destinations[0]
                .tensors[sample.destinations[0]
                           .program.receives[0]
                           .buckets.back()
                           .parts.back()
                           .tensor]
                .name;
  bucket.parts.pop_back();
  auto before = sample.held(0);
  sample_group group{sample, backend};
  auto codes = group.run({}, ample());
  BOOST_REQUIRE(!codes[1]);
  BOOST_CHECK(codes[1].error().code() == errc::invalid);
  BOOST_CHECK_MESSAGE(contains(codes[1].error().message(), lost),
                      codes[1].error().message());
  BOOST_CHECK(sample.held(0) == before);
}

void swapped_buckets_are_named_before_anything_moves(
  const backend_maker& make) {
  seeded rnd;
  auto backend = make();
  sample_options options;
  options.elements_max = 200;
  sync_sample sample{rnd.random, options, backend.memory};
  while (sample.sources[0].program.sends[0].buckets.size() < 2)
    sample = {rnd.random, options, backend.memory};
  auto& buckets = sample.sources[0].program.sends[0].buckets;
  std::swap(buckets[0], buckets[1]);
  auto before = sample.held(0);
  sample_group group{sample, backend};
  auto codes = group.run({}, ample());
  BOOST_REQUIRE(!codes[1]);
  BOOST_CHECK(codes[1].error().code() == errc::invalid);
  const auto& first = sample.destinations[0].tensors[0].name;
  BOOST_CHECK_MESSAGE(contains(codes[1].error().message(), "'" + first + "'"),
                      codes[1].error().message());
  BOOST_CHECK(sample.held(0) == before);
}

void progress_tells_where_it_stands(const backend_maker& make) {
  seeded rnd;
  auto backend = make();
  sync_sample sample{rnd.random, {}, backend.memory};
  sample_group group{sample, backend};
  require_all(group.run({}, ample()));
  auto before = group.destinations[0]->progress();
  BOOST_REQUIRE_EQUAL(before.size(), 1u);
  BOOST_CHECK(before[0].phase == channel_phase::done);
  BOOST_CHECK_EQUAL(before[0].bytes_done, before[0].bytes);
  std::thread stuck{[&] { (void) group.destinations[0]->run({}, ample()); }};
  channel_progress seen;
  auto until = ample();
  while (seen.phase != channel_phase::waiting && !until.passed())
    seen = group.destinations[0]->progress()[0];
  group.destinations[0]->abort();
  stuck.join();
  BOOST_CHECK_EQUAL(seen.bucket, 0u);
  BOOST_REQUIRE(!seen.tensors.empty());
  auto text = to_string(seen, steady_clock().now());
  BOOST_CHECK_MESSAGE(contains(text, "receive from rank 0")
                        && contains(text, "'" + seen.tensors[0] + "'"),
                      text);
}

} // namespace troupe::test::conformance
