// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/cuda/stand_in_nccl.hpp"
#include "support/cuda/stand_in_runtime.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/nccl/communicator.hpp"
#include "troupe/comm/nccl/endpoint.hpp"

namespace troupe::test {

/// Imagined devices, one a rank, and the stand-ins that ranks use together.
struct stand_in_machine {
  explicit stand_in_machine(std::uint32_t devices,
                            stand_in_nccl_options options = {}) {
    stand_in_options what;
    what.devices.clear();
    for (std::uint32_t x = 0; x < devices; ++x)
      what.devices.push_back(x);
    runtime = std::make_shared<stand_in_runtime>(what);
    library = std::make_shared<stand_in_nccl>(runtime, options);
  }

  [[nodiscard]] comm::nccl::settings settings_of(std::int32_t rank) const {
    comm::nccl::settings out;
    out.device = rank;
    out.runtime = runtime;
    out.library = library;
    return out;
  }

  /// What a test checks last, when its communicators are gone.
  void check_clean() const {
    for (const auto& x : library->misuse())
      BOOST_ERROR(x);
    for (const auto& x : runtime->finish())
      BOOST_ERROR(x);
    BOOST_CHECK_EQUAL(library->standing(), 0u);
  }

  std::shared_ptr<stand_in_runtime> runtime;
  std::shared_ptr<stand_in_nccl> library;
};

inline deadline ample() {
  return deadline::after(std::chrono::seconds{60});
}

inline deadline soon() {
  return deadline::after(std::chrono::milliseconds{100});
}

/// Code of an operation that should have failed.
inline errc code_of(const result<void>& x) {
  return x ? errc{} : x.error().code();
}

using nccl_group = std::vector<std::shared_ptr<comm::nccl::nccl_communicator>>;

/// A group of one rank a device; `change` may alter a rank's settings.
template <class F>
nccl_group make_group(const stand_in_machine& on, std::int32_t size, F change) {
  std::vector<comm::endpoint_ptr> endpoints;
  std::vector<bytes> addresses;
  for (std::int32_t rank = 0; rank < size; ++rank) {
    auto config = on.settings_of(rank);
    change(rank, config);
    endpoints.push_back(
      comm::nccl::make_endpoint(rank_id{rank}, size, config).value());
    addresses.push_back(endpoints.back()->address());
  }
  auto made = in_threads(endpoints.size(), [&](std::size_t rank) {
    return endpoints[rank]->connect(addresses, ample()).value_or(nullptr);
  });
  nccl_group out;
  for (auto& x : made) {
    BOOST_REQUIRE(x);
    out.push_back(std::dynamic_pointer_cast<comm::nccl::nccl_communicator>(x));
  }
  return out;
}

inline nccl_group make_group(const stand_in_machine& on, std::int32_t size) {
  return make_group(on, size, [](std::int32_t, comm::nccl::settings&) {});
}

} // namespace troupe::test
