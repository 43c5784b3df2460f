// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/batch_store.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>

#include <fmt/format.h>

#include "actors/process/support.hpp"
#include "troupe/actors/process/memory_file.hpp"
#include "troupe/actors/process/peer_protocol.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

// 16 bytes a row.
constexpr std::int64_t large_rows = 10'000;

store_settings settings_of(std::int32_t slot, std::uint32_t life = 1) {
  store_settings x;
  x.slot = slot;
  x.incarnation = incarnation{life};
  return x;
}

errc code_of(const result<batch>& x) {
  return x ? errc{} : x.error().code();
}

/// Two stores whose meshes know each other.
struct pair_of_stores {
  peer_mesh near_mesh{0};
  peer_mesh far_mesh{1};
  troupe::process::batch_store near{settings_of(0), &near_mesh};
  troupe::process::batch_store far{settings_of(1), &far_mesh};

  pair_of_stores() {
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    near_mesh.add_peer(1, incarnation{1}, std::move(ends->first));
    far_mesh.add_peer(0, incarnation{1}, std::move(ends->second));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(batch_store)

BOOST_AUTO_TEST_CASE(a_small_batch_travels_inside_its_reference) {
  troupe::process::batch_store store{settings_of(0)};
  auto part = store.put(numbered_batch(10), 1, weight_version{7});
  BOOST_REQUIRE(part);
  BOOST_TEST(part->is_inline());
  BOOST_TEST(part->payload.size() == part->bytes);
  BOOST_TEST(part->version.value() == 7u);
  BOOST_TEST(store.stats().buffers == 0u);
  // Any process can read it, without a mesh.
  troupe::process::batch_store other{settings_of(5)};
  auto got = other.get(*part, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, 10));
}

BOOST_AUTO_TEST_CASE(the_border_between_small_and_large_is_64_kib) {
  troupe::process::batch_store store{settings_of(0)};
  for (std::int64_t rows = 4'000; rows < 4'200; ++rows) {
    auto x = numbered_batch(rows);
    auto part = store.put(x, 1);
    BOOST_REQUIRE(part);
    BOOST_TEST(part->is_inline() == (encoded_size(x) <= 64 * kib));
    BOOST_TEST(part->bytes == encoded_size(x));
    auto got = store.get(*part, soon());
    BOOST_REQUIRE(got);
    BOOST_TEST(is_numbered(*got, rows));
  }
}

BOOST_AUTO_TEST_CASE(shares_of_a_small_batch_carry_their_own_rows_alone) {
  troupe::process::batch_store store{settings_of(0)};
  auto all = numbered_batch(3000);
  batch_ref whole{{store.put(all, 1, weight_version{7}).value()}};
  BOOST_REQUIRE(whole.parts[0].is_inline());
  for (auto n : {2u, 700u}) {
    auto shares = store.split(whole, n, 1, soon());
    BOOST_REQUIRE(shares);
    BOOST_REQUIRE(shares->size() == n);
    std::uint64_t bytes = 0;
    std::vector<batch> rows;
    for (const auto& x : *shares) {
      bytes += x.inline_bytes();
      BOOST_TEST(x.parts[0].version.value() == 7u);
      rows.push_back(store.get(x, soon()).value());
    }
    // A few may carry more than they show; many must not.
    BOOST_TEST(bytes <= 1024 * 1024u);
    BOOST_TEST(is_numbered(batch::concat(rows).value(), 3000));
  }
}

BOOST_AUTO_TEST_CASE(own_batches_are_shared_and_not_copied) {
  troupe::process::batch_store store{settings_of(0)};
  auto part = store.put(numbered_batch(large_rows), 1);
  BOOST_REQUIRE(part);
  BOOST_TEST(!part->is_inline());
  auto one = store.get(*part, soon());
  auto other = store.get(*part, soon());
  BOOST_REQUIRE(one);
  BOOST_REQUIRE(other);
  BOOST_TEST(is_numbered(*one, large_rows));
  BOOST_TEST(
    (one->find("x")->bytes().data() == other->find("x")->bytes().data()));
  auto address = reinterpret_cast<std::uintptr_t>(
    one->find("x")->bytes().data());
  BOOST_TEST(address % buffer::alignment == 0u);
}

BOOST_AUTO_TEST_CASE(a_peers_batch_is_mapped) {
  pair_of_stores x;
  auto part = x.near.put(numbered_batch(large_rows), 1);
  BOOST_REQUIRE(part);
  auto got = x.far.get(*part, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, large_rows));
}

BOOST_AUTO_TEST_CASE(a_reference_to_rows_here_and_there_becomes_one_batch) {
  pair_of_stores x;
  auto one = x.near.put(numbered_batch(large_rows), 1);
  auto two = x.far.put(numbered_batch(large_rows, large_rows), 1);
  auto three = x.far.put(numbered_batch(5, 2 * large_rows), 1);
  BOOST_REQUIRE(one);
  BOOST_REQUIRE(two);
  BOOST_REQUIRE(three);
  batch_ref all{{*one, *two, *three}};
  auto got = x.near.get(all, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, 2 * large_rows + 5));
  auto parts = all.split(3);
  BOOST_REQUIRE(parts);
  std::int64_t first = 0;
  for (const auto& part : *parts) {
    auto rows = x.far.get(part, soon());
    BOOST_REQUIRE(rows);
    BOOST_TEST(is_numbered(*rows, part.rows(), first));
    first += part.rows();
  }
  auto none = x.near.get(batch_ref{}, soon());
  BOOST_REQUIRE(none);
  BOOST_TEST(none->empty());
}

BOOST_AUTO_TEST_CASE(a_scope_is_released_as_one_and_readers_keep_their_bytes) {
  troupe::process::batch_store store{settings_of(0)};
  auto old = store.put(numbered_batch(large_rows), 1);
  auto fresh = store.put(numbered_batch(large_rows), 2);
  BOOST_REQUIRE(old);
  BOOST_REQUIRE(fresh);
  auto held = store.get(*old, soon());
  BOOST_REQUIRE(held);
  BOOST_TEST(store.release(1) == 1u);
  BOOST_TEST(store.release(1) == 0u);
  BOOST_TEST(is_numbered(*held, large_rows));
  BOOST_TEST((code_of(store.get(*old, soon())) == errc::unavailable));
  BOOST_TEST(store.get(*fresh, soon()).has_value());
  BOOST_TEST(store.release_before(3) == 1u);
  BOOST_TEST(store.stats().bytes == 0u);
  BOOST_TEST(store.stats().buffers == 0u);
  BOOST_TEST(store.stats().bytes_peak >= 2u * large_rows * 16);
}

BOOST_AUTO_TEST_CASE(a_lease_runs_out) {
  manual_clock time;
  auto config = settings_of(0);
  config.lease = std::chrono::minutes{10};
  config.clock = &time;
  troupe::process::batch_store store{config};
  auto first = store.put(numbered_batch(large_rows), 1);
  time.advance(std::chrono::minutes{6});
  auto second = store.put(numbered_batch(large_rows), 1);
  BOOST_REQUIRE(first);
  BOOST_REQUIRE(second);
  BOOST_TEST(store.sweep() == 0u);
  time.advance(std::chrono::minutes{5});
  BOOST_TEST(store.sweep() == 1u);
  BOOST_TEST((code_of(store.get(*first, soon())) == errc::unavailable));
  BOOST_TEST(store.get(*second, soon()).has_value());
  BOOST_TEST(store.stats().expired == 1u);
}

BOOST_AUTO_TEST_CASE(a_full_store_says_so_and_takes_again_what_ran_out) {
  manual_clock time;
  auto config = settings_of(0);
  config.bytes_max = 400'000;
  config.lease = std::chrono::minutes{10};
  config.clock = &time;
  troupe::process::batch_store store{config};
  BOOST_REQUIRE(store.put(numbered_batch(large_rows), 1));
  BOOST_REQUIRE(store.put(numbered_batch(large_rows), 2));
  auto third = store.put(numbered_batch(large_rows), 3);
  BOOST_REQUIRE(!third);
  BOOST_TEST((third.error().code() == errc::exhausted));
  BOOST_TEST(third.error().message()
             == "a batch of 156.4 KiB does not fit into the batch store of "
                "slot 0: 312.8 KiB of 390.6 KiB are taken by 2 batches; "
                "raise store_bytes_max");
  time.advance(std::chrono::minutes{11});
  BOOST_TEST(store.put(numbered_batch(large_rows), 3).has_value());
  BOOST_TEST(store.stats().expired == 2u);
}

BOOST_AUTO_TEST_CASE(a_reference_to_another_life_is_lost) {
  troupe::process::batch_store first{settings_of(0, 1)};
  auto part = first.put(numbered_batch(large_rows), 1);
  BOOST_REQUIRE(part);
  troupe::process::batch_store second{settings_of(0, 2)};
  BOOST_TEST((code_of(second.get(*part, soon())) == errc::lost));
}

BOOST_AUTO_TEST_CASE(references_that_lie_are_found_out) {
  pair_of_stores x;
  auto part = x.near.put(numbered_batch(large_rows), 1);
  BOOST_REQUIRE(part);
  auto changed = *part;
  changed.bytes += 64;
  BOOST_TEST((code_of(x.far.get(changed, soon())) == errc::corrupt));
  BOOST_TEST((code_of(x.near.get(changed, soon())) == errc::corrupt));
  changed = *part;
  changed.rows_total = large_rows + 5;
  changed.row_end = large_rows + 5;
  BOOST_TEST((code_of(x.far.get(changed, soon())) == errc::corrupt));
  changed = *part;
  changed.row_end = large_rows + 5;
  BOOST_TEST((code_of(x.far.get(changed, soon())) == errc::invalid));
  changed = *part;
  changed.buffer = buffer_id{999};
  BOOST_TEST((code_of(x.far.get(changed, soon())) == errc::unavailable));
  changed = *part;
  changed.buffer = buffer_id{};
  changed.payload.resize(changed.bytes);
  BOOST_TEST((code_of(x.far.get(changed, soon())) == errc::invalid));
  auto small = x.near.put(numbered_batch(3), 1);
  BOOST_REQUIRE(small);
  small->payload[0] ^= 1;
  BOOST_TEST((code_of(x.far.get(*small, soon())) == errc::corrupt));
}

BOOST_AUTO_TEST_CASE(a_peer_that_hands_over_something_else_is_not_believed) {
  peer_mesh mesh{0};
  troupe::process::batch_store store{settings_of(0), &mesh};
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  mesh.add_peer(1, incarnation{1}, std::move(ends->first));
  batch_part part;
  part.slot = 1;
  part.incarnation = incarnation{1};
  part.buffer = buffer_id{3};
  part.bytes = 4096 - 64;
  auto file = make_sealed_file(4096, [](std::span<std::byte> out) {
    std::fill(out.begin(), out.end(), std::byte{0x5a});
  });
  BOOST_REQUIRE(file);
  std::thread liar{[&] {
    for (auto size : {4096, 1 << 30}) {
      auto in = receive(ends->second, soon());
      auto asked = peer_protocol::decode(in.message, 0);
      if (!asked)
        return;
      auto request = std::get<peer_protocol::ask>(*asked).request;
      send_message(ends->second.get(),
                   peer_protocol::encode(
                     peer_protocol::found{request,
                                          static_cast<std::uint64_t>(size)}),
                   file->get());
    }
  }};
  BOOST_TEST((code_of(store.get(part, soon())) == errc::corrupt));
  BOOST_TEST((code_of(store.get(part, soon())) == errc::corrupt));
  liar.join();
}

BOOST_AUTO_TEST_CASE(a_gathered_reference_is_settled_before_it_travels) {
  troupe::process::batch_store store{settings_of(0)};
  batch_ref all;
  for (std::int64_t i = 0; i < 3; ++i) {
    auto part = store.put(numbered_batch(2'000, 2'000 * i), 1,
                          weight_version{static_cast<std::uint64_t>(9 - i)});
    BOOST_REQUIRE(part);
    BOOST_TEST(part->is_inline());
    all.parts.push_back(std::move(*part));
  }
  BOOST_TEST(all.inline_bytes()
             > troupe::process::batch_store::inline_bytes_max);
  auto settled = store.settle(all, 1, soon());
  BOOST_REQUIRE(settled);
  BOOST_TEST(settled->inline_bytes() == 0u);
  BOOST_REQUIRE(settled->parts.size() == 1u);
  BOOST_TEST(settled->parts[0].version.value() == 7u);
  auto got = store.get(*settled, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, 6'000));
  // What is small enough stays as it is.
  batch_ref small{{all.parts[0]}};
  auto same = store.settle(small, 1, soon());
  BOOST_REQUIRE(same);
  BOOST_TEST((*same == small));
}

BOOST_AUTO_TEST_CASE(batches_without_rows_and_without_tensors_travel_too) {
  troupe::process::batch_store store{settings_of(0)};
  auto empty = store.put(batch{}, 1);
  BOOST_REQUIRE(empty);
  BOOST_TEST(store.get(*empty, soon()).has_value());
  auto no_rows = store.put(numbered_batch(0), 1);
  BOOST_REQUIRE(no_rows);
  auto got = store.get(*no_rows, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, 0));
  batch scalar;
  scalar.set("s", tensor{dtype::float32, {}});
  auto refused = store.put(scalar, 1);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(many_threads_put_get_and_release) {
  pair_of_stores x;
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&x, &good, t] {
      auto& mine = t % 2 == 0 ? x.near : x.far;
      auto& theirs = t % 2 == 0 ? x.far : x.near;
      for (int i = 0; i < 20; ++i) {
        auto part = mine.put(numbered_batch(5'000, i), t);
        if (!part)
          continue;
        auto got = theirs.get(*part, soon());
        if (got && is_numbered(*got, 5'000, i) && mine.release(t) == 1)
          ++good;
      }
    });
  for (auto& thread : threads)
    thread.join();
  BOOST_TEST(good == 80);
  BOOST_TEST(x.near.stats().bytes == 0u);
}

BOOST_AUTO_TEST_CASE(a_store_gives_all_its_descriptors_back) {
  auto before = open_descriptors();
  {
    pair_of_stores x;
    for (std::uint64_t i = 0; i < 10; ++i) {
      auto part = x.near.put(numbered_batch(large_rows), i);
      BOOST_REQUIRE(part);
      BOOST_REQUIRE(x.far.get(*part, soon()));
    }
  }
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()
