// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda_ipc/name.hpp"

#include <iterator>

#include <fmt/format.h>

namespace troupe::comm::cuda_ipc {

namespace {

/// `CIP` and the version of what follows.
constexpr std::uint32_t magic = 0x01504943;

} // namespace

bytes encode(const memory_name& x) {
  bytes out;
  encoder to{out};
  to.put(magic);
  to.append(x.device.data(), x.device.size());
  to.append(x.handle.data(), x.handle.size());
  to.put(x.allocation_bytes);
  to.put(x.offset);
  to.put(x.size);
  to.put(x.process_id);
  to.put(x.process_number);
  return out;
}

result<memory_name> decode(std::span<const std::byte> name) {
  decoder from{name};
  memory_name x;
  std::uint32_t kind = 0;
  if (!from.get(kind) || kind != magic
      || !from.read(x.device.data(), x.device.size())
      || !from.read(x.handle.data(), x.handle.size())
      || !from.get(x.allocation_bytes) || !from.get(x.offset)
      || !from.get(x.size) || !from.get(x.process_id)
      || !from.get(x.process_number) || from.left() != 0)
    return fail(errc::corrupt, "not a name of device memory");
  if (x.size == 0 || x.offset > x.allocation_bytes
      || x.size > x.allocation_bytes - x.offset)
    return fail(errc::corrupt, "a name of memory outside its allocation");
  return x;
}

std::string text_of(const cuda::device_uuid& x) {
  std::string out = "GPU";
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10)
      out.push_back('-');
    fmt::format_to(std::back_inserter(out), "{:02x}",
                   std::to_integer<unsigned>(x[i]));
  }
  return out;
}

} // namespace troupe::comm::cuda_ipc
