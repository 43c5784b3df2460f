// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/copy_engine.hpp"

#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "comm/cuda/engine_bed.hpp"
#include "support/cuda/host_kernel.hpp"
#include "support/cuda/stand_in_runtime.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using namespace troupe::test;

namespace {

struct fixture : engine_bed {
  /// Each call is a launch unless `launch_bytes` is more.
  explicit fixture(duration patience = std::chrono::seconds{10},
                   std::uint64_t launch_bytes = 0)
    : fixture(std::make_shared<stand_in_runtime>(), {patience, launch_bytes}) {
    // nop
  }

  fixture(const std::shared_ptr<stand_in_runtime>& runtime,
          const device_engine_options& options)
    : engine_bed(take(device_engine_maker{runtime, 0, options}.make())),
      api(runtime) {
    api->execute_with(host_kernel);
  }

  /// Nothing was done without its due order, and nothing is left.
  void check_clean() {
    engine.reset();
    for (const auto& x : api->finish())
      BOOST_ERROR(x);
  }

  std::shared_ptr<stand_in_runtime> api;
};

/// Gathers up to 64 MiB, as engines do if not told otherwise.
struct gathering : fixture {
  gathering()
    : fixture(std::chrono::seconds{10}, device_engine_options{}.launch_bytes) {
    // nop
  }

  std::size_t launches() const { return api->calls("launch"); }
};

struct impatient : fixture {
  impatient() : fixture(std::chrono::milliseconds{100}) {
    // nop
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cuda_copy_engine, fixture)

BOOST_AUTO_TEST_CASE(buckets_are_as_the_host_makes_them) {
  check_buckets();
  check_clean();
}

BOOST_FIXTURE_TEST_CASE(gathered_buckets_are_as_the_host_makes_them,
                        gathering) {
  check_buckets();
  check_clean();
}

// Buckets of one kind are one launch, whatever sums they go to.
BOOST_FIXTURE_TEST_CASE(calls_of_a_kind_are_one_launch, gathering) {
  auto bucket = make_bucket(dtype::bfloat16, 3);
  ok(engine->finish(soon()));
  auto before = launches();
  std::vector<digest> sums(20);
  digest expected;
  for (auto& x : sums) {
    expected = {};
    copy(bucket, dtype::bfloat16, digesting::on, x, expected);
  }
  BOOST_CHECK_EQUAL(launches(), before);
  ok(engine->finish(soon()));
  BOOST_CHECK_EQUAL(launches(), before + 1);
  for (const auto& x : sums)
    BOOST_REQUIRE_EQUAL(to_string(x), to_string(expected));
  // Another type on the wire, no digest, no writing: another launch each.
  digest sum;
  std::vector<transfer::keyed_region> looks{{bucket[0].from.there(), 1}};
  before = launches();
  copy(bucket, dtype::bfloat16, digesting::on, sum, expected);
  copy(bucket, dtype::float32, digesting::on, sum, expected);
  copy(bucket, dtype::float32, digesting::off, sum, expected);
  ok(engine->digest_regions(looks, dtype::float32, sum, soon()));
  BOOST_CHECK_EQUAL(launches(), before + 3);
  ok(engine->finish(soon()));
  BOOST_CHECK_EQUAL(launches(), before + 4);
  bucket.clear();
  check_clean();
}

BOOST_FIXTURE_TEST_CASE(a_launch_has_its_limits, gathering) {
  // By what it moves: 16 MiB a call.
  std::vector<one_copy> bucket(1);
  bucket[0].to.device = take(engine->allocate(16 * mib));
  bucket[0].from.device = take(engine->allocate(16 * mib));
  std::vector<transfer::keyed_copy> large{
    {transfer::dense(bucket[0].to.device.data(), dtype::uint8, 16 * mib),
     transfer::dense(static_cast<const std::byte*>(
                       bucket[0].from.device.data()),
                     dtype::uint8, 16 * mib),
     1}};
  api->execute_with([](const copy_launch&) {});
  auto before = launches();
  digest sum;
  for (int i = 0; i < 4; ++i) {
    BOOST_CHECK_EQUAL(launches(), before);
    ok(engine->copy(large, dtype::uint8, digesting::off, sum, soon()));
  }
  BOOST_CHECK_EQUAL(launches(), before + 1);
  // By its tables: 128 KiB.
  std::vector<transfer::keyed_copy>
    small(200, {transfer::dense(bucket[0].to.device.data(), dtype::uint8, 1),
                transfer::dense(static_cast<const std::byte*>(
                                  bucket[0].from.device.data()),
                                dtype::uint8, 1),
                1});
  for (int i = 0; i < 10; ++i)
    ok(engine->copy(small, dtype::uint8, digesting::off, sum, soon()));
  auto launched = launches() - before - 1;
  BOOST_CHECK_GE(launched, 1u);
  BOOST_CHECK_LT(launched, 5u);
  ok(engine->finish(soon()));
  bucket.clear();
  check_clean();
}

BOOST_FIXTURE_TEST_CASE(what_is_dropped_is_not_done, gathering) {
  auto bucket = make_bucket(dtype::float32, 2);
  ok(engine->finish(soon()));
  auto before = launches();
  digest sum;
  std::vector<transfer::keyed_copy> what{
    {bucket[0].to.there(), bucket[0].from.there(), 1}};
  ok(engine->copy(what, dtype::float32, digesting::on, sum, soon()));
  engine->drop();
  ok(engine->finish(soon()));
  BOOST_CHECK_EQUAL(launches(), before);
  BOOST_CHECK(sum == digest{});
  for (auto& x : bucket)
    check(x.to);
  // The next one is whole.
  digest expected;
  copy(bucket, dtype::float32, digesting::on, sum, expected);
  ok(engine->finish(soon()));
  BOOST_CHECK_EQUAL(to_string(sum), to_string(expected));
  for (auto& x : bucket)
    check(x.to);
  bucket.clear();
  check_clean();
}

BOOST_AUTO_TEST_CASE(integers_are_copied_as_they_are) {
  for (auto type : {dtype::uint8, dtype::boolean, dtype::int32, dtype::int64}) {
    auto elements = rnd.size();
    std::vector<one_copy> bucket(1);
    bucket[0].to = make(type, elements);
    bucket[0].from = make(type, elements);
    digest sum;
    digest expected;
    copy(bucket, type, digesting::on, sum, expected);
    ok(engine->finish(soon()));
    BOOST_CHECK_EQUAL(to_string(sum), to_string(expected));
    check(bucket[0].to);
    bucket.clear();
  }
  check_clean();
}

BOOST_AUTO_TEST_CASE(digests_alone_write_nothing) {
  auto wire = rnd.floating();
  auto bucket = make_bucket(wire, 5);
  std::vector<transfer::keyed_region> there;
  std::vector<transfer::keyed_region> here;
  for (auto& x : bucket) {
    there.push_back({x.from.there(), x.key});
    here.push_back({x.from.here(), x.key});
  }
  digest sum;
  digest expected;
  ok(engine->digest_regions(there, wire, sum, soon()));
  ok(engine->finish(soon()));
  ok(host->digest_regions(here, wire, expected, soon()));
  BOOST_CHECK_EQUAL(to_string(sum), to_string(expected));
  for (const auto& x : bucket)
    check(x.from);
  bucket.clear();
  check_clean();
}

// More launches and sums than the engine has room for at a time.
BOOST_AUTO_TEST_CASE(many_launches_share_few_slots) {
  auto bucket = make_bucket(dtype::bfloat16, 2);
  std::vector<digest> sums(600);
  digest expected;
  for (auto& x : sums) {
    expected = {};
    copy(bucket, dtype::bfloat16, digesting::on, x, expected);
  }
  ok(engine->finish(soon()));
  for (const auto& x : sums)
    BOOST_REQUIRE_EQUAL(to_string(x), to_string(expected));
  BOOST_CHECK_LT(api->calls("allocate_pinned"), 80u);
  for (auto& x : bucket)
    check(x.to);
  bucket.clear();
  check_clean();
}

BOOST_AUTO_TEST_CASE(nothing_to_copy_launches_nothing) {
  digest sum;
  ok(engine->copy({}, dtype::float32, digesting::on, sum, soon()));
  ok(engine->digest_regions({}, dtype::float32, sum, soon()));
  ok(engine->finish(soon()));
  BOOST_CHECK_EQUAL(api->calls("launch"), 0u);
  BOOST_CHECK(sum == digest{});
  BOOST_CHECK(take(engine->allocate(0)).empty());
  check_clean();
}

BOOST_AUTO_TEST_CASE(comparing_finds_what_the_host_finds) {
  // The last needs several rounds.
  for (std::uint64_t elements : {1u, 7u, 2520u, 36288u, 1500000u})
    for (auto digests : {digesting::off, digesting::on}) {
      auto wire = elements > 100000 ? dtype::float32 : rnd.floating();
      std::vector<one_copy> bucket(1);
      bucket[0].to = make(wire, elements);
      bucket[0].from = make(rnd.floating(), elements);
      digest none;
      copy(bucket, wire, digesting::off, none, none);
      auto& to = bucket[0].to;
      auto& from = bucket[0].from;
      auto key = bucket[0].key;
      auto look = [&] {
        digest sum;
        digest expected;
        auto found = take(engine->compare(to.there(), from.there(), wire, key,
                                          digests, sum, soon()));
        auto wanted = take(host->compare(to.here(), from.here(), wire, key,
                                         digests, expected, soon()));
        BOOST_REQUIRE_EQUAL(found.has_value(), wanted.has_value());
        BOOST_CHECK_EQUAL(to_string(sum), to_string(expected));
        if (!found)
          return false;
        BOOST_CHECK_EQUAL(found->element, wanted->element);
        BOOST_CHECK_EQUAL(found->here, wanted->here);
        BOOST_CHECK_EQUAL(found->there, wanted->there);
        return true;
      };
      BOOST_CHECK(!look());
      auto at = to.shape.begin
                + transfer::region_offset(rnd.below(elements), to.shape.run,
                                          to.shape.loops, wire);
      to.host[at] ^= std::byte{1};
      ok(engine->put(to.device.data() + at, std::span{to.host}.subspan(at, 1),
                     soon()));
      BOOST_CHECK(look());
      check(to);
    }
  check_clean();
}

BOOST_AUTO_TEST_CASE(memory_says_where_it_lies) {
  auto memory = take(engine->allocate(1000));
  BOOST_CHECK_EQUAL(memory.size(), 1000u);
  BOOST_CHECK(memory.device().type == device_kind::cuda);
  BOOST_CHECK_EQUAL(memory.device().id, 0);
  auto shared = take(engine->allocate_shared(1000));
  BOOST_CHECK_GE(shared->memory().size(), 1000u);
  BOOST_CHECK(!shared->name().empty());
  auto bytes = rnd.memory(1000);
  ok(engine->put(shared->memory().data(), bytes, soon()));
  octets back(1000);
  ok(engine->get(back, shared->memory().data(), soon()));
  BOOST_CHECK(back == bytes);
  memory = {};
  shared = nullptr;
  check_clean();
}

BOOST_AUTO_TEST_CASE(too_little_memory_is_exhausted) {
  api->out_of_memory_above(std::uint64_t{1} << 20);
  auto memory = engine->allocate(std::uint64_t{2} << 20);
  BOOST_REQUIRE(!memory);
  BOOST_CHECK(memory.error().code() == errc::exhausted);
  // The engine's own tables.
  auto bucket = make_bucket(dtype::float32, 1);
  api->out_of_memory_above(0);
  digest sum;
  std::vector<transfer::keyed_copy> what{
    {bucket[0].to.there(), bucket[0].from.there(), 1}};
  auto done = engine->copy(what, dtype::float32, digesting::on, sum, soon());
  BOOST_REQUIRE(!done);
  BOOST_CHECK(done.error().code() == errc::exhausted);
  ok(engine->finish(soon()));
  BOOST_CHECK(sum == digest{});
  bucket.clear();
  check_clean();
}

BOOST_AUTO_TEST_CASE(a_launch_that_is_refused_says_so) {
  auto bucket = make_bucket(dtype::float32, 1);
  api->fail_next("launch", codes::invalid_value);
  digest sum;
  std::vector<transfer::keyed_copy> what{
    {bucket[0].to.there(), bucket[0].from.there(), 1}};
  auto done = engine->copy(what, dtype::float32, digesting::on, sum, soon());
  BOOST_REQUIRE(!done);
  BOOST_CHECK(done.error().code() == errc::failed);
  bucket.clear();
  check_clean();
}

BOOST_AUTO_TEST_CASE(an_error_on_the_device_ends_the_wait) {
  auto bucket = make_bucket(dtype::float32, 2);
  ok(engine->finish(soon()));
  api->fail_async(codes::illegal_address);
  digest sum;
  std::vector<transfer::keyed_copy> what{
    {bucket[0].to.there(), bucket[0].from.there(), 1}};
  // It may show at once.
  auto done = engine->copy(what, dtype::float32, digesting::on, sum, soon());
  if (done)
    done = engine->finish(soon());
  BOOST_REQUIRE(!done);
  BOOST_CHECK(done.error().code() == errc::lost);
  BOOST_CHECK(sum == digest{});
  bucket.clear();
  engine.reset();
}

BOOST_AUTO_TEST_CASE(work_that_hangs_ends_with_its_deadline) {
  auto bucket = make_bucket(dtype::float32, 2);
  ok(engine->finish(soon()));
  api->hang();
  digest sum;
  digest expected;
  copy(bucket, dtype::float32, digesting::on, sum, expected);
  auto late = engine->finish(deadline::after(std::chrono::milliseconds{20}));
  BOOST_REQUIRE(!late);
  BOOST_CHECK(late.error().code() == errc::timed_out);
  BOOST_CHECK(sum == digest{});
  octets back(8);
  auto got = engine->get(back, bucket[0].to.device.data(),
                         deadline::after(std::chrono::milliseconds{20}));
  BOOST_REQUIRE(!got);
  BOOST_CHECK(got.error().code() == errc::timed_out);
  // It was only slow: nothing is lost, nothing counts twice.
  api->resume();
  ok(engine->finish(soon()));
  BOOST_CHECK_EQUAL(to_string(sum), to_string(expected));
  for (auto& x : bucket)
    check(x.to);
  bucket.clear();
  check_clean();
}

// Whatever a call may wait for, it waits no longer than its caller does. The
// engine itself would wait longer than the test.
BOOST_AUTO_TEST_CASE(every_wait_ends_with_its_deadline) {
  auto start = std::chrono::steady_clock::now();
  auto check_late = [&](const auto& x, const char* what) {
    BOOST_REQUIRE_MESSAGE(!x, what);
    BOOST_CHECK_MESSAGE(x.error().code() == errc::timed_out, what);
  };
  auto late = [] { return deadline::after(std::chrono::milliseconds{10}); };
  auto bucket = make_bucket(dtype::float32, 1);
  auto to = bucket[0].to.there();
  auto from = bucket[0].from.there();
  std::vector<transfer::keyed_copy> copies{{to, from, 1}};
  std::vector<transfer::keyed_region> looks{{from, 1}};
  // All sums, and no launch under way.
  std::vector<digest> sums(257);
  for (std::size_t i = 0; i + 1 < sums.size(); ++i)
    ok(engine->copy(copies, dtype::float32, digesting::on, sums[i], soon()));
  octets back(8);
  ok(engine->get(back, bucket[0].to.device.data(), soon()));
  api->hang();
  check_late(engine->copy(copies, dtype::float32, digesting::on, sums.back(),
                          late()),
             "a sum for which there is no room");
  // As many launches as may be under way; then there is no slot.
  auto done = result<void>{};
  for (int i = 0; i < 16 && done; ++i)
    done = engine->copy(copies, dtype::float32, digesting::on, sums[0], late());
  ok(done);
  digest none;
  check_late(engine->copy(copies, dtype::float32, digesting::off, none, late()),
             "copy");
  check_late(engine->digest_regions(looks, dtype::float32, sums[0], late()),
             "digest_regions");
  check_late(engine->compare(to, from, dtype::float32, 1, digesting::off, none,
                             late()),
             "compare");
  check_late(engine->put(bucket[0].to.device.data(), back, late()), "put");
  check_late(engine->get(back, bucket[0].to.device.data(), late()), "get");
  check_late(engine->warm_up({}, late()), "warm_up");
  check_late(engine->finish(late()), "finish");
  // Half a launch.
  api->resume();
  ok(engine->finish(soon()));
  api->hang();
  api->fail_next("launch", codes::invalid_value);
  BOOST_CHECK(
    !engine->copy(copies, dtype::float32, digesting::off, none, late()));
  check_late(engine->copy(copies, dtype::float32, digesting::off, none, late()),
             "copy behind half a launch");
  BOOST_CHECK(std::chrono::steady_clock::now() - start
              < std::chrono::seconds{9});
  // Nothing went that the device still works on.
  BOOST_CHECK(api->hazards().empty());
  api->resume();
  ok(engine->finish(soon()));
  bucket.clear();
  check_clean();
}

// Also when all of it is warm.
BOOST_FIXTURE_TEST_CASE(an_engine_that_hangs_keeps_its_tables, impatient) {
  auto late = [] { return deadline::after(std::chrono::milliseconds{10}); };
  ok(engine->warm_up({100, 1, 8, true}, soon()));
  auto bucket = make_bucket(dtype::float32, 1);
  auto to = bucket[0].to.there();
  auto from = bucket[0].from.there();
  ok(engine->finish(soon()));
  api->hang();
  digest sum;
  auto found = engine->compare(to, from, dtype::float32, 1, digesting::on, sum,
                               late());
  BOOST_REQUIRE(!found);
  BOOST_CHECK(found.error().code() == errc::timed_out);
  auto put = engine->put(bucket[0].to.device.data(), bucket[0].to.host, late());
  BOOST_REQUIRE(!put);
  BOOST_CHECK(put.error().code() == errc::timed_out);
  auto released = api->calls("release") + api->calls("release_pinned");
  engine.reset();
  BOOST_CHECK_EQUAL(api->calls("release") + api->calls("release_pinned"),
                    released);
  BOOST_CHECK(api->hazards().empty());
  api->resume();
  for (const auto& x : api->finish())
    BOOST_CHECK_MESSAGE(x.starts_with("leak"), x);
  bucket.clear();
}

// Who has memory of an engine may go before it.
BOOST_FIXTURE_TEST_CASE(an_engine_that_hangs_keeps_what_it_gave, impatient) {
  auto memory = take(engine->allocate(1000));
  auto shared = take(engine->allocate_shared(1000));
  auto* to = memory.data();
  auto* from = shared->memory().data();
  std::vector<transfer::keyed_copy> copies{
    {transfer::dense(to, dtype::uint8, 1000),
     transfer::dense<const std::byte>(from, dtype::uint8, 1000), 1}};
  ok(engine->finish(soon()));
  api->hang();
  digest sum;
  ok(engine->copy(copies, dtype::uint8, digesting::off, sum, soon()));
  memory = {};
  shared = nullptr;
  auto released = api->calls("release");
  engine.reset();
  BOOST_CHECK_EQUAL(api->calls("release"), released);
  api->resume();
  for (const auto& x : api->finish())
    BOOST_CHECK_MESSAGE(x.starts_with("leak"), x);
}

BOOST_AUTO_TEST_CASE(a_warm_engine_makes_nothing_more) {
  auto counts = [&] {
    std::vector<std::uint64_t> out{api->kernel_loads()};
    for (const char* x : {"allocate", "allocate_pinned", "create_event",
                          "create_stream", "release", "release_pinned"})
      out.push_back(api->calls(x));
    return out;
  };
  auto bucket = make_bucket(dtype::bfloat16, 5);
  ok(engine->warm_up({300, 5, 100, true}, soon()));
  auto before = counts();
  // Nor is there anything to make.
  ok(engine->warm_up({300, 5, 100, true}, soon()));
  ok(engine->warm_up({1, 2, 3, false}, soon()));
  BOOST_CHECK(counts() == before);
  BOOST_CHECK_EQUAL(api->kernel_loads(), 1u);
  std::vector<digest> sums(300);
  digest expected;
  for (auto& x : sums) {
    expected = {};
    copy(bucket, dtype::bfloat16, digesting::on, x, expected);
  }
  ok(engine->finish(soon()));
  for (const auto& x : sums)
    BOOST_REQUIRE_EQUAL(to_string(x), to_string(expected));
  digest sum;
  auto same = bucket[0].to.there();
  BOOST_CHECK(!take(engine->compare(same, same, bucket[0].to.shape.type, 1,
                                    digesting::on, sum, soon())));
  for (auto& x : bucket)
    check(x.to);
  BOOST_CHECK(counts() == before);
  bucket.clear();
  check_clean();
}

// Large tables: few of them, which take turns.
BOOST_AUTO_TEST_CASE(a_warm_engine_is_content_with_few_large_tables) {
  auto before = api->calls("allocate_pinned");
  ok(engine->warm_up({300, 300000, 0, false}, soon()));
  // And the block of put and get.
  BOOST_CHECK_EQUAL(api->calls("allocate_pinned"), before + 3);
  auto bucket = make_bucket(dtype::float32, 3);
  std::vector<digest> sums(70);
  digest expected;
  for (auto& x : sums) {
    expected = {};
    copy(bucket, dtype::float32, digesting::on, x, expected);
  }
  ok(engine->finish(soon()));
  for (const auto& x : sums)
    BOOST_REQUIRE_EQUAL(to_string(x), to_string(expected));
  bucket.clear();
  check_clean();
}

BOOST_FIXTURE_TEST_CASE(an_engine_that_hangs_can_be_dropped, impatient) {
  auto bucket = make_bucket(dtype::float32, 1);
  ok(engine->finish(soon()));
  api->hang();
  digest sum;
  digest expected;
  copy(bucket, dtype::float32, digesting::on, sum, expected);
  engine.reset();
  // The device still works on them: neither the tensors nor the tables go.
  BOOST_CHECK(api->hazards().empty());
  BOOST_CHECK(!api->leaks().empty());
  api->resume();
  for (const auto& x : api->finish())
    BOOST_CHECK_MESSAGE(x.starts_with("leak"), x);
  BOOST_CHECK(sum == digest{});
  bucket.clear();
}

BOOST_AUTO_TEST_SUITE_END()
