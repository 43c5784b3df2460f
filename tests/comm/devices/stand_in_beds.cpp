// SPDX-License-Identifier: Apache-2.0
#include "comm/devices/stand_in_beds.hpp"

#include <chrono>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "support/cuda/host_kernel.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda_ipc/process_tables.hpp"
#include "troupe/comm/devices/cuda_device.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/shm/factory.hpp"

namespace troupe::test {

namespace {

std::shared_ptr<stand_in_runtime> make_runtime(std::uint32_t devices) {
  stand_in_options options;
  options.devices.clear();
  for (std::uint32_t x = 0; x < devices; ++x)
    options.devices.push_back(x);
  auto out = std::make_shared<stand_in_runtime>(options);
  out->execute_with(host_kernel);
  return out;
}

device_subject subject_of(const std::shared_ptr<stand_in_runtime>& runtime,
                          std::uint32_t number, comm::nccl::library_ptr nccl) {
  auto device = comm::devices::cuda_device::make(runtime,
                                                 static_cast<std::int32_t>(
                                                   number),
                                                 std::move(nccl),
                                                 "the test wants none");
  return {device.value(), runtime};
}

} // namespace

stand_in_devices::stand_in_devices(std::uint32_t count, bool side_by_side)
  : runtime(make_runtime(count)),
    other(make_runtime(count)) {
  stand_in_nccl_options options;
  options.one_kernel_at_a_time = !side_by_side;
  nccl = std::make_shared<stand_in_nccl>(runtime, options);
}

device_subject stand_in_devices::at(std::uint32_t number,
                                    bool with_nccl) const {
  return subject_of(runtime, number, with_nccl ? nccl : nullptr);
}

device_subject stand_in_devices::elsewhere() const {
  return subject_of(other, first, nullptr);
}

std::vector<std::string> stand_in_devices::finish() const {
  auto out = nccl->misuse();
  if (nccl->standing() > 0)
    out.emplace_back("leak: a communicator of NCCL");
  for (const auto& x : {runtime, other}) {
    // Memory that others had open is freed by the next who comes along.
    (void) comm::cuda_ipc::process_tables::of(x);
    for (auto& what : x->finish())
      out.push_back(std::move(what));
  }
  return out;
}

void check_clean(const stand_in_devices& what) {
  auto found = what.finish();
  for (const auto& x : found)
    BOOST_ERROR(x);
  BOOST_CHECK(found.empty());
}

// -- beds ----------------------------------------------------------------------

device_bed cuda_bed(const devices_ptr& on) {
  auto here = on->at(on->first);
  return {here, here, link_kind::cuda, comm::inproc::make_link};
}

device_bed cuda_ipc_bed(const devices_ptr& on, ipc_memory memory,
                        std::size_t area_bytes) {
  device_bed out{on->at(on->first), on->elsewhere(), link_kind::cuda_ipc};
  std::vector<std::shared_ptr<comm::shared_memory>> memories;
  if (memory != ipc_memory::unnamed) {
    auto area = std::make_shared<shared_area>(out.source, area_bytes,
                                              memory == ipc_memory::given);
    memories.push_back(area->memory());
    auto mixed = memory == ipc_memory::mixed;
    auto count = std::make_shared<std::size_t>(0);
    out.source_memory = [=, source = out.source](std::size_t bytes) {
      return mixed && ++*count % 3 == 0 ? source.allocate(bytes)
                                        : area->allocate(bytes);
    };
  }
  out.make_link = [source = out.source, destination = out.destination,
                   memories] {
    auto fds = comm::shm::make_sockets().value();
    return std::pair{source.device->make_sender(fds.first, memories).value(),
                     destination.device->make_receiver(fds.second).value()};
  };
  return out;
}

device_bed nccl_bed(const devices_ptr& on) {
  device_bed out{on->at(on->first), on->at(on->first + 1), link_kind::nccl};
  out.make_link = [source = out.source, destination = out.destination] {
    return link_over(connect(endpoints_of({source, destination})), "nccl");
  };
  return out;
}

sync_backend nccl_backend(const devices_ptr& on) {
  std::vector<device_subject> all;
  for (std::uint32_t x = 0; x < 2 * ranks_max; ++x)
    all.push_back(on->at(x));
  auto place = [all](bool sends, std::size_t rank) {
    return all[rank + (sends ? 0 : ranks_max)];
  };
  sync_backend out;
  out.kind = link_kind::nccl;
  out.memory.source_of = [=](std::size_t rank, std::size_t bytes) {
    return place(true, rank).allocate(bytes);
  };
  out.memory.destination_of = [=](std::size_t rank, std::size_t bytes) {
    return place(false, rank).allocate(bytes);
  };
  auto holder = [all](const void* what) {
    for (const auto& x : all)
      if (x.holds(what))
        return x;
    return device_subject{};
  };
  out.memory.put = [=](std::byte* to, std::span<const std::byte> from) {
    holder(to).put(to, from);
  };
  out.memory.get = [=](std::span<std::byte> to, const std::byte* from) {
    holder(from).get(to, from);
  };
  out.make_link_of = [=](std::size_t source, std::size_t destination) {
    return link_over(connect(endpoints_of(
                       {place(true, source), place(false, destination)})),
                     "nccl");
  };
  out.engines_of = [=](bool sends, std::size_t rank) {
    return place(sends, rank).engines();
  };
  return out;
}

// -- groups --------------------------------------------------------------------

std::vector<comm::endpoint_ptr>
endpoints_of(const std::vector<device_subject>& devices) {
  std::vector<comm::endpoint_ptr> out;
  auto size = static_cast<std::int32_t>(devices.size());
  for (const auto& x : devices) {
    auto rank = rank_id{static_cast<std::int32_t>(out.size())};
    out.push_back(x.device->make_endpoint(rank, size, {}).value());
  }
  return out;
}

std::vector<comm::communicator_ptr>
connect(const std::vector<comm::endpoint_ptr>& endpoints) {
  std::vector<bytes> addresses;
  for (const auto& x : endpoints)
    addresses.push_back(x->address());
  auto until = deadline::after(std::chrono::seconds{60});
  auto made = in_threads(endpoints.size(), [&](std::size_t rank) {
    return endpoints[rank]->connect(addresses, until).value_or(nullptr);
  });
  for (const auto& x : made)
    if (!x)
      throw std::runtime_error{"a rank did not connect"};
  return made;
}

} // namespace troupe::test
