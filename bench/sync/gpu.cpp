// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/gpu.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda/factory.hpp"
#include "troupe/comm/devices/cuda_device.hpp"
#include "troupe/comm/nccl/factory.hpp"
#include "troupe/core/units.hpp"

namespace troupe::bench {

namespace {

namespace cuda = comm::cuda;
using comm::transfer::keyed_region;

} // namespace

std::span<std::byte> device_tensors::bytes() const noexcept {
  std::size_t sum = 0;
  for (const auto& x : list)
    sum += x.memory.size();
  return memory ? memory->memory().first(sum) : std::span<std::byte>{};
}

result<std::unique_ptr<gpu>> gpu::open(std::int32_t number) {
  auto runtime = cuda::make_runtime();
  if (!runtime)
    return fail(runtime.error());
  auto library = comm::nccl::make_library();
  if (!library)
    return make(std::move(*runtime), number, nullptr,
                library.error().message());
  return make(std::move(*runtime), number, std::move(*library));
}

result<std::unique_ptr<gpu>> gpu::make(cuda::runtime_ptr runtime,
                                       std::int32_t number,
                                       comm::nccl::library_ptr library,
                                       std::string without_nccl) {
  auto device = comm::devices::cuda_device::make(runtime, number, library,
                                                 without_nccl);
  if (!device)
    return fail(device.error());
  if (auto here = (*device)->enter(); !here)
    return fail(here.error());
  auto line = cuda::stream::create(runtime, number);
  if (!line)
    return fail(line.error());
  auto engine = (*device)->engines()->make();
  if (!engine)
    return fail(engine.error());
  return std::unique_ptr<gpu>{
    new gpu{std::move(runtime), number, std::move(library),
            std::move(without_nccl), std::move(*device), std::move(*line),
            std::move(*engine)}};
}

gpu::gpu(cuda::runtime_ptr runtime, std::int32_t number,
         comm::nccl::library_ptr library, std::string without_nccl,
         comm::device_ptr device, cuda::stream line,
         std::unique_ptr<comm::transfer::copy_engine> engine)
  : runtime_(std::move(runtime)),
    number_(number),
    library_(std::move(library)),
    without_nccl_(std::move(without_nccl)),
    device_(std::move(device)),
    line_(std::move(line)),
    engine_(std::move(engine)) {
  // nop
}

result<std::vector<std::string>> gpu::describe() const {
  cuda::device_figures x;
  auto asked = cuda::check(runtime_, runtime_->figures(number_, x),
                           "cudaGetDeviceProperties");
  if (!asked)
    return fail(asked.error());
  auto nccl = library_ ? "NCCL " + comm::nccl::version_text(library_->version())
                       : fmt::format("no NCCL: {}", without_nccl_);
  return std::vector{fmt::format("device: {}, {}, {} multiprocessors, compute "
                                 "capability {}.{}",
                                 x.name, format_bytes(x.memory_bytes),
                                 x.multiprocessors, x.major, x.minor),
                     fmt::format("{}, {}", runtime_->version(), nccl)};
}

result<double> gpu::timed_copy(std::byte* to, const std::byte* from,
                               std::uint64_t bytes) {
  auto here = cuda::device_guard::enter(*runtime_, number_);
  if (!here)
    return fail(here.error());
  result<void> done;
  auto seconds = seconds_of([&] {
    done = line_.view().copy(to, from, bytes);
    if (done)
      done = cuda::check(runtime_, runtime_->synchronize_device(),
                         "cudaDeviceSynchronize");
  });
  if (!done)
    return fail(done.error());
  return seconds;
}

result<device_tensors> gpu::make_tensors(const sync_load& load) {
  auto memory = device_->allocate(load.bytes());
  if (!memory)
    return fail(memory.error());
  device_tensors out{std::move(*memory), {}};
  std::size_t at = 0;
  for (auto size : load.sizes()) {
    out.list.push_back({fmt::format("tensor.{}", out.list.size()),
                        dtype::bfloat16,
                        out.memory->memory().subspan(at, size)});
    at += size;
  }
  return out;
}

result<digest> gpu::fill(std::span<const std::span<std::byte>> pieces,
                         unsigned seed) {
  std::size_t largest = 0;
  for (auto x : pieces)
    largest = std::max(largest, x.size());
  auto here = buffer::allocate(largest);
  digest sum;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    auto bytes = here.bytes().first(pieces[i].size());
    fill_tensor(bytes, seed, i);
    sum += digest_of(bytes, i, 0);
    if (auto done = device_->put(pieces[i].data(), bytes,
                                 deadline::after(std::chrono::minutes{1}));
        !done)
      return fail(done.error());
  }
  return sum;
}

result<digest> gpu::fill(const device_tensors& tensors, unsigned seed) {
  std::vector<std::span<std::byte>> pieces;
  for (const auto& x : tensors.list)
    pieces.push_back(x.memory);
  return fill(pieces, seed);
}

result<void> gpu::clear(std::span<std::byte> memory) {
  auto done = line_.view().fill(memory.data(), 0, memory.size());
  return done ? line_.synchronize(ample()) : done;
}

result<void> gpu::check(const device_tensors& tensors, const digest& expected) {
  std::vector<keyed_region> all;
  for (const auto& x : tensors.list)
    all.push_back(
      {comm::transfer::dense<const std::byte>(x.memory.data(), x.type,
                                              x.memory.size()
                                                / size_of(x.type)),
       all.size()});
  digest sum;
  auto done = engine_->digest_regions(all, dtype::bfloat16, sum, ample());
  if (done)
    done = engine_->finish(ample());
  if (!done)
    return done;
  if (sum != expected)
    return fail(errc::corrupt, "a sync did not copy what it should");
  return {};
}

} // namespace troupe::bench
