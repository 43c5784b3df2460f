// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace troupe {

/// A number that names one thing of one kind. Two kinds of id never convert
/// into each other, so a rank cannot be passed where a device is expected.
/// Values are trivially copyable; the default value is zero.
template <class Tag, class Rep>
class id {
public:
  using value_type = Rep;

  constexpr id() noexcept = default;

  constexpr explicit id(Rep value) noexcept : value_(value) {
    // nop
  }

  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }

  constexpr auto operator<=>(const id&) const noexcept = default;

  /// The id that follows this one.
  [[nodiscard]] constexpr id next() const noexcept {
    return id{static_cast<Rep>(value_ + 1)};
  }

  /// Lets CAF's serializers see the value without core knowing CAF.
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, id& x) {
    return f(x.value_);
  }

private:
  Rep value_ = 0;
};

template <class Tag, class Rep>
[[nodiscard]] std::string to_string(id<Tag, Rep> x) {
  return std::to_string(x.value());
}

/// Position of a worker inside its replica, 0-based.
using rank_id = id<struct rank_id_tag, std::int32_t>;

/// Position of a replica inside its model, 0-based.
using replica_id = id<struct replica_id_tag, std::int32_t>;

/// A device in the whole job, 0-based, numbered node by node.
using device_id = id<struct device_id_tag, std::int32_t>;

/// A machine of the job, 0-based.
using node_id = id<struct node_id_tag, std::int32_t>;

/// Counts the lives of one process slot: a restarted device host has the next
/// incarnation, and messages of an older one are dropped.
using incarnation = id<struct incarnation_tag, std::uint32_t>;

/// Counts the committed sets of weights of one model; 0 is what `setup` made.
using weight_version = id<struct weight_version_tag, std::uint64_t>;

/// A buffer of one process's batch store.
using buffer_id = id<struct buffer_id_tag, std::uint64_t>;

} // namespace troupe

template <class Tag, class Rep>
struct std::hash<troupe::id<Tag, Rep>> {
  std::size_t operator()(troupe::id<Tag, Rep> x) const noexcept {
    return std::hash<Rep>{}(x.value());
  }
};
