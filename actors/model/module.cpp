// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/module.hpp"

#include <algorithm>

#include "troupe/comm/shm/arena.hpp"

namespace troupe {

worker_context::~worker_context() = default;

module::~module() = default;

void module::setup(worker_context&) {
  // nop
}

parameter_list module::parameters() {
  return {};
}

void module::on_sync(weight_version) {
  // nop
}

void module::save_checkpoint(checkpoint_writer&) {
  // nop
}

void module::load_checkpoint(const checkpoint_reader&) {
  // nop
}

void module::onload() {
  // nop
}

void module::offload() {
  // nop
}

std::optional<std::uint64_t> module::device_bytes() const {
  return std::nullopt;
}

// -- worker_context ------------------------------------------------------------

result<std::shared_ptr<comm::shared_memory>>
worker_context::allocate_shared(std::uint64_t bytes) {
  auto made = comm::shm::arena::create(bytes);
  if (!made)
    return fail(made.error());
  return *made;
}

result<void> worker_context::put(std::byte* to,
                                 std::span<const std::byte> from) {
  std::ranges::copy(from, to);
  return {};
}

result<void> worker_context::get(std::span<std::byte> to,
                                 const std::byte* from) {
  std::copy_n(from, to.size(), to.data());
  return {};
}

} // namespace troupe
