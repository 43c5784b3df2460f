// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::call {

/// The calls an actor has made and not heard of yet. CAF 0.17 never answers a
/// request whose target's process has died, so somebody must remember who was
/// asked: when a target goes down all its calls end at once with its error.
///
/// Plain state, no actor: `Target` is anything with equality and a hash. Every
/// entry ends exactly once, by `settle` or by `target_down`.
template <class Target>
class pending_calls {
public:
  using call_id = std::uint64_t;
  using failure_handler = std::function<void(const error&)>;

  /// Remembers a call. `on_failure` runs at most once.
  call_id add(Target target, failure_handler on_failure) {
    auto id = next_id_++;
    calls_.emplace(id, entry{std::move(target), std::move(on_failure)});
    return id;
  }

  /// Forgets a call that was answered; false if it has ended already, in which
  /// case the answer must be ignored.
  [[nodiscard]] bool settle(call_id id) { return calls_.erase(id) > 0; }

  /// Fails every call to `target`, in the order they were made.
  void target_down(const Target& target, const error& reason) {
    std::vector<std::pair<call_id, failure_handler>> failed;
    for (auto i = calls_.begin(); i != calls_.end();) {
      if (i->second.target == target) {
        failed.emplace_back(i->first, std::move(i->second.on_failure));
        i = calls_.erase(i);
      } else {
        ++i;
      }
    }
    std::sort(failed.begin(), failed.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    // A handler may make calls of its own.
    for (auto& [id, handler] : failed)
      handler(reason);
  }

  /// Forgets all calls without running their handlers.
  void clear() {
    // What handlers hold may look at the table when it is destroyed.
    auto forgotten = std::exchange(calls_, {});
  }

  [[nodiscard]] std::size_t size() const noexcept { return calls_.size(); }

private:
  struct entry {
    Target target;
    failure_handler on_failure;
  };

  call_id next_id_ = 1;
  std::unordered_map<call_id, entry> calls_;
};

} // namespace troupe::call
