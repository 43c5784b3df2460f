// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "actors/sync_faults/job.hpp"

namespace sync_faults {

/// How the weights travel, by who touches them.
enum class path : std::uint8_t {
  /// Over shm, packed by the source.
  shm,
  /// Over shm, read where they lie in the source's arena.
  arena,
  /// Over gloo, by the kernel into the tensors: no trap catches that.
  gloo,
  /// Over gloo, in many small tensors that become bfloat16: packed and unpacked
  /// by both ends.
  packed,
};

/// One fault, and when.
struct injection {
  bool staged = false;
  path by = path::shm;
  /// The destination is one replica of two ranks, not two of one.
  bool pair = false;
  bool freeze = false;
  /// What the sync does without the dead: `sync_options::when_lost`.
  bool drop = false;
  std::size_t victim = 0;
  /// A step of the protocol; empty: when `trap_rank` touches `trap_at`.
  std::string step = {};
  std::size_t trap_rank = 0;
  /// An element.
  std::uint64_t trap_at = 0;

  /// It hits a preparation, not a run.
  [[nodiscard]] bool preparing() const;

  /// A run waits for the victim's answer to `step`.
  [[nodiscard]] bool awaited() const;

  /// Only a run that fails takes the step: somebody else must be frozen.
  [[nodiscard]] bool unwinding() const { return step == "reopen"; }

  /// What it is injected into.
  [[nodiscard]] topology where() const;
};

[[nodiscard]] std::string to_string(const injection& x);

/// Every step of the protocol at every rank that takes it.
[[nodiscard]] std::vector<injection> all_steps();

/// The first element of every bucket, and one inside it, as any rank touches
/// it. Some it never does: a source rank sends a part of them.
[[nodiscard]] std::vector<injection> all_buckets();

/// Deals all cards in random order, and again, so that none is missing long.
class deck {
public:
  explicit deck(std::vector<injection> cards) : cards_(std::move(cards)) {
    // nop
  }

  /// There must be cards.
  [[nodiscard]] injection draw(std::mt19937_64& random);

  /// Keeps those whose text contains `words`.
  void keep(const std::string& words);

  [[nodiscard]] std::size_t size() const noexcept { return cards_.size(); }

private:
  std::vector<injection> cards_;
  std::size_t next_ = 0;
};

} // namespace sync_faults
