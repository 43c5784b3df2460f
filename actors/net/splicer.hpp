// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "troupe/actors/net/event_loop.hpp"
#include "troupe/actors/net/stream.hpp"

namespace troupe::net {

/// Copies bytes between pairs of streams, both ways:
///
///     a  --- 64 KiB --->  b
///        <--- 64 KiB ---
///
/// A side that reads slowly fills its buffer, then the other side is not read
/// any more: memory is bounded and TCP passes the pressure on. When either side
/// ends, what it said last is delivered (for at most `linger`), and both are
/// closed; when either breaks, both are closed at once.
///
/// Threads: the loop's alone.
class splicer {
public:
  using id = std::uint64_t;

  /// What one direction holds back at most.
  static constexpr std::size_t buffer_bytes = 64 * 1024;

  /// How long a side that has ended may keep the other waiting for its last
  /// bytes.
  static constexpr duration linger = std::chrono::seconds{2};

  /// `loop` must outlive the splicer.
  explicit splicer(event_loop& loop);

  splicer(const splicer&) = delete;

  splicer& operator=(const splicer&) = delete;

  /// Closes all pairs without calling back.
  ~splicer();

  /// Takes over two streams after their handshakes. `on_end` is called once,
  /// when both are closed, and not before `add` has returned; not after
  /// `remove`.
  id add(std::unique_ptr<stream> a, std::unique_ptr<stream> b,
         std::function<void()> on_end);

  /// Closes both sides.
  void remove(id x);

  /// Pairs that live.
  [[nodiscard]] std::size_t size() const noexcept { return pairs_.size(); }

private:
  struct pair;

  void pump(id x, bool broken);

  void finish(id x);

  event_loop& loop_;
  id last_ = 0;
  std::map<id, std::unique_ptr<pair>> pairs_;

  /// Tells tasks on their way that the splicer is gone.
  std::shared_ptr<bool> alive_;
};

} // namespace troupe::net
