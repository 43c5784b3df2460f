// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/preamble.hpp"

#include <fmt/format.h>

#include "troupe/actors/net/peer_text.hpp"

namespace troupe::net::preamble {

namespace {

constexpr std::uint32_t magic = 0x4e'50'52'54; // "TRPN"

struct writer {
  encoder& out;

  void operator()(const hello& x) {
    out.put(static_cast<std::uint8_t>(x.kind));
    out.put(x.slot);
    out.put(std::string_view{x.job});
  }

  void operator()(const challenge& x) {
    out.append(x.nonce.data(), x.nonce.size());
  }

  void operator()(const answer& x) {
    out.append(x.nonce.data(), x.nonce.size());
    out.append(x.proof.data(), x.proof.size());
  }

  void operator()(const accepted& x) {
    out.append(x.proof.data(), x.proof.size());
  }

  void operator()(const refused& x) {
    out.put(static_cast<std::uint8_t>(x.reason.code()));
    out.put(std::string_view{x.reason.message()}.substr(0, text_bytes_max));
  }
};

bool get(decoder& in, hello& x) {
  std::uint8_t kind = 0;
  if (!in.get(kind) || !in.get(x.slot) || !in.get(x.job))
    return false;
  x.kind = static_cast<channel>(kind);
  if (kind < 1 || kind > 3 || x.slot < process::node_slot
      || x.slot >= process::slots_max)
    return false;
  return x.job.empty() ? x.kind == channel::control : process::is_job_id(x.job);
}

bool get(decoder& in, refused& x) {
  std::uint8_t code = 0;
  std::string text;
  if (!in.get(code) || !in.get(text) || text.size() > text_bytes_max
      || troupe::to_string(static_cast<errc>(code)) == "unknown")
    return false;
  x.reason = error{static_cast<errc>(code), printable(std::move(text))};
  return true;
}

bool get(decoder& in, std::uint8_t kind, message& out) {
  switch (kind) {
    case 0: return get(in, out.emplace<hello>());
    case 1: {
      auto& x = out.emplace<challenge>();
      return in.read(x.nonce.data(), x.nonce.size());
    }
    case 2: {
      auto& x = out.emplace<answer>();
      return in.read(x.nonce.data(), x.nonce.size())
             && in.read(x.proof.data(), x.proof.size());
    }
    case 3: {
      auto& x = out.emplace<accepted>();
      return in.read(x.proof.data(), x.proof.size());
    }
    case 4: return get(in, out.emplace<refused>());
    default: return false;
  }
}

tl::unexpected<error> no_message() {
  return fail(errc::corrupt, "what came is no message of Troupe's");
}

} // namespace

std::string_view to_string(channel x) noexcept {
  switch (x) {
    case channel::control: return "control";
    case channel::data: return "data";
    case channel::pulse: return "pulse";
  }
  return "unknown";
}

bytes encode(const message& x) {
  bytes body;
  encoder to_body{body};
  std::visit(writer{to_body}, x);
  bytes result;
  encoder out{result};
  out.put(magic);
  out.put(version);
  out.put(static_cast<std::uint8_t>(x.index()));
  out.put(static_cast<std::uint16_t>(body.size()));
  out.append(body.data(), body.size());
  return result;
}

result<std::size_t> body_size(std::span<const std::byte> header) {
  decoder in{header};
  std::uint32_t mark = 0;
  std::uint8_t theirs = 0;
  std::uint8_t kind = 0;
  std::uint16_t size = 0;
  if (!in.get(mark) || mark != magic || !in.get(theirs))
    return no_message();
  if (theirs != version)
    return fail(errc::refused,
                fmt::format("the other side opens connections in version {}, "
                            "this one in version {}: run the same Troupe on "
                            "both",
                            theirs, version));
  if (!in.get(kind) || !in.get(size) || in.left() != 0 || size > body_bytes_max)
    return no_message();
  return size;
}

result<message> decode(std::span<const std::byte> whole) {
  if (whole.size() < header_bytes)
    return no_message();
  auto size = body_size(whole.first(header_bytes));
  if (!size)
    return fail(size.error());
  auto kind = static_cast<std::uint8_t>(whole[5]);
  decoder in{whole.subspan(header_bytes)};
  message out;
  if (in.left() != *size || !get(in, kind, out) || in.left() != 0)
    return no_message();
  return out;
}

} // namespace troupe::net::preamble
