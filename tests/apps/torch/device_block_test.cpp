// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/device_block.hpp"

#include <algorithm>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

#include "troupe/comm/shared_memory.hpp"
#include "troupe/comm/shm/factory.hpp"

using namespace troupe;
using troupe::torch::block_use;
using troupe::torch::device_block;

BOOST_AUTO_TEST_SUITE(torch_device_block)

BOOST_AUTO_TEST_CASE(parts_share_the_bytes_of_a_block_of_zeros) {
  device_block x{256, {}, block_use::own};
  BOOST_TEST(x.bytes().size() == 256u);
  BOOST_TEST(
    std::ranges::all_of(x.bytes(), [](auto b) { return b == std::byte{0}; }));
  auto floats = x.part(64, dtype::float32, {2, 3});
  auto halves = x.part(128, dtype::bfloat16, {4});
  BOOST_TEST(floats.data_ptr() == static_cast<void*>(x.bytes().data() + 64));
  BOOST_TEST(halves.data_ptr() == static_cast<void*>(x.bytes().data() + 128));
  floats.fill_(2);
  auto again = x.part(64, dtype::float32, {6}).sum().item<float>();
  BOOST_TEST(again == 12.0f);
  BOOST_TEST(floats.is_contiguous());
}

BOOST_AUTO_TEST_CASE(a_write_to_one_part_does_not_spoil_the_graph_of_another) {
  device_block x{64, {}, block_use::own};
  auto w = x.part(0, dtype::float32, {4});
  w.fill_(3);
  w.set_requires_grad(true);
  auto y = w.mul(w).sum();
  x.part(32, dtype::float32, {4}).fill_(1);
  y.backward();
  BOOST_TEST(w.grad().sum().item<float>() == 24.0f);
}

BOOST_AUTO_TEST_CASE(what_leaves_comes_back_bit_for_bit_to_the_same_tensors) {
  device_block x{1024, {}, block_use::own};
  for (std::size_t i = 0; i < 1024; ++i)
    x.bytes()[i] = static_cast<std::byte>(i * 31);
  std::vector<std::byte> before(x.bytes().begin(), x.bytes().end());
  auto part = x.part(128, dtype::float32, {8});
  auto* identity = part.unsafeGetTensorImpl();
  x.leave();
  BOOST_TEST(!x.present());
  BOOST_CHECK_THROW(static_cast<void>(x.bytes()), std::logic_error);
  BOOST_TEST(part.storage().nbytes() == 0u);
  x.leave();
  x.come_back();
  BOOST_TEST(x.present());
  BOOST_TEST(std::ranges::equal(x.bytes(), before));
  BOOST_TEST(part.unsafeGetTensorImpl() == identity);
  BOOST_TEST(part.data_ptr() == static_cast<void*>(x.bytes().data() + 128));
  x.come_back();
  BOOST_TEST(std::ranges::equal(x.bytes(), before));
}

BOOST_AUTO_TEST_CASE(shared_blocks_are_shared_again_after_they_come_back) {
  device_block x{4096, {}, block_use::shared};
  BOOST_TEST((x.shared() != nullptr) == comm::shm::probe().usable);
  if (!x.shared())
    return;
  x.bytes()[7] = std::byte{9};
  BOOST_TEST(x.shared()->contains(x.bytes()));
  x.leave();
  BOOST_TEST((x.shared() == nullptr));
  x.come_back();
  BOOST_REQUIRE((x.shared() != nullptr));
  BOOST_TEST(x.shared()->contains(x.bytes()));
  BOOST_TEST((x.bytes()[7] == std::byte{9}));
}

BOOST_AUTO_TEST_CASE(scratch_leaves_without_its_contents) {
  device_block x{1024, {}, block_use::scratch};
  auto part = x.part(128, dtype::float32, {8});
  part.fill_(3);
  x.leave();
  BOOST_TEST(!x.present());
  BOOST_TEST(part.storage().nbytes() == 0u);
  x.come_back();
  BOOST_TEST(x.present());
  BOOST_TEST((x.shared() == nullptr));
  BOOST_TEST(
    std::ranges::all_of(x.bytes(), [](auto b) { return b == std::byte{0}; }));
  BOOST_TEST(part.data_ptr() == static_cast<void*>(x.bytes().data() + 128));
  part.fill_(2);
  BOOST_TEST(part.sum().item<float>() == 16.0f);
}

BOOST_AUTO_TEST_CASE(a_block_without_bytes_goes_and_comes) {
  device_block x{0, {}, block_use::shared};
  x.leave();
  x.come_back();
  BOOST_TEST(x.bytes().empty());
  BOOST_TEST(x.present());
}

BOOST_AUTO_TEST_SUITE_END()
