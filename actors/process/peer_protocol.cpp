// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/peer_protocol.hpp"

#include "troupe/actors/process/peer_mesh.hpp"

namespace troupe::process::peer_protocol {

namespace {

constexpr std::uint32_t magic = 0x31'50'52'54; // "TRP1"

struct writer {
  encoder& out;

  void operator()(const ask& x) {
    out.put(x.request);
    out.put(x.buffer.value());
  }

  void operator()(const found& x) {
    out.put(x.request);
    out.put(x.size);
  }

  void operator()(const refused& x) {
    out.put(x.request);
    out.put(static_cast<std::uint8_t>(x.reason.code()));
    out.put(std::string_view{x.reason.message()}.substr(0, text_bytes_max));
  }

  void operator()(const give& x) { out.put(std::string_view{x.tag}); }
};

bool get_message(decoder& in, std::uint8_t kind, std::size_t files,
                 message& out) {
  switch (kind) {
    case 0: {
      auto& x = out.emplace<ask>();
      std::uint64_t id = 0;
      if (!in.get(x.request) || !in.get(id))
        return false;
      x.buffer = buffer_id{id};
      return files == 0;
    }
    case 1: {
      auto& x = out.emplace<found>();
      return in.get(x.request) && in.get(x.size) && files == 1;
    }
    case 2: {
      auto& x = out.emplace<refused>();
      std::uint8_t code = 0;
      std::string text;
      if (!in.get(x.request) || !in.get(code) || !in.get(text)
          || to_string(static_cast<errc>(code)) == "unknown")
        return false;
      x.reason = error{static_cast<errc>(code), std::move(text)};
      return files == 0;
    }
    case 3: {
      auto& x = out.emplace<give>();
      return in.get(x.tag) && x.tag.size() <= peer_mesh::tag_bytes_max
             && files == 1;
    }
    default: return false;
  }
}

} // namespace

bytes encode(const message& x) {
  bytes result;
  encoder out{result};
  out.put(magic);
  out.put(static_cast<std::uint8_t>(x.index()));
  std::visit(writer{out}, x);
  return result;
}

result<message> decode(std::span<const std::byte> from, std::size_t files) {
  decoder in{from};
  std::uint32_t mark = 0;
  std::uint8_t kind = 0;
  message out;
  if (!in.get(mark) || mark != magic || !in.get(kind)
      || !get_message(in, kind, files, out) || in.left() != 0)
    return fail(errc::corrupt, "not a message between peers");
  return out;
}

} // namespace troupe::process::peer_protocol
