// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/parameter_listing.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/core.h>

#include "troupe/comm/device.hpp"

namespace troupe::model {

namespace {

/// No message about parameters grows much beyond this.
constexpr std::size_t chunk_bytes_max = 256 * 1024;

protocol::parameter_segment describe(const weight_segment& x) {
  protocol::parameter_segment out;
  out.logical = x.logical;
  for (std::size_t i = 0; i < x.where.dims(); ++i) {
    out.begin.push_back(x.where[i].begin);
    out.end.push_back(x.where[i].end);
  }
  out.local_begin = x.local_begin;
  return out;
}

protocol::parameter_info describe(const parameter& x) {
  protocol::parameter_info out{x.name, x.type, x.extents, x.requires_grad, {}};
  for (const auto& segment : x.segments)
    out.segments.push_back(describe(segment));
  return out;
}

std::string text(const protocol::parameter_info& x) {
  return fmt::format("{}{}", to_string(x.type), to_string(x.extents));
}

bool on_device(const parameter& x) noexcept {
  return x.device.type == dlpack::device_type::cuda;
}

/// About what CAF makes of it.
std::size_t wire_bytes(const protocol::parameter_info& x) {
  auto out = 16 + x.name.size() + 8 * x.extents.size();
  for (const auto& segment : x.segments)
    out += 16 + segment.logical.size() + 24 * segment.begin.size();
  return out;
}

} // namespace

std::vector<protocol::parameter_info>
describe_parameters(const parameter_list& xs) {
  std::vector<protocol::parameter_info> out;
  out.reserve(xs.size());
  for (const auto& x : xs)
    out.push_back(describe(x));
  return out;
}

result<void> check_parameters(const parameter_list& xs) {
  std::set<std::string_view> names;
  for (const auto& x : xs) {
    if (!names.insert(x.name).second)
      return fail(errc::invalid,
                  fmt::format("two parameters are named '{}'", x.name));
    auto count = element_count(x.extents);
    if (!count)
      return fail(count.error().within(fmt::format("parameter '{}'", x.name)));
    auto bytes = static_cast<std::uint64_t>(*count) * size_of(x.type);
    if (bytes != x.memory.size())
      return fail(errc::invalid,
                  fmt::format("parameter '{}' is {}{}, {} bytes, but its "
                              "memory has {}",
                              x.name, to_string(x.type), to_string(x.extents),
                              bytes, x.memory.size()));
    if (on_device(x) != on_device(xs.front())
        || x.device.id != xs.front().device.id)
      return fail(errc::invalid,
                  fmt::format("parameters '{}' and '{}' lie on different "
                              "devices; keep all of a rank on one",
                              xs.front().name, x.name));
  }
  return {};
}

result<void> check_places(const parameter_list& xs, const comm::device& host) {
  for (const auto& x : xs) {
    if (x.memory.empty())
      continue;
    auto found = host.reach(x.memory.data());
    if (!found)
      return fail(found.error().within(fmt::format("parameter '{}'", x.name)));
    if (on_device(x) ? found->device : found->process)
      continue;
    if (on_device(x))
      return fail(errc::invalid,
                  fmt::format("parameter '{}' does not lie on the GPU that its "
                              "process works on, though its parameter::device "
                              "names one",
                              x.name));
    if (!found->device)
      return fail(errc::invalid,
                  fmt::format("parameter '{}' lies on another GPU than the one "
                              "that its process works on: allocate it there "
                              "(worker_context::device)",
                              x.name));
    return fail(errc::invalid,
                fmt::format("parameter '{}' lies on a GPU, but its "
                            "parameter::device says the CPU: set it to {{"
                            "dlpack::device_type::cuda, {}}}",
                            x.name, host.where().id));
  }
  return {};
}

result<void>
check_unchanged(const std::vector<protocol::parameter_info>& before,
                const parameter_list& now) {
  auto count = std::min(before.size(), now.size());
  for (std::size_t i = 0; i < count; ++i) {
    auto x = describe(now[i]);
    if (x.name != before[i].name)
      return fail(errc::invalid,
                  fmt::format("parameter '{}' is named '{}' now; a sync needs "
                              "the parameters it was planned with",
                              before[i].name, x.name));
    if (!(x == before[i]))
      return fail(errc::invalid,
                  fmt::format("parameter '{}' was {} when the sync was planned "
                              "and is {} now{}",
                              x.name, text(before[i]), text(x),
                              x.segments == before[i].segments
                                ? ""
                                : ", or other segments"));
  }
  if (before.size() > now.size())
    return fail(errc::invalid,
                fmt::format("parameter '{}' is gone", before[count].name));
  if (now.size() > before.size())
    return fail(errc::invalid,
                fmt::format("parameter '{}' is new", now[count].name));
  return check_parameters(now);
}

std::vector<protocol::parameter_info>
listing_chunk(const std::vector<protocol::parameter_info>& all,
              std::uint64_t first) {
  std::vector<protocol::parameter_info> out;
  std::size_t bytes = 0;
  for (auto i = first; i < all.size(); ++i) {
    bytes += wire_bytes(all[i]);
    if (bytes > chunk_bytes_max && !out.empty())
      break;
    out.push_back(all[i]);
  }
  return out;
}

bool is_on_device(const parameter_list& xs) noexcept {
  return !xs.empty() && on_device(xs.front());
}

std::vector<std::shared_ptr<comm::shared_memory>>
arenas_of(const parameter_list& xs) {
  std::vector<std::shared_ptr<comm::shared_memory>> out;
  std::set<const comm::shared_memory*> known;
  for (const auto& x : xs)
    if (x.arena && known.insert(x.arena.get()).second)
      out.push_back(x.arena);
  return out;
}

std::vector<std::span<std::byte>>
private_device_memory(const parameter_list& xs) {
  std::vector<std::span<std::byte>> out;
  for (const auto& x : xs)
    if (!x.arena && on_device(x) && !x.memory.empty())
      out.push_back(x.memory);
  return out;
}

} // namespace troupe::model
