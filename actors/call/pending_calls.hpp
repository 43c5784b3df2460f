// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::call {

/// The calls an actor has made and not heard of yet. CAF 0.17 never answers a
/// request whose target's process has died, so somebody must remember who was
/// asked: when a target goes down all its calls end at once with its error. And
/// its clock holds each deadline until it has passed, however soon the answer
/// came; here it goes with the call.
///
/// Plain state, no actor: `Target` is anything with equality and a hash. Every
/// entry ends exactly once, by `settle`, by `expire` or by `target_down`.
template <class Target>
class pending_calls {
public:
  using call_id = std::uint64_t;
  using failure_handler = std::function<void(const error&)>;
  using time_point = std::chrono::steady_clock::time_point;

  /// Remembers a call. `on_failure` runs at most once.
  call_id add(Target target, failure_handler on_failure,
              std::optional<time_point> deadline = std::nullopt) {
    auto id = next_id_++;
    calls_of_[target].insert(id);
    if (deadline)
      deadlines_.emplace(*deadline, id);
    calls_.emplace(id,
                   entry{std::move(target), std::move(on_failure), deadline});
    return id;
  }

  /// Forgets a call that was answered; false if it has ended already, in which
  /// case the answer must be ignored.
  [[nodiscard]] bool settle(call_id id) {
    auto i = calls_.find(id);
    if (i == calls_.end())
      return false;
    // What its handler holds may look at the table when it is destroyed.
    auto ended = remove(i);
    return true;
  }

  /// Forgets every call whose deadline has passed and gives their handlers, the
  /// earliest first: whoever runs them sees to the table first, because a
  /// handler may make calls of its own.
  [[nodiscard]] std::vector<failure_handler> expire(time_point now) {
    std::vector<failure_handler> failed;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now)
      failed.push_back(
        remove(calls_.find(deadlines_.begin()->second)).on_failure);
    return failed;
  }

  /// None if no call has one.
  [[nodiscard]] std::optional<time_point> next_deadline() const {
    if (deadlines_.empty())
      return std::nullopt;
    return deadlines_.begin()->first;
  }

  /// Fails every call to `target`, in the order they were made; costs no more
  /// than those, however many others there are.
  void target_down(const Target& target, const error& reason) {
    auto of = calls_of_.find(target);
    if (of == calls_of_.end())
      return;
    auto ids = std::move(of->second);
    calls_of_.erase(of);
    std::vector<failure_handler> failed;
    for (auto id : ids) {
      auto i = calls_.find(id);
      failed.push_back(std::move(i->second.on_failure));
      forget_deadline(i->second, id);
      calls_.erase(i);
    }
    // A handler may make calls of its own.
    for (auto& handler : failed)
      handler(reason);
  }

  /// Forgets all calls without running their handlers.
  void clear() {
    // What handlers hold may look at the table when it is destroyed.
    calls_of_.clear();
    deadlines_.clear();
    auto forgotten = std::exchange(calls_, {});
  }

  [[nodiscard]] std::size_t size() const noexcept { return calls_.size(); }

private:
  struct entry {
    Target target;
    failure_handler on_failure;
    std::optional<time_point> deadline;
  };

  using position = typename std::unordered_map<call_id, entry>::iterator;

  entry remove(position at) {
    auto id = at->first;
    auto of = calls_of_.find(at->second.target);
    of->second.erase(id);
    if (of->second.empty())
      calls_of_.erase(of);
    forget_deadline(at->second, id);
    auto out = std::move(at->second);
    calls_.erase(at);
    return out;
  }

  void forget_deadline(const entry& x, call_id id) {
    if (x.deadline)
      deadlines_.erase({*x.deadline, id});
  }

  call_id next_id_ = 1;
  std::unordered_map<call_id, entry> calls_;
  /// In the order they were made.
  std::unordered_map<Target, std::set<call_id>> calls_of_;
  std::set<std::pair<time_point, call_id>> deadlines_;
};

} // namespace troupe::call
