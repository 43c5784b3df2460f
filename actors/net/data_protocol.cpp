// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/data_protocol.hpp"

#include "troupe/actors/process/host_types.hpp"

namespace troupe::net::data_protocol {

namespace {

constexpr std::uint32_t request_magic = 0x51'50'52'54; // "TRPQ"
constexpr std::uint32_t answer_magic = 0x41'50'52'54; // "TRPA"

} // namespace

bytes encode(const request& x) {
  bytes result;
  encoder out{result};
  out.put(request_magic);
  out.put(x.slot);
  out.put(x.life.value());
  out.put(x.buffer.value());
  out.put(x.budget_ms);
  out.put(x.bytes_max);
  return result;
}

bytes encode(const answer& x) {
  bytes result;
  encoder out{result};
  out.put(answer_magic);
  out.put(static_cast<std::uint8_t>(x.found ? 1 : 0));
  out.put(static_cast<std::uint8_t>(x.code));
  out.put(x.size);
  return result;
}

bytes encode(const error& x) {
  auto text = std::string_view{x.message()}.substr(0, answer::text_bytes_max);
  auto result = encode(answer{false, x.code(), text.size()});
  encoder out{result};
  out.append(text.data(), text.size());
  return result;
}

result<request> decode_request(std::span<const std::byte> from) {
  decoder in{from};
  std::uint32_t mark = 0;
  std::uint32_t life = 0;
  std::uint64_t buffer = 0;
  request x;
  if (!in.get(mark) || mark != request_magic || !in.get(x.slot) || !in.get(life)
      || !in.get(buffer) || !in.get(x.budget_ms) || !in.get(x.bytes_max)
      || in.left() != 0 || x.slot < process::node_slot
      || x.slot >= process::slots_max)
    return fail(errc::corrupt, "what came is no request for a buffer");
  x.life = incarnation{life};
  x.buffer = buffer_id{buffer};
  return x;
}

result<answer> decode_answer(std::span<const std::byte> from) {
  decoder in{from};
  std::uint32_t mark = 0;
  std::uint8_t found = 0;
  std::uint8_t code = 0;
  answer x;
  if (!in.get(mark) || mark != answer_magic || !in.get(found) || !in.get(code)
      || !in.get(x.size) || in.left() != 0 || found > 1
      || to_string(static_cast<errc>(code)) == "unknown"
      || (found == 1 ? x.size == 0 : x.size > answer::text_bytes_max))
    return fail(errc::corrupt, "what came is no answer with a buffer");
  x.found = found == 1;
  x.code = static_cast<errc>(code);
  return x;
}

} // namespace troupe::net::data_protocol
