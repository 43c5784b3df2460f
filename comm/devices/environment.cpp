// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/environment.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace troupe::comm::devices {

namespace {

bool decides(std::string_view name) {
  constexpr std::string_view families[] = {"CUDA_", "NCCL_", "PYTORCH_"};
  // The images of CUDA set more of that family, which decide nothing here.
  constexpr std::string_view names[] = {"NVIDIA_VISIBLE_DEVICES",
                                        "NVIDIA_DRIVER_CAPABILITIES"};
  return std::ranges::any_of(families,
                             [&](auto x) { return name.starts_with(x); })
         || std::ranges::find(names, name) != std::end(names);
}

} // namespace

std::string device_environment(const char* const* environment) {
  std::vector<std::string_view> found;
  for (const auto* const* x = environment; x != nullptr && *x != nullptr; ++x) {
    std::string_view entry{*x};
    if (decides(entry.substr(0, entry.find('='))))
      found.push_back(entry);
  }
  std::ranges::sort(found);
  std::string out;
  for (auto entry : found) {
    auto name = entry.substr(0, entry.find('='));
    auto value = entry.substr(std::min(name.size() + 1, entry.size()));
    auto plain = !value.empty()
                 && value.find_first_of(" \t'\"") == std::string_view::npos;
    auto quote = plain ? "" : "'";
    fmt::format_to(std::back_inserter(out), "{}{}={}{}{}",
                   out.empty() ? "" : " ", name, quote, value, quote);
  }
  return out;
}

} // namespace troupe::comm::devices
