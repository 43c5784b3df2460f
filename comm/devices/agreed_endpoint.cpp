// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/agreed_endpoint.hpp"

#include <set>
#include <utility>

#include <fmt/core.h>

#include "troupe/core/log.hpp"

namespace troupe::comm::devices {

namespace {

constexpr std::uint32_t magic = 0x54444556;

struct offer {
  cuda::device_uuid device{};
  bytes processes;
  /// Empty: this rank cannot talk from device to device.
  bytes devices;
};

void put(encoder& to, const bytes& x) {
  to.put(static_cast<std::uint32_t>(x.size()));
  to.append(x.data(), x.size());
}

bool get(decoder& from, bytes& x) {
  std::uint32_t size = 0;
  std::span<const std::byte> seen;
  if (!from.get(size) || !from.view(size, seen))
    return false;
  x.assign(seen.begin(), seen.end());
  return true;
}

bytes encode(const offer& x) {
  bytes out;
  encoder to{out};
  to.put(magic);
  to.append(x.device.data(), x.device.size());
  put(to, x.processes);
  put(to, x.devices);
  return out;
}

result<offer> decode(const bytes& x) {
  decoder from{x};
  offer out;
  std::uint32_t seen = 0;
  if (!from.get(seen) || seen != magic
      || !from.read(out.device.data(), out.device.size())
      || !get(from, out.processes) || !get(from, out.devices)
      || from.left() != 0)
    return fail(errc::invalid, "no address of a rank with a device");
  return out;
}

} // namespace

agreed_endpoint::agreed_endpoint(endpoint_parts parts)
  : parts_(std::move(parts)) {
  offer mine;
  mine.device = parts_.device;
  mine.processes = parts_.processes->address();
  if (parts_.devices)
    mine.devices = parts_.devices->address();
  address_ = encode(mine);
}

const bytes& agreed_endpoint::address() const noexcept {
  return address_;
}

result<communicator_ptr>
agreed_endpoint::connect(const std::vector<bytes>& addresses, deadline until) {
  std::vector<bytes> over_processes;
  std::vector<bytes> over_devices;
  std::set<cuda::device_uuid> devices;
  std::string why_not;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    auto seen = decode(addresses[i]);
    if (!seen)
      return fail(seen.error().within(fmt::format("rank {}", i)));
    if (seen->devices.empty() && why_not.empty())
      why_not = fmt::format("rank {} cannot", i);
    if (!devices.insert(seen->device).second && why_not.empty())
      why_not = fmt::format("rank {} shares its device with another", i);
    over_processes.push_back(std::move(seen->processes));
    over_devices.push_back(std::move(seen->devices));
  }
  if (why_not.empty() && parts_.devices)
    return parts_.devices->connect(over_devices, until);
  if (!parts_.devices)
    why_not += fmt::format(" ({})", parts_.why_not);
  log::info("comm", "{} ranks do not talk from device to device: {}",
            addresses.size(), why_not);
  auto made = parts_.processes->connect(over_processes, until);
  if (!made)
    return made;
  auto wide = parts_.widen(*made);
  if (!wide)
    (*made)->abort();
  return wide;
}

void agreed_endpoint::abort() noexcept {
  parts_.processes->abort();
  if (parts_.devices)
    parts_.devices->abort();
}

} // namespace troupe::comm::devices
