// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda_ipc/factory.hpp"

#include <utility>

#include <fmt/core.h>

#include "troupe/comm/cuda_ipc/allocation.hpp"
#include "troupe/comm/cuda_ipc/importer.hpp"
#include "troupe/comm/cuda_ipc/process_tables.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/socket.hpp"

namespace troupe::comm::cuda_ipc {

namespace {

constexpr std::string_view backend = "cuda_ipc";

result<void> check(const cuda::runtime_ptr& runtime, std::int32_t device,
                   const std::vector<std::shared_ptr<shared_memory>>& all) {
  auto tables = process_tables::of(runtime);
  auto here = tables->uuid_of(device);
  if (!here)
    return fail(here.error());
  for (const auto& x : all) {
    // Arenas have no name; a peer can read them as well.
    if (x->name().empty())
      continue;
    auto name = decode(x->name());
    if (!name)
      return fail(name.error());
    if (name->device != *here)
      return fail(errc::invalid,
                  fmt::format("memory on device {} for a link from device {} "
                              "({})",
                              text_of(name->device), device, text_of(*here)));
  }
  return {};
}

} // namespace

probe_result probe(const cuda::runtime_ptr& runtime, std::int32_t device) {
  auto made = make_allocation(runtime, device, 1);
  if (!made)
    return {false, made.error().message()};
  return {true, runtime->version()};
}

result<link_ptr>
make_sender(int fd, const cuda::runtime_ptr& runtime, std::int32_t device,
            std::vector<std::shared_ptr<shared_memory>> memories) {
  socket line{fd};
  if (auto good = check(runtime, device, memories); !good)
    return fail(good.error());
  return shm::make_sender(line.release(), std::move(memories), backend);
}

result<link_ptr> make_receiver(int fd, const cuda::runtime_ptr& runtime) {
  return shm::make_receiver(fd, make_importer(runtime), backend);
}

} // namespace troupe::comm::cuda_ipc
