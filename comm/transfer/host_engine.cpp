// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/copy_engine.hpp"

#include <cstring>

#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/transfer/memory.hpp"

namespace troupe::comm::transfer {

namespace {

/// Does everything at once, on the calling thread.
class host_engine final : public copy_engine {
public:
  bool deferred() const noexcept override { return false; }

  result<buffer> allocate(std::uint64_t bytes) override {
    return allocate_large(bytes);
  }

  result<std::shared_ptr<shared_memory>>
  allocate_shared(std::uint64_t bytes) override {
    auto made = shm::arena::create(static_cast<std::size_t>(bytes));
    if (!made)
      return fail(made.error());
    return std::shared_ptr<shared_memory>{std::move(*made)};
  }

  void prefault_write(std::span<std::byte> memory) noexcept override {
    transfer::prefault_write(memory);
  }

  void prefault_read(std::span<const std::byte> memory) noexcept override {
    transfer::prefault_read(memory);
  }

  result<void> warm_up(const copy_load&, deadline) override { return {}; }

  result<void> settle(deadline) override { return {}; }

  result<void> copy(std::span<const keyed_copy> what, dtype wire_type,
                    digesting digests, digest& sum, deadline) override {
    for (const auto& x : what)
      sum += copy_region(x.to, x.from, wire_type, x.key, digests);
    return {};
  }

  result<void> digest_regions(std::span<const keyed_region> what,
                              dtype wire_type, digest& sum, deadline) override {
    for (const auto& x : what)
      sum += digest_region(x.what, wire_type, x.key);
    return {};
  }

  result<void> finish(deadline) override { return {}; }

  void drop() noexcept override {}

  result<std::optional<region_difference>>
  compare(const region& here, const region& there, dtype wire_type,
          std::uint64_t key, digesting digests, digest& sum,
          deadline) override {
    return compare_region(here, there, wire_type, key, digests, sum);
  }

  result<void> put(std::byte* to, std::span<const std::byte> from,
                   deadline) override {
    std::memcpy(to, from.data(), from.size());
    return {};
  }

  result<void> get(std::span<std::byte> to, const std::byte* from,
                   deadline) override {
    std::memcpy(to.data(), from, to.size());
    return {};
  }
};

} // namespace

copy_engine::~copy_engine() = default;

copy_engine_maker::~copy_engine_maker() = default;

std::unique_ptr<copy_engine> make_host_engine() {
  return std::make_unique<host_engine>();
}

} // namespace troupe::comm::transfer
