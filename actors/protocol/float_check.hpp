// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

namespace troupe::protocol {

/// Walks a message type through its `inspect` function at compile time and
/// stops the build at a member that CAF would pack as floating point (see
/// wire.hpp for why). Containers, pairs, maps and nested messages are walked
/// too.
class float_check {
public:
  using result_type = void;

  template <class... Ts>
  void operator()(Ts&&...) const {
    (check<std::decay_t<Ts>>(), ...);
  }

  template <class T>
  static void check() {
    static_assert(!std::is_floating_point_v<T>,
                  "a message must not hold a bare float or double: CAF 0.17 "
                  "damages NaN, -0 and denormals and hangs on infinities; "
                  "use troupe::protocol::wire_double");
    if constexpr (requires {
                    typename T::key_type;
                    typename T::mapped_type;
                  }) {
      check<std::decay_t<typename T::key_type>>();
      check<std::decay_t<typename T::mapped_type>>();
    } else if constexpr (requires {
                           typename T::first_type;
                           typename T::second_type;
                         }) {
      check<std::decay_t<typename T::first_type>>();
      check<std::decay_t<typename T::second_type>>();
    } else if constexpr (requires { typename T::value_type; }) {
      if constexpr (!std::is_same_v<typename T::value_type, T>)
        check<std::decay_t<typename T::value_type>>();
    }
    if constexpr (requires(const float_check& f, T& x) { inspect(f, x); }) {
      // Never called: naming it makes the compiler look at the members.
      [[maybe_unused]] void (*walk)(const float_check&, T&)
        = [](const float_check& f, T& x) { inspect(f, x); };
    }
  }
};

} // namespace troupe::protocol
