// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/parameter_copy.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "troupe/core/exception.hpp"

namespace troupe {

namespace {

std::string key_of(const parameter& x) {
  return fmt::format("parameter/{}", x.name);
}

bool on_device(const parameter& x) noexcept {
  return x.device.type == dlpack::device_type::cuda;
}

/// What another try would not change.
[[noreturn]] void refuse(std::string why) {
  throw exception{{errc::invalid, std::move(why)}};
}

void check_memory(const parameter& x, std::size_t bytes,
                  const worker_context* through) {
  if (x.memory.size() != bytes)
    refuse(fmt::format("checkpoint: parameter {} is {}{}, {} bytes, but its "
                       "memory has {}",
                       x.name, to_string(x.type), to_string(x.extents), bytes,
                       x.memory.size()));
  auto reaches = through != nullptr && through->device().type == x.device.type;
  if (on_device(x) && !reaches)
    refuse(
      fmt::format("checkpoint: parameter {} lies on a device, which only "
                  "the worker_context of a rank there reaches; give it, or "
                  "copy the parameter to the host first",
                  x.name));
}

void require(const result<void>& done, const parameter& x) {
  if (!done)
    throw std::runtime_error{fmt::format("checkpoint: parameter {}: {}", x.name,
                                         done.error().message())};
}

} // namespace

void add_parameters(batch& to, const parameter_list& parameters,
                    worker_context* through) {
  for (const auto& x : parameters) {
    tensor copy{x.type, x.extents};
    auto bytes = copy.bytes();
    check_memory(x, bytes.size(), through);
    if (on_device(x))
      require(through->get(bytes, x.memory.data()), x);
    else
      std::ranges::copy(x.memory, bytes.begin());
    to.set(key_of(x), std::move(copy));
  }
}

void restore_parameters(const batch& from, const parameter_list& parameters,
                        worker_context* through) {
  for (const auto& x : parameters) {
    const auto* found = from.find(key_of(x));
    if (found == nullptr || found->type() != x.type
        || found->extents() != x.extents)
      refuse(fmt::format("checkpoint: parameter {} is {}, the model needs {}{}",
                         x.name,
                         found == nullptr ? "missing" : to_string(*found),
                         to_string(x.type), to_string(x.extents)));
    check_memory(x, found->bytes().size(), through);
  }
  for (const auto& x : parameters) {
    auto bytes = from.find(key_of(x))->bytes();
    if (on_device(x))
      require(through->put(x.memory.data(), bytes), x);
    else
      std::ranges::copy(bytes, x.memory.begin());
  }
}

} // namespace troupe
