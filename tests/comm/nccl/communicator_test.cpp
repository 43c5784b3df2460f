// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "comm/conformance.hpp"
#include "comm/nccl/stand_in_ranks.hpp"
#include "troupe/comm/cuda/memory.hpp"

using namespace troupe;
using namespace troupe::test;
using comm::reduce_op;
using comm::cuda::device_memory;

namespace {

/// Many groups are made one after the other; 5 is the largest.
stand_in_machine& machine() {
  static stand_in_machine out{5};
  return out;
}

const test::conformance::backend subject{
  [](std::int32_t size, const comm::collective_options& collectives) {
    std::vector<comm::endpoint_ptr> out;
    for (std::int32_t rank = 0; rank < size; ++rank) {
      auto config = machine().settings_of(rank);
      // Small chunks, so that host memory goes over in many.
      config.chunk_bytes = 16 * collectives.segment_bytes;
      out.push_back(
        comm::nccl::make_endpoint(rank_id{rank}, size, config).value());
    }
    return out;
  }};

/// Memory of a device with those elements.
template <class T>
device_memory upload(std::int32_t device, const std::vector<T>& xs) {
  auto out = device_memory::allocate(machine().runtime, device,
                                     xs.size() * sizeof(T))
               .value();
  // The stand-in's device memory is memory of the host.
  std::memcpy(out.data(), xs.data(), out.size());
  return out;
}

std::span<std::byte> span_of(const device_memory& x) {
  return {x.data(), x.size()};
}

template <class T>
std::vector<T> download(const device_memory& x) {
  std::vector<T> out(x.size() / sizeof(T));
  std::memcpy(out.data(), x.data(), x.size());
  return out;
}

std::int32_t as_rank(std::size_t x) {
  return static_cast<std::int32_t>(x);
}

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_communicator)

TROUPE_COMMUNICATOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(nothing_was_done_wrong_in_all_that) {
  machine().check_clean();
}

BOOST_AUTO_TEST_CASE(device_memory_is_used_as_it_is) {
  auto group = make_group(machine(), 3);
  auto before = machine().runtime->calls("allocate_pinned");
  auto good = in_threads(3, [&](std::size_t rank) -> int {
    auto r = as_rank(rank);
    auto& self = *group[rank];
    auto mine = static_cast<float>(r + 1);
    auto xs = upload<float>(r, {mine, 2 * mine});
    auto all = upload<float>(r, std::vector<float>(6));
    auto part = upload<float>(r, {0.f, 0.f});
    auto from_root = upload<float>(r, {mine});
    auto done = self.all_gather(span_of(xs), span_of(all), ample()).has_value()
                && self
                     .reduce_scatter(span_of(all), span_of(part),
                                     dtype::float32, reduce_op::max, ample())
                     .has_value()
                && self.broadcast(span_of(from_root), rank_id{2}, ample())
                     .has_value()
                && self
                     .all_reduce(span_of(xs), dtype::float32, reduce_op::sum,
                                 ample())
                     .has_value()
                && self.barrier(ample()).has_value();
    return done && download<float>(xs) == std::vector<float>{6.f, 12.f}
           && download<float>(all) == std::vector<float>{1, 2, 2, 4, 3, 6}
           && download<float>(part) == std::vector<float>{mine, 2 * mine}
           && download<float>(from_root) == std::vector<float>{3.f};
  });
  BOOST_CHECK(good == std::vector<int>(3, 1));
  BOOST_CHECK_EQUAL(machine().runtime->calls("allocate_pinned"), before);
  group.clear();
  machine().check_clean();
}

BOOST_AUTO_TEST_CASE(messages_of_device_memory_arrive) {
  auto group = make_group(machine(), 2);
  auto good = in_threads(2, [&](std::size_t rank) -> int {
    auto xs = upload<std::int32_t>(as_rank(rank),
                                   {rank == 0 ? 1 : 0, rank == 0 ? 2 : 0});
    auto done = rank == 0 ? group[0]->send(span_of(xs), rank_id{1}, 9, ample())
                          : group[1]->recv(span_of(xs), rank_id{0}, 9, ample());
    return done && download<std::int32_t>(xs) == std::vector{1, 2};
  });
  BOOST_CHECK(good == std::vector<int>(2, 1));
}

BOOST_AUTO_TEST_CASE(a_message_with_another_tag_is_invalid) {
  auto group = make_group(machine(), 2);
  auto codes = in_threads(2, [&](std::size_t rank) {
    std::vector<std::byte> xs(16);
    return code_of(rank == 0 ? group[0]->send(xs, rank_id{1}, 1, ample())
                             : group[1]->recv(xs, rank_id{0}, 2, ample()));
  });
  BOOST_CHECK(codes[0] == errc::lost);
  BOOST_CHECK(codes[1] == errc::invalid);
}

BOOST_AUTO_TEST_CASE(host_memory_does_not_meet_device_memory) {
  auto group = make_group(machine(), 2);
  auto codes = in_threads(2, [&](std::size_t rank) {
    std::vector<std::byte> host(16);
    auto device = upload<float>(as_rank(rank), std::vector<float>(4));
    return code_of(rank == 0
                     ? group[0]->send(host, rank_id{1}, 1, ample())
                     : group[1]->recv(span_of(device), rank_id{0}, 1, ample()));
  });
  BOOST_CHECK(codes[0] == errc::lost);
  BOOST_CHECK(codes[1] == errc::invalid);
  auto single = make_group(machine(), 1);
  std::vector<std::byte> host(16);
  auto device = upload<float>(0, std::vector<float>(4));
  BOOST_CHECK(code_of(single[0]->all_gather(host, span_of(device), ample()))
              == errc::invalid);
}

BOOST_AUTO_TEST_CASE(memory_of_another_device_is_invalid) {
  auto group = make_group(machine(), 1);
  auto foreign = upload<float>(1, {1.f});
  BOOST_CHECK(code_of(group[0]->all_reduce(span_of(foreign), dtype::float32,
                                           reduce_op::sum, ample()))
              == errc::invalid);
}

// What communicator.hpp promises is kept for host memory; for device memory
// NCCL's own arithmetic shows, and the documentation says so.
BOOST_AUTO_TEST_CASE(device_memory_is_reduced_as_nccl_does) {
  auto group = make_group(machine(), 3);
  auto good = in_threads(3, [&](std::size_t rank) -> int {
    auto r = as_rank(rank);
    auto sum = upload<bfloat16>(r, {bfloat16{rank == 0 ? 256.f : 1.f}});
    auto nan = std::numeric_limits<float>::quiet_NaN();
    auto top = upload<float>(r, {rank == 1 ? nan : 2.f});
    auto done = group[rank]
                  ->all_reduce(span_of(sum), dtype::bfloat16, reduce_op::sum,
                               ample())
                  .has_value()
                && group[rank]
                     ->all_reduce(span_of(top), dtype::float32, reduce_op::max,
                                  ample())
                     .has_value();
    return done && float{download<bfloat16>(sum)[0]} == 256.f
           && download<float>(top)[0] == 2.f;
  });
  BOOST_CHECK(good == std::vector<int>(3, 1));
}

BOOST_AUTO_TEST_CASE(operations_that_nccl_answers_late_come_through) {
  machine().library->answer_late(true);
  auto group = make_group(machine(), 2);
  auto codes = in_threads(2, [&](std::size_t rank) {
    std::vector<float> xs(1000, 1.f);
    auto done = group[rank]->all_reduce(std::as_writable_bytes(std::span{xs}),
                                        dtype::float32, reduce_op::sum,
                                        ample());
    return done && xs == std::vector<float>(1000, 2.f) ? errc{} : errc::failed;
  });
  machine().library->answer_late(false);
  BOOST_CHECK(codes == std::vector<errc>(2, errc{}));
}

BOOST_AUTO_TEST_CASE(a_rank_that_is_done_ends_only_waits_for_itself) {
  auto group = make_group(machine(), 3);
  auto codes = in_threads(3, [&](std::size_t rank) {
    auto first = group[rank]->barrier(ample());
    if (!first)
      return first.error().code();
    if (rank == 2) {
      group[2].reset();
      return errc{};
    }
    // These two still have work.
    std::vector<std::byte> xs(100);
    return code_of(rank == 0 ? group[0]->send(xs, rank_id{1}, 0, ample())
                             : group[1]->recv(xs, rank_id{0}, 0, ample()));
  });
  BOOST_CHECK(codes == std::vector<errc>(3, errc{}));
  BOOST_CHECK(group[0]->health());
  std::vector<std::byte> xs(100);
  BOOST_CHECK(code_of(group[1]->recv(xs, rank_id{2}, 0, ample()))
              == errc::lost);
  BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::lost);
  group.clear();
  machine().check_clean();
}

BOOST_AUTO_TEST_SUITE_END()
