// SPDX-License-Identifier: Apache-2.0
#include "comm/devices/device_subject.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <stdexcept>

#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

namespace troupe::test {

namespace {

/// As cudaMalloc aligns.
constexpr std::size_t alignment = 256;

deadline soon() {
  return deadline::after(std::chrono::minutes{1});
}

void need(const result<void>& done) {
  if (!done)
    throw std::runtime_error{to_string(done.error())};
}

} // namespace

bool device_subject::holds(const void* where) const {
  if (!device || where == nullptr)
    return false;
  // A device that is dead answers nothing; it is a stand-in's then, and its
  // memory can be read as it is.
  auto found = comm::cuda::facts_of(*runtime, where);
  return found && found->kind == comm::cuda::memory_kind::device
         && found->device == device->where().id;
}

buffer device_subject::allocate(std::size_t bytes) const {
  if (!device)
    return buffer::allocate(bytes);
  return comm::cuda::device_memory::allocate(runtime, device->where().id, bytes)
    .value()
    .into_buffer();
}

void device_subject::put(std::byte* to, std::span<const std::byte> from) const {
  if (holds(to))
    need(device->put(to, from, soon()));
  else
    std::ranges::copy(from, to);
}

void device_subject::get(std::span<std::byte> to, const std::byte* from) const {
  if (holds(from))
    need(device->get(to, from, soon()));
  else
    std::copy_n(from, to.size(), to.data());
}

std::shared_ptr<const comm::transfer::copy_engine_maker>
device_subject::engines() const {
  return device ? device->engines() : nullptr;
}

sync_memory memory_of(const device_subject& source,
                      const device_subject& destination) {
  auto where = [=](const void* x) {
    return source.holds(x) ? source : destination;
  };
  sync_memory out;
  out.source = [=](std::size_t bytes) { return source.allocate(bytes); };
  out.destination = [=](std::size_t bytes) {
    return destination.allocate(bytes);
  };
  out.put = [=](std::byte* to, std::span<const std::byte> from) {
    where(to).put(to, from);
  };
  out.get = [=](std::span<std::byte> to, const std::byte* from) {
    where(from).get(to, from);
  };
  return out;
}

// -- shared_area ---------------------------------------------------------------

shared_area::shared_area(const device_subject& on, std::size_t bytes,
                         bool given)
  : where_(on.device->where()),
    given_(given ? on.allocate(bytes) : buffer{}),
    memory_(
      (given ? on.device->share(given_.bytes()) : on.device->allocate(bytes))
        .value()) {
  // nop
}

buffer shared_area::allocate(std::size_t bytes) {
  auto all = memory_->memory();
  if (bytes > all.size() - used_)
    throw std::bad_alloc{};
  auto out = buffer::wrap(all.data() + used_, bytes, shared_from_this(),
                          where_);
  used_ = std::min(all.size(),
                   used_ + (bytes + alignment - 1) / alignment * alignment);
  return out;
}

// -- device_bed ----------------------------------------------------------------

sync_backend device_bed::backend() const {
  sync_backend out;
  out.kind = kind;
  out.memory = memory_of(source, destination);
  if (source_memory)
    out.memory.source = source_memory;
  out.make_link = make_link;
  out.engines_of = [from = source, to = destination](bool sends, std::size_t) {
    return (sends ? from : to).engines();
  };
  return out;
}

std::pair<comm::link_ptr, comm::link_ptr>
link_over(const std::vector<comm::communicator_ptr>& group,
          const char* backend) {
  auto end = [&](std::size_t self, std::int32_t peer) {
    return std::make_shared<comm::comm_link>(group[self], rank_id{peer}, 3,
                                             backend);
  };
  return {end(0, 1), end(1, 0)};
}

} // namespace troupe::test
