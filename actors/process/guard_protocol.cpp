// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/guard_protocol.hpp"

#include <utility>

namespace troupe::process::guard_protocol {

namespace {

constexpr std::uint32_t magic = 0x33'47'52'54; // "TRG3"

void put(encoder& out, const std::vector<std::string>& xs) {
  out.put(static_cast<std::uint32_t>(xs.size()));
  for (const auto& x : xs)
    out.put(std::string_view{x});
}

bool get(decoder& in, std::vector<std::string>& xs) {
  std::uint32_t count = 0;
  // Every entry takes four bytes at least: a count beyond that is a lie.
  if (!in.get(count) || count > in.left() / 4)
    return false;
  xs.resize(count);
  for (auto& x : xs)
    // The kernel ends strings at the first zero byte; so do not carry any.
    if (!in.get(x) || x.find('\0') != std::string::npos)
      return false;
  return true;
}

bool is_slot(std::int32_t x) {
  return x >= node_slot && x < slots_max;
}

// -- one pair of functions a message -----------------------------------------

void put(encoder& out, const spawn& x) {
  out.put(x.request);
  out.put(x.command.slot);
  out.put(x.command.incarnation.value());
  out.put(std::string_view{x.command.executable});
  put(out, x.command.argv);
  put(out, x.command.env);
  out.put(std::string_view{x.command.log_path});
}

bool get_life(decoder& in, std::int32_t& slot, troupe::incarnation& life) {
  std::uint32_t value = 0;
  if (!in.get(slot) || !in.get(value) || !is_slot(slot))
    return false;
  life = troupe::incarnation{value};
  return true;
}

bool get(decoder& in, spawn& x) {
  auto& to = x.command;
  return in.get(x.request) && get_life(in, to.slot, to.incarnation)
         && to.slot >= 0 && in.get(to.executable)
         && to.executable.find('\0') == std::string::npos && get(in, to.argv)
         && !to.argv.empty() && get(in, to.env) && in.get(to.log_path)
         && to.log_path.find('\0') == std::string::npos;
}

void put(encoder& out, const kill& x) {
  out.put(x.slot);
  out.put(x.incarnation.value());
  out.put(x.signal);
}

bool get(decoder& in, kill& x) {
  return get_life(in, x.slot, x.incarnation) && in.get(x.signal) && x.signal > 0
         && x.signal <= 64;
}

void put(encoder& out, const shutdown& x) {
  out.put(x.grace_ms);
}

bool get(decoder& in, shutdown& x) {
  return in.get(x.grace_ms) && x.grace_ms <= grace_ms_max;
}

void put(encoder& out, const spawned& x) {
  out.put(x.request);
  out.put(x.pid);
}

bool get(decoder& in, spawned& x) {
  return in.get(x.request) && in.get(x.pid) && x.pid > 0;
}

void put(encoder& out, const spawn_failed& x) {
  out.put(x.request);
  out.put(static_cast<std::uint8_t>(x.reason.code()));
  out.put(std::string_view{x.reason.message()});
}

bool get(decoder& in, spawn_failed& x) {
  std::uint8_t code = 0;
  std::string text;
  if (!in.get(x.request) || !in.get(code) || !in.get(text)
      || to_string(static_cast<errc>(code)) == "unknown")
    return false;
  x.reason = error{static_cast<errc>(code), std::move(text)};
  return true;
}

void put(encoder& out, const exited& x) {
  out.put(x.exit.slot);
  out.put(x.exit.incarnation.value());
  out.put(x.exit.pid);
  out.put(static_cast<std::int32_t>(x.exit.wait_status));
  out.put(x.exit.silent_ms);
}

bool get(decoder& in, exited& x) {
  std::int32_t status = 0;
  if (!get_life(in, x.exit.slot, x.exit.incarnation) || !in.get(x.exit.pid)
      || !in.get(status) || !in.get(x.exit.silent_ms))
    return false;
  x.exit.wait_status = status;
  return true;
}

void put(encoder& out, const peer& x) {
  out.put(x.slot);
  out.put(x.incarnation.value());
}

bool get(decoder& in, peer& x) {
  return get_life(in, x.slot, x.incarnation);
}

void put(encoder& out, const peer_gone& x) {
  out.put(x.slot);
  out.put(x.incarnation.value());
}

bool get(decoder& in, peer_gone& x) {
  return get_life(in, x.slot, x.incarnation);
}

void put(encoder&, const alive&) {
  // nop
}

bool get(decoder&, alive&) {
  return true;
}

void put(encoder& out, const begin_job& x) {
  out.put(std::string_view{x.job_id});
  out.put(x.pulse_ms);
  out.put(x.pulse_timeout_ms);
  out.put(x.node_grace_ms);
  out.put(x.core_grace_ms);
}

bool get(decoder& in, begin_job& x) {
  return in.get(x.job_id) && is_job_id(x.job_id) && in.get(x.pulse_ms)
         && in.get(x.pulse_timeout_ms) && in.get(x.node_grace_ms)
         && in.get(x.core_grace_ms);
}

/// Decodes the alternative whose index is `kind`.
template <std::size_t I = 0>
bool get_kind(std::size_t kind, decoder& in, message& out) {
  if constexpr (I < std::variant_size_v<message>) {
    if (kind != I)
      return get_kind<I + 1>(kind, in, out);
    return get(in, out.emplace<I>());
  } else {
    return false;
  }
}

} // namespace

bytes encode(const message& x) {
  bytes result;
  encoder out{result};
  out.put(magic);
  out.put(static_cast<std::uint8_t>(x.index()));
  std::visit([&out](const auto& y) { put(out, y); }, x);
  return result;
}

result<message> decode(std::span<const std::byte> from) {
  decoder in{from};
  std::uint32_t mark = 0;
  std::uint8_t kind = 0;
  message out;
  if (!in.get(mark) || mark != magic || !in.get(kind)
      || !get_kind(kind, in, out) || in.left() != 0)
    return fail(errc::corrupt, "not a message between node, guard and host");
  return out;
}

} // namespace troupe::process::guard_protocol
