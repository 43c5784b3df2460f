// SPDX-License-Identifier: Apache-2.0
#include "comm/nccl/gpu/one_device.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/cuda/factory.hpp"
#include "troupe/comm/nccl/endpoint.hpp"
#include "troupe/comm/nccl/factory.hpp"

namespace troupe::test {

namespace {

/// As ctest's SKIP_RETURN_CODE.
constexpr auto skipped = 77;

deadline ample() {
  return deadline::after(std::chrono::seconds{120});
}

} // namespace

device_or_skip::device_or_skip() {
  forked_ranks asked{1, [](std::size_t, pipe_end& parent) {
                       auto found = comm::nccl::probe();
                       bytes text;
                       encoder to{text};
                       to.put(std::uint8_t{found.usable});
                       to.put(std::string_view{found.reason});
                       return parent.say(text) ? 0 : 1;
                     }};
  auto said = asked.to(0).hear(ample());
  std::uint8_t usable = 0;
  std::string reason = "the probe did not answer";
  if (said) {
    decoder from{*said};
    if (!from.get(usable) || !from.get(reason))
      usable = 0;
  }
  if (usable != 0)
    return;
  fmt::print("skipped: {}\n", reason);
  std::fflush(nullptr);
  std::_Exit(skipped);
}

result<comm::nccl::settings> settings_on_one_device(std::size_t rank) {
  ::setenv("NCCL_HOSTID", fmt::format("troupe-test-{}", rank).c_str(), 1);
  ::setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  ::setenv("NCCL_IB_DISABLE", "1", 0);
  // Fabrics of NVLink between machines go by the device, not by the host's name.
  ::setenv("NCCL_MNNVL_ENABLE", "0", 0);
  auto runtime = comm::cuda::make_runtime();
  if (!runtime)
    return fail(runtime.error());
  auto library = comm::nccl::make_library();
  if (!library)
    return fail(library.error());
  comm::nccl::settings out;
  out.runtime = std::move(*runtime);
  out.library = std::move(*library);
  return out;
}

rank_place join_on_one_device(std::size_t rank, std::int32_t size,
                              pipe_end& parent) {
  auto config = settings_on_one_device(rank);
  if (!config) {
    fmt::print(stderr, "rank {}: {}\n", rank, to_string(config.error()));
    return {};
  }
  auto self = comm::nccl::make_endpoint(rank_id{static_cast<std::int32_t>(
                                          rank)},
                                        size, *config);
  if (!self) {
    fmt::print(stderr, "rank {}: {}\n", rank, to_string(self.error()));
    return {};
  }
  auto all = exchange(parent, (*self)->address(), ample());
  auto made = (*self)->connect(all, ample());
  if (!made) {
    fmt::print(stderr, "rank {}: {}\n", rank, to_string(made.error()));
    return {};
  }
  return {std::dynamic_pointer_cast<comm::nccl::nccl_communicator>(*made),
          config->runtime};
}

} // namespace troupe::test
