// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/offload.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "troupe/apps/torch/device.hpp"
#include "troupe/core/log.hpp"

namespace troupe::torch {

offloader::offloader(std::string model, device_stream& stream,
                     std::uint64_t limit)
  : model_(std::move(model)),
    stream_(stream),
    limit_(limit) {
  // nop
}

void offloader::add(device_block& block) {
  blocks_.emplace_back(block);
  if (limit_ != 0 && block_bytes() > limit_)
    throw std::runtime_error{fmt::format(
      "{}: parameters, gradients and optimizer state are {} bytes, but "
      "device_memory_max is {}: raise it, or let more ranks share the model",
      model_, block_bytes(), limit_)};
}

void offloader::require(std::string_view function) const {
  if (away_)
    throw std::logic_error{
      fmt::
        format("{}: {} while the model is offloaded: it must be loaded first",
               model_, function)};
}

void offloader::offload() {
  if (away_)
    return;
  auto before = held();
  // From here on no function may run, even if we do not get through.
  away_ = true;
  stream_.run([&] {
    for (device_block& block : blocks_)
      block.leave();
  });
  stream_.release();
  auto left = held();
  figures_.given_back = before - std::min(before, left);
  figures_.left_behind = left;
  ++figures_.offloads;
  log::info(model_, "offloaded: {} bytes given back to {}, {} left there",
            figures_.given_back, name_of(stream_.device()), left);
  if (left > residue_max)
    throw std::runtime_error{fmt::format(
      "{}: after an offload {} bytes of {} are still on {}, {} of them in use: "
      "a tensor outlives the function that made it, or is no part of what the "
      "module gave to its offloader",
      model_, left, before, name_of(stream_.device()),
      stream_.pool().value_or(pool_figures{}).in_use)};
}

void offloader::onload() {
  if (!away_)
    return;
  stream_.run([&] {
    for (device_block& block : blocks_)
      block.come_back();
  });
  away_ = false;
  check_limit("onload");
}

offload_figures offloader::figures() const {
  auto result = figures_;
  result.blocks = block_bytes();
  result.on_device = held();
  return result;
}

void offloader::check_limit(std::string_view function) {
  auto now = held();
  figures_.most_on_device = std::max(figures_.most_on_device, now);
  if (limit_ != 0 && now > limit_)
    throw std::runtime_error{
      fmt::format("{}: {} took {} bytes of {}, but device_memory_max is {}: "
                  "raise it, or "
                  "make batches smaller",
                  model_, function, now, name_of(stream_.device()), limit_)};
}

std::uint64_t offloader::block_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const device_block& block : blocks_)
    sum += block.size();
  return sum;
}

std::uint64_t offloader::held() const {
  if (auto pool = stream_.pool())
    return pool->reserved;
  std::uint64_t sum = 0;
  for (const device_block& block : blocks_)
    if (block.present())
      sum += block.size();
  return sum;
}

} // namespace troupe::torch
