// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::call {

/// Waits for `count` answers and then runs `done` once: with all of them in the
/// order of their indices, or with the first error that came, at once, while
/// the others are ignored.
///
/// Plain state; one thread. Make it with `std::make_shared` and let the
/// handlers of the calls share it.
template <class T>
class gather {
public:
  using handler = std::function<void(result<std::vector<T>>)>;

  gather(std::size_t count, handler done)
    : answers_(count),
      open_(count),
      done_(std::move(done)) {
    if (open_ == 0)
      finish(std::vector<T>{});
  }

  void set(std::size_t index, result<T> answer) {
    if (!done_ || index >= answers_.size() || answers_[index])
      return;
    if (!answer) {
      finish(fail(answer.error()));
      return;
    }
    answers_[index] = std::move(*answer);
    if (--open_ > 0)
      return;
    std::vector<T> all;
    all.reserve(answers_.size());
    for (auto& x : answers_)
      all.push_back(std::move(*x));
    finish(std::move(all));
  }

private:
  void finish(result<std::vector<T>> x) {
    auto done = std::exchange(done_, nullptr);
    done(std::move(x));
  }

  std::vector<std::optional<T>> answers_;
  std::size_t open_;
  handler done_;
};

} // namespace troupe::call
