// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include "troupe/actors/process/host_types.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/units.hpp"

/// What travels between a node, its guard and the hosts. Every message is one
/// packet; decoding trusts nothing.
///
///     node -> guard   begin_job, spawn, kill, shutdown, alive
///     guard -> node   spawned, spawn_failed, exited, peer (+ socket), alive
///     guard -> host   peer (+ socket), peer_gone
///
/// A host sends the guard pulses, packets of one byte that say nothing but that
/// it lives; if nobody watches them, the guard's end is shut for reading.
namespace troupe::process::guard_protocol {

/// Longest message, and with it the bound on a host's arguments, environment
/// and paths together.
inline constexpr std::size_t message_bytes_max = 128 * kib;

/// A guard asked to end has done so by then.
inline constexpr std::uint32_t grace_ms_max = 60'000;

struct spawn {
  std::uint64_t request = 0;
  host_command command;
};

struct kill {
  std::int32_t slot = 0;
  troupe::incarnation incarnation;
  std::int32_t signal = 0;
};

struct shutdown {
  /// Time between SIGTERM and SIGKILL.
  std::uint32_t grace_ms = 0;
};

struct spawned {
  std::uint64_t request = 0;
  std::int32_t pid = 0;
};

struct spawn_failed {
  std::uint64_t request = 0;
  error reason;
};

struct exited {
  host_exit exit;
};

/// Carries the receiver's end of a socket to that process.
struct peer {
  std::int32_t slot = 0;
  troupe::incarnation incarnation;
};

struct peer_gone {
  std::int32_t slot = 0;
  troupe::incarnation incarnation;
};

/// A sign of life, in both directions between node and guard.
struct alive {};

/// For a guard that was forked before its job was known: before the first
/// spawn. Times as `guard_settings` has them.
struct begin_job {
  std::string job_id;
  std::uint32_t pulse_ms = 0;
  std::uint32_t pulse_timeout_ms = 0;
  std::uint32_t node_grace_ms = 0;
  std::uint32_t core_grace_ms = 0;
};

using message = std::variant<spawn, kill, shutdown, spawned, spawn_failed,
                             exited, peer, peer_gone, alive, begin_job>;

[[nodiscard]] bytes encode(const message& x);

/// Fails with `errc::corrupt`.
[[nodiscard]] result<message> decode(std::span<const std::byte> in);

} // namespace troupe::process::guard_protocol
