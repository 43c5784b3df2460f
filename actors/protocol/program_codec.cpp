// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/program_codec.hpp"

#include <algorithm>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include "troupe/actors/protocol/errors.hpp"
#include "troupe/actors/protocol/float_check.hpp"

namespace troupe::protocol {

std::vector<program_chunk> encode(const rank_program& x,
                                  const worker_name& to) {
  float_check::check<rank_program>();
  std::vector<char> all;
  caf::binary_serializer sink{nullptr, all};
  // Writing to memory cannot fail; what CAF reads is not changed.
  static_cast<void>(sink(const_cast<rank_program&>(x)));
  auto count = std::max<std::size_t>(1,
                                     (all.size() + program_chunk_bytes_max - 1)
                                       / program_chunk_bytes_max);
  std::vector<program_chunk> out;
  for (std::size_t i = 0; i < count; ++i) {
    auto first = i * program_chunk_bytes_max;
    auto last = std::min(all.size(), first + program_chunk_bytes_max);
    out.push_back({to, static_cast<std::uint32_t>(i),
                   static_cast<std::uint32_t>(count),
                   payload(all.begin() + static_cast<std::ptrdiff_t>(first),
                           all.begin() + static_cast<std::ptrdiff_t>(last))});
  }
  return out;
}

result<rank_program> decode_program(const payload& x) {
  rank_program out;
  caf::binary_deserializer source{nullptr,
                                  reinterpret_cast<const char*>(x.data()),
                                  x.size()};
  if (auto failed = source(out))
    return fail(errc::corrupt, "a transfer program cannot be read: "
                                 + from_caf(failed).message());
  return out;
}

} // namespace troupe::protocol
