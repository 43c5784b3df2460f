// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda_ipc/allocation.hpp"

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda_ipc/process_tables.hpp"

namespace troupe::comm::cuda_ipc {

namespace {

/// Somebody else's memory.
class exported_part final : public shared_memory {
public:
  exported_part(tables_ptr tables, exported_ptr whole,
                std::span<std::byte> memory)
    : tables_(std::move(tables)),
      whole_(std::move(whole)),
      memory_(memory) {
    auto name = tables_->name_of(*whole_);
    name.offset = static_cast<std::uint64_t>(memory.data()
                                             - whole_->where.allocation);
    name.size = memory.size();
    name_ = encode(name);
  }

  std::span<std::byte> memory() const noexcept override { return memory_; }

  int fd() const noexcept override { return -1; }

  const bytes& name() const noexcept override { return name_; }

private:
  tables_ptr tables_;
  /// While we live, other parts of the allocation get the same name.
  exported_ptr whole_;
  std::span<std::byte> memory_;
  bytes name_;
};

/// Device memory of ours, and a pipe: whoever has the memory open holds the
/// writing end, so that we know when nobody has, also after a crash.
class allocation final : public shared_memory {
public:
  allocation(tables_ptr tables, cuda::device_memory memory, socket reading,
             socket writing) noexcept
    : tables_(std::move(tables)),
      memory_(std::move(memory)),
      reading_(std::move(reading)),
      writing_(std::move(writing)) {
    // nop
  }

  ~allocation() override {
    part_.reset();
    // Ours is a user's end as well.
    writing_ = socket{};
    tables_->retire(std::move(memory_), std::move(reading_));
  }

  allocation(const allocation&) = delete;
  allocation& operator=(const allocation&) = delete;

  result<void> export_all(cuda::runtime& runtime) {
    auto where = cuda::facts_of(runtime, memory_.data());
    if (!where)
      return fail(where.error());
    auto whole = tables_->export_allocation(*where);
    if (!whole)
      return fail(whole.error());
    part_ = std::make_unique<exported_part>(tables_, std::move(*whole),
                                            std::span{memory_.data(),
                                                      memory_.size()});
    return {};
  }

  std::span<std::byte> memory() const noexcept override {
    return part_->memory();
  }

  int fd() const noexcept override { return writing_.fd(); }

  const bytes& name() const noexcept override { return part_->name(); }

private:
  tables_ptr tables_;
  cuda::device_memory memory_;
  socket reading_;
  socket writing_;
  std::unique_ptr<exported_part> part_;
};

/// Why memory of this kind has no name; empty if it may have one.
std::string_view obstacle(cuda::memory_kind kind) {
  switch (kind) {
    case cuda::memory_kind::pageable:
      return "is ordinary memory; share an arena of comm/shm instead";
    case cuda::memory_kind::pinned:
      return "is pinned host memory; share an arena of comm/shm instead";
    case cuda::memory_kind::managed:
      return "is managed memory (cudaMallocManaged), which CUDA gives to no "
             "other process; allocate it with cudaMalloc";
    case cuda::memory_kind::device: return {};
  }
  return "is of no kind that CUDA has";
}

} // namespace

result<std::shared_ptr<shared_memory>>
make_allocation(const cuda::runtime_ptr& runtime, std::int32_t device,
                std::uint64_t bytes) {
  if (bytes == 0)
    return fail(errc::invalid, "an allocation of 0 bytes");
  if (bytes > std::numeric_limits<std::uint64_t>::max() / 4)
    return fail(errc::exhausted,
                fmt::format("no {} bytes on device {}", bytes, device));
  auto size = (bytes + block_bytes - 1) / block_bytes * block_bytes;
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(errc::exhausted,
                fmt::format("no pipe: {}", std::strerror(errno)));
  socket reading{ends[0]};
  socket writing{ends[1]};
  auto tables = process_tables::of(runtime);
  auto memory = cuda::device_memory::allocate(runtime, device, size);
  if (!memory)
    return fail(memory.error());
  auto made = std::make_shared<allocation>(std::move(tables),
                                           std::move(*memory),
                                           std::move(reading),
                                           std::move(writing));
  if (auto done = made->export_all(*runtime); !done)
    return fail(done.error());
  return made;
}

result<std::shared_ptr<shared_memory>>
export_existing(const cuda::runtime_ptr& runtime, std::span<std::byte> memory) {
  if (memory.empty())
    return fail(errc::invalid, "no memory to export");
  auto tables = process_tables::of(runtime);
  auto where = cuda::facts_of(*runtime, memory.data());
  if (!where)
    return fail(where.error());
  if (auto why = obstacle(where->kind); !why.empty())
    return fail(errc::invalid,
                fmt::format("memory at {} cannot be given to another process: "
                            "it {}",
                            fmt::ptr(memory.data()), why));
  if (where->allocation == nullptr)
    return fail(errc::invalid,
                fmt::format("memory at {} cannot be given to another process: "
                            "it belongs to no allocation of cudaMalloc. For "
                            "PyTorch: PYTORCH_CUDA_ALLOC_CONF=backend:native,"
                            "expandable_segments:False",
                            fmt::ptr(memory.data())));
  auto offset = static_cast<std::uint64_t>(memory.data() - where->allocation);
  if (offset > where->allocation_bytes
      || memory.size() > where->allocation_bytes - offset)
    return fail(errc::invalid,
                fmt::format("{} bytes at {} of an allocation of {}: share what "
                            "lies in one allocation",
                            memory.size(), offset, where->allocation_bytes));
  auto whole = tables->export_allocation(*where);
  if (!whole)
    return fail(whole.error());
  return std::make_shared<exported_part>(std::move(tables), std::move(*whole),
                                         memory);
}

} // namespace troupe::comm::cuda_ipc
