// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/bundle.hpp"
#include "troupe/core/error.hpp"

namespace troupe::call {

/// The bundles that somebody passes on, and what has been answered of each. A
/// member of nodes and hosts. One thread.
class bundle_book {
public:
  /// Bundles with answers that nobody has fetched: more than that, and the
  /// oldest is forgotten. Whoever asked for it is gone.
  static constexpr std::size_t unclaimed_max = 1024;

  using answer = reply<protocol::bundle_answers>;

  /// Asks all parcels of `x` with `calls`, and answers `out`.
  template <class Calls>
  void pass_on(Calls& calls, const protocol::bundle& x, const answer& out) {
    auto id = open(x.items.size(), out);
    auto together = calls.collect();
    for (std::size_t i = 0; i < x.items.size(); ++i)
      calls.forward(x.items[i], [this, id, i](result<caf::message> y) {
        set(id, i, std::move(y));
      });
  }

  /// Begins a bundle of `count` requests.
  std::uint64_t open(std::size_t count, answer out);

  /// A request of the bundle was answered.
  void set(std::uint64_t id, std::size_t index, result<caf::message> x);

  /// Somebody asks for the rest of a bundle.
  void fetch(std::uint64_t id, answer out);

  /// Forgets all: the promises they hold would keep their actor.
  void clear() { open_.clear(); }

  /// Bundles that are not answered in full.
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

private:
  struct entry {
    std::size_t left = 0;
    std::vector<protocol::bundle_answer> answers;
    bool failed = false;
    /// Who waits for the next answers, if somebody does.
    std::optional<answer> out;
  };

  using position = std::map<std::uint64_t, entry>::iterator;

  /// Answers who waits, if there is reason to.
  void tell(position at);

  void forget_unclaimed();

  std::map<std::uint64_t, entry> open_;
  std::uint64_t next_ = 1;
};

} // namespace troupe::call
