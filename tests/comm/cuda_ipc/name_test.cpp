// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <random>

#include "comm/cuda_ipc/pair.hpp"
#include "support/random_seed.hpp"
#include "troupe/comm/cuda_ipc/allocation.hpp"
#include "troupe/comm/cuda_ipc/importer.hpp"
#include "troupe/comm/cuda_ipc/name.hpp"

using namespace troupe;
using comm::cuda_ipc::memory_name;

namespace {

memory_name sample() {
  memory_name x;
  x.device.fill(std::byte{0xab});
  x.handle.fill(std::byte{7});
  x.allocation_bytes = 100;
  x.offset = 40;
  x.size = 60;
  x.process_id = 12;
  x.process_number = ~std::uint64_t{0};
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(cuda_ipc_name)

BOOST_AUTO_TEST_CASE(it_arrives_as_sent_and_fits) {
  auto sent = encode(sample());
  BOOST_CHECK_LE(sent.size(), comm::shared_name_bytes_max);
  BOOST_CHECK(comm::cuda_ipc::decode(sent).value() == sample());
}

BOOST_AUTO_TEST_CASE(memory_lies_in_its_allocation) {
  auto answer = [](auto change) {
    auto x = sample();
    change(x);
    return test::code_of(comm::cuda_ipc::decode(encode(x)));
  };
  BOOST_CHECK(answer([](auto&) {}) == errc{});
  BOOST_CHECK(answer([](auto& x) { x.size = 61; }) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.size = 0; }) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.size = ~0ull; }) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.offset = 101; }) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.offset = ~0ull - 30; }) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_device_is_written_as_nvidia_smi_does) {
  comm::cuda::device_uuid x{};
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<std::byte>(i * 17);
  BOOST_CHECK_EQUAL(comm::cuda_ipc::text_of(x),
                    "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

BOOST_AUTO_TEST_CASE(garbage_is_refused_or_lies_in_real_memory) {
  auto seed = test::random_seed();
  BOOST_TEST_MESSAGE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  test::runtime_pair both;
  auto memory = comm::cuda_ipc::make_allocation(both.exporter, 0, 1).value();
  auto importer = comm::cuda_ipc::make_importer(both.importer);
  std::size_t refused = 0;
  for (int round = 0; round < 6000; ++round) {
    bytes name;
    if (round % 3 == 0) {
      name.resize(random() % (comm::shared_name_bytes_max + 1));
      for (auto& x : name)
        x = static_cast<std::byte>(random());
    } else {
      // A real name, a little wrong.
      name = memory->name();
      for (auto i = random() % 3; i-- > 0;)
        name[random() % name.size()] ^= static_cast<std::byte>(random());
      if (round % 3 == 2)
        name.resize(std::max<std::size_t>(name.size() + random() % 5, 2) - 2);
    }
    auto opened = importer->open(name);
    if (!opened) {
      ++refused;
      auto code = opened.error().code();
      BOOST_REQUIRE_MESSAGE(code == errc::corrupt || code == errc::invalid
                              || code == errc::lost,
                            "seed " << seed << ": "
                                    << to_string(opened.error()));
      continue;
    }
    comm::cuda::pointer_facts real;
    auto seen = (*opened)->memory();
    BOOST_REQUIRE_EQUAL(both.importer->facts(seen.data(), real), 0);
    BOOST_REQUIRE_MESSAGE(seen.data() + seen.size()
                            <= real.allocation + real.allocation_bytes,
                          "seed " << seed << ": memory that is not there");
  }
  BOOST_CHECK_GT(refused, 2000u);
  memory.reset();
  importer.reset();
  for (const auto& x : {both.exporter, both.importer})
    for (const auto& what : x->finish())
      BOOST_ERROR(what);
}

BOOST_AUTO_TEST_SUITE_END()
