// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/cuda_device.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/copy_engine.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda_ipc/allocation.hpp"
#include "troupe/comm/cuda_ipc/factory.hpp"
#include "troupe/comm/cuda_ipc/name.hpp"
#include "troupe/comm/devices/agreed_endpoint.hpp"
#include "troupe/comm/devices/bounce_communicator.hpp"
#include "troupe/comm/gloo/factory.hpp"
#include "troupe/comm/nccl/endpoint.hpp"
#include "troupe/core/log.hpp"

namespace troupe::comm::devices {

namespace {

/// What goes between the device and the process at a time.
constexpr std::size_t piece_bytes = std::size_t{4} << 20;

} // namespace

cuda_device::cuda_device(cuda::runtime_ptr runtime, std::int32_t number,
                         const cuda::device_figures& figures,
                         nccl::library_ptr nccl, std::string without_nccl,
                         bounce_line line)
  : runtime_(std::move(runtime)),
    number_(number),
    figures_(figures),
    uuid_(cuda_ipc::text_of(figures.uuid)),
    nccl_(std::move(nccl)),
    without_nccl_(std::move(without_nccl)),
    engines_(std::make_shared<cuda::device_engine_maker>(runtime_, number)),
    line_(std::move(line)) {
  // nop
}

result<device_ptr> cuda_device::make(cuda::runtime_ptr runtime,
                                     std::int32_t number,
                                     nccl::library_ptr nccl,
                                     std::string without_nccl) {
  cuda::device_figures figures;
  auto asked = cuda::check(runtime, runtime->figures(number, figures), [&] {
    return fmt::format("cudaGetDeviceProperties({})", number);
  });
  if (!asked)
    return fail(asked.error());
  if (figures.mode == cuda::compute_mode::exclusive)
    log::info("comm",
              "cuda:{} lets in one process at a time (compute mode "
              "Exclusive_Process): unless MPS runs, isolated models cannot "
              "share it with others; nvidia-smi -c DEFAULT lets them in",
              number);
  auto line = bounce_line::create(runtime, number);
  if (!line)
    return fail(line.error());
  return device_ptr{new cuda_device{std::move(runtime), number, figures,
                                    std::move(nccl), std::move(without_nccl),
                                    std::move(*line)}};
}

dlpack::device cuda_device::where() const noexcept {
  return {dlpack::device_type::cuda, number_};
}

const std::string& cuda_device::uuid() const noexcept {
  return uuid_;
}

result<void> cuda_device::enter() {
  return cuda::check(runtime_, runtime_->set_device(number_),
                     [&] { return fmt::format("cudaSetDevice({})", number_); });
}

result<device_memory_figures> cuda_device::memory() const {
  auto here = cuda::device_guard::enter(*runtime_, number_);
  if (!here)
    return fail(here.error());
  std::uint64_t free = 0;
  device_memory_figures out;
  auto asked = cuda::check(runtime_,
                           runtime_->memory_bytes(free, out.total_bytes),
                           "cudaMemGetInfo");
  if (!asked)
    return fail(asked.error());
  out.used_bytes = out.total_bytes - std::min(free, out.total_bytes);
  return out;
}

// -- memory --------------------------------------------------------------------

result<memory_reach> cuda_device::reach(const std::byte* where) const {
  auto facts = cuda::facts_of(*runtime_, where);
  if (!facts)
    return fail(facts.error());
  using cuda::memory_kind;
  switch (facts->kind) {
    case memory_kind::pageable: return memory_reach{true, false};
    case memory_kind::device:
      return memory_reach{false, facts->device == number_};
    default: return memory_reach{true, true};
  }
}

result<std::shared_ptr<shared_memory>>
cuda_device::allocate(std::uint64_t bytes) {
  return cuda_ipc::make_allocation(runtime_, number_, bytes);
}

result<std::shared_ptr<shared_memory>>
cuda_device::share(std::span<std::byte> memory) {
  return cuda_ipc::export_existing(runtime_, memory);
}

std::shared_ptr<const transfer::copy_engine_maker> cuda_device::engines() {
  return engines_;
}

result<std::unique_lock<std::timed_mutex>>
cuda_device::take_line(deadline until) {
  std::unique_lock guard{mutex_, until.left()};
  if (!guard.owns_lock())
    return fail(errc::timed_out,
                fmt::format("device {}: copies of other threads were not done "
                            "by the deadline",
                            number_));
  return guard;
}

result<void> cuda_device::put(std::byte* to, std::span<const std::byte> from,
                              deadline until) {
  auto guard = take_line(until);
  if (!guard)
    return fail(guard.error());
  for (std::size_t at = 0; at < from.size(); at += piece_bytes) {
    auto part = from.subspan(at, std::min(piece_bytes, from.size() - at));
    auto pinned = line_.block(0, piece_bytes, until);
    if (!pinned)
      return fail(pinned.error());
    std::memcpy(pinned->data(), part.data(), part.size());
    auto done = line_.move(to + at, pinned->data(), part.size(), until);
    if (!done)
      return done;
  }
  return {};
}

result<void> cuda_device::get(std::span<std::byte> to, const std::byte* from,
                              deadline until) {
  auto guard = take_line(until);
  if (!guard)
    return fail(guard.error());
  for (std::size_t at = 0; at < to.size(); at += piece_bytes) {
    auto part = to.subspan(at, std::min(piece_bytes, to.size() - at));
    auto pinned = line_.block(0, piece_bytes, until);
    if (!pinned)
      return fail(pinned.error());
    auto done = line_.move(pinned->data(), from + at, part.size(), until);
    if (!done)
      return done;
    std::memcpy(part.data(), pinned->data(), part.size());
  }
  return {};
}

// -- communicators and links ---------------------------------------------------

result<endpoint_ptr>
cuda_device::make_endpoint(rank_id rank, std::int32_t size,
                           const std::string& bind_address) {
  gloo::endpoint_options through;
  if (!bind_address.empty())
    through.bind_address = bind_address;
  auto processes = gloo::make_endpoint(rank, size, through);
  if (!processes)
    return fail(processes.error());
  endpoint_parts parts;
  parts.processes = std::move(*processes);
  parts.device = figures_.uuid;
  parts.why_not = without_nccl_;
  parts.widen = [runtime = runtime_, number = number_](communicator_ptr inner) {
    return bounce_communicator::make(std::move(inner), runtime, number);
  };
  if (nccl_) {
    nccl::settings with;
    with.bind_address = through.bind_address;
    with.device = number_;
    with.runtime = runtime_;
    with.library = nccl_;
    // Without it the group still goes through the processes.
    if (auto devices = nccl::make_endpoint(rank, size, with); devices)
      parts.devices = std::move(*devices);
    else
      parts.why_not = devices.error().message();
  }
  return std::make_shared<agreed_endpoint>(std::move(parts));
}

result<communicator_ptr> cuda_device::widen(communicator_ptr inner) {
  return bounce_communicator::make(std::move(inner), runtime_, number_);
}

result<link_ptr>
cuda_device::make_sender(int fd,
                         std::vector<std::shared_ptr<shared_memory>> memories) {
  return cuda_ipc::make_sender(fd, runtime_, number_, std::move(memories));
}

result<link_ptr> cuda_device::make_receiver(int fd) {
  return cuda_ipc::make_receiver(fd, runtime_);
}

} // namespace troupe::comm::devices
