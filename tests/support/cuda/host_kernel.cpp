// SPDX-License-Identifier: Apache-2.0
#include "support/cuda/host_kernel.hpp"

#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

#include "troupe/comm/cuda/copy_kernel.hpp"

namespace troupe::test {

namespace {

namespace kernel = comm::cuda::kernel;

/// The host's memory, as picky as a device's.
struct host_memory {
  host_kernel_counts counts;

  void look(const std::byte* where, std::size_t bytes) {
    if (reinterpret_cast<std::uintptr_t>(where) % bytes != 0)
      ++counts.misaligned;
  }

  template <class T>
  T load(const std::byte* from) {
    look(from, sizeof(T));
    ++counts.other_loads;
    T out;
    std::memcpy(&out, from, sizeof(T));
    return out;
  }

  kernel::vector load_vector(const std::byte* from) {
    look(from, 16);
    ++counts.vector_loads;
    kernel::vector out;
    std::memcpy(&out.low, from, 8);
    std::memcpy(&out.high, from + 8, 8);
    return out;
  }

  template <class T>
  void store(std::byte* to, T value) {
    look(to, sizeof(T));
    ++counts.other_stores;
    std::memcpy(to, &value, sizeof(T));
  }

  void store_vector(std::byte* to, kernel::vector value) {
    look(to, 16);
    ++counts.vector_stores;
    std::memcpy(to, &value.low, 8);
    std::memcpy(to + 8, &value.high, 8);
  }
};

template <bool Converts>
void run_all(const comm::cuda::copy_launch& what,
             const host_kernel_options& options, host_memory& memory) {
  auto add_up = [](const kernel::sums& mine, digest* target) {
    *target += {mine.products, mine.words};
  };
  for (unsigned block = 0; block < options.blocks; ++block)
    for (unsigned thread = 0; thread < options.threads; ++thread)
      kernel::run_thread<Converts>(what, block, options.blocks, thread,
                                   options.threads, memory, add_up);
}

} // namespace

host_kernel_counts run_on_host(const comm::cuda::copy_launch& what,
                               const host_kernel_options& options) {
  host_memory memory;
  if (what.converts)
    run_all<true>(what, options, memory);
  else
    run_all<false>(what, options, memory);
  return memory.counts;
}

void host_kernel(const comm::cuda::copy_launch& what) {
  auto counts = run_on_host(what);
  if (counts.misaligned > 0)
    throw std::logic_error{
      fmt::format("{} misaligned accesses of a kernel", counts.misaligned)};
}

} // namespace troupe::test
