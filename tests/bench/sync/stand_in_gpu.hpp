// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/cuda/host_kernel.hpp"
#include "support/cuda/stand_in_runtime.hpp"
#include "troupe/bench/sync/gpu.hpp"
#include "troupe/bench/sync/rates.hpp"
#include "troupe/core/units.hpp"

namespace troupe::test {

/// As little as there can be, in more than one bucket.
inline const bench::sync_load& small_load() {
  static const bench::sync_load load{2 * mib, 256 * kib};
  return load;
}

inline constexpr std::size_t few_rounds = 2;

/// A stand-in whose launches do what the kernel does.
inline std::shared_ptr<stand_in_runtime>
make_runtime(std::vector<std::uint32_t> devices = {0}) {
  stand_in_options options;
  options.devices = std::move(devices);
  auto out = std::make_shared<stand_in_runtime>(std::move(options));
  out->execute_with(host_kernel);
  return out;
}

/// The message is made before it is known to be needed.
template <class T>
T take(result<T> x) {
  auto text = x ? std::string{} : to_string(x.error());
  BOOST_REQUIRE_MESSAGE(x.has_value(), text);
  return std::move(*x);
}

/// Every round but the first, and each took its time.
inline bool complete(const bench::seconds_list& rounds) {
  return rounds.size() == few_rounds
         && std::ranges::all_of(rounds, [](double x) { return x > 0; });
}

/// What went wrong on a device, and what it still holds.
inline void check_clean(stand_in_runtime& runtime) {
  for (const auto& x : runtime.finish())
    BOOST_ERROR(x);
}

} // namespace troupe::test
