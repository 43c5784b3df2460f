// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <caf/actor_addr.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/error.hpp>
#include <caf/message.hpp>

namespace troupe::protocol {

/// Walks a message type through its `inspect` function at compile time and
/// stops the build at a member that CAF would pack as floating point (see
/// wire.hpp for why). Containers, maps, tuples, optionals, arrays and nested
/// messages are walked too.
class float_check {
public:
  using result_type = void;

  template <class... Ts>
  void operator()(Ts&&...) const {
    (check<std::remove_cvref_t<Ts>>(), ...);
  }

  template <class T>
  static void check() {
    static_assert(!std::is_floating_point_v<T>,
                  "a message must not hold a bare float or double: CAF 0.17 "
                  "damages NaN, -0 and denormals and hangs on infinities; "
                  "use troupe::protocol::wire_double");
    // A duration is packed as its count.
    if constexpr (requires {
                    typename T::rep;
                    typename T::period;
                  })
      check<std::remove_cvref_t<typename T::rep>>();
    if constexpr (is_variant<T>::value)
      is_variant<T>::check();
    // CAF packs a handle as an address: no floating point inside, and its
    // inspect function wants a real serializer. What a message or an error
    // holds is registered, and checked, itself.
    if constexpr (
      is_actor_handle<
        T> || std::is_same_v<T, caf::message> || std::is_same_v<T, caf::error>)
      return;
    else
      check_members<T>();
  }

private:
  template <class T>
  struct is_variant : std::false_type {};

  /// caf::variant and std::variant: any of the alternatives may be packed.
  template <template <class...> class Variant, class... Ts>
  requires requires(const Variant<Ts...>& x) {
    { x.index() } -> std::convertible_to<std::size_t>;
  }
  struct is_variant<Variant<Ts...>> : std::true_type {
    static void check() {
      (float_check::check<std::remove_cvref_t<Ts>>(), ...);
    }
  };

  template <class T>
  static constexpr bool is_actor_handle =
    std::is_same_v<
      T,
      caf::
        strong_actor_ptr> || std::is_same_v<T, caf::weak_actor_ptr> || requires(const T& x) {
    { x.address() } -> std::same_as<caf::actor_addr>;
  };

  template <class T>
  static void check_members() {
    if constexpr (std::is_array_v<T>) {
      check<std::remove_all_extents_t<T>>();
    } else if constexpr (requires { std::tuple_size<T>::value; }) {
      check_tuple<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
    } else if constexpr (requires {
                           typename T::key_type;
                           typename T::mapped_type;
                         }) {
      check<std::remove_cvref_t<typename T::key_type>>();
      check<std::remove_cvref_t<typename T::mapped_type>>();
    } else if constexpr (requires { typename T::value_type; }) {
      if constexpr (!std::is_same_v<typename T::value_type, T>)
        check<std::remove_cvref_t<typename T::value_type>>();
    } else if constexpr (std::is_class_v<T> && requires(T & x) { *x; }) {
      // caf::optional names its element nowhere.
      check<std::remove_cvref_t<decltype(*std::declval<T&>())>>();
    }
    if constexpr (requires(const float_check& f, T& x) { inspect(f, x); }) {
      // Never called: naming it makes the compiler look at the members.
      [[maybe_unused]] void (*walk)(const float_check&, T&) =
        [](const float_check& f, T& x) { inspect(f, x); };
    }
  }

  template <class T, std::size_t... Is>
  static void check_tuple(std::index_sequence<Is...>) {
    (check<std::remove_cvref_t<std::tuple_element_t<Is, T>>>(), ...);
  }
};

} // namespace troupe::protocol
