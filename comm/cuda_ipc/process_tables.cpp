// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda_ipc/process_tables.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"

namespace troupe::comm::cuda_ipc {

namespace {

using cuda::check;
using cuda::device_guard;

/// True once nobody holds the other end.
bool let_go(const socket& tether) {
  pollfd watched{tether.fd(), 0, 0};
  return !tether || ::poll(&watched, 1, 0) < 0
         || (watched.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

std::uint64_t random_number() {
  std::random_device source;
  return (std::uint64_t{source()} << 32) | source();
}

struct all_tables {
  std::mutex mutex;
  std::map<const cuda::runtime*, std::weak_ptr<process_tables>> by_runtime;
};

/// Never destroyed: memory may be retired while the process ends.
all_tables& known_tables() {
  static auto* all = new all_tables;
  return *all;
}

} // namespace

std::shared_ptr<process_tables>
process_tables::of(const cuda::runtime_ptr& runtime) {
  tables_ptr found;
  {
    auto& all = known_tables();
    std::unique_lock lock{all.mutex};
    // A table keeps its runtime alive, so no address in use can repeat.
    std::erase_if(all.by_runtime,
                  [](const auto& x) { return x.second.expired(); });
    auto& slot = all.by_runtime[runtime.get()];
    found = slot.lock();
    if (!found) {
      found.reset(new process_tables{runtime});
      slot = found;
    }
  }
  found->sweep();
  return found;
}

process_tables::process_tables(cuda::runtime_ptr runtime)
  : runtime_(std::move(runtime)),
    number_(random_number()) {
  // nop
}

// -- memory of our own ---------------------------------------------------------

void process_tables::retire(cuda::device_memory memory,
                            socket tether) noexcept {
  if (let_go(tether))
    return;
  std::unique_lock lock{mutex_};
  retired_.push_back({std::move(memory), std::move(tether)});
  self_ = shared_from_this();
}

std::uint64_t process_tables::retired() const {
  std::unique_lock lock{mutex_};
  return retired_.size();
}

void process_tables::sweep() noexcept {
  // Die after the lock: freeing waits for the device.
  tables_ptr self;
  std::vector<retired_memory> free;
  std::unique_lock lock{mutex_};
  auto gone = std::partition(retired_.begin(), retired_.end(),
                             [](const auto& x) { return !let_go(x.tether); });
  free.assign(std::make_move_iterator(gone),
              std::make_move_iterator(retired_.end()));
  retired_.erase(gone, retired_.end());
  if (retired_.empty())
    self = std::move(self_);
}

// -- exporting -----------------------------------------------------------------

result<exported_ptr>
process_tables::export_allocation(const cuda::pointer_facts& where) {
  std::unique_lock lock{mutex_};
  auto& slot = exports_[where.allocation];
  auto known = slot.lock();
  // Memory that was freed in the meantime may stand at the same address.
  if (known && known->where.allocation_bytes == where.allocation_bytes
      && known->where.allocation_id == where.allocation_id)
    return known;
  auto made = std::make_shared<exported_allocation>();
  made->where = where;
  auto uuid = uuid_of(where.device);
  if (!uuid)
    return fail(uuid.error());
  made->device = *uuid;
  auto here = device_guard::enter(*runtime_, where.device);
  if (!here)
    return fail(here.error());
  auto done = check(*runtime_,
                    runtime_->export_memory(where.allocation, made->handle),
                    "cudaIpcGetMemHandle");
  if (!done && done.error().code() == errc::failed)
    return fail(
      errc::invalid,
      fmt::format("this device memory cannot be given to another process; only "
                  "memory of cudaMalloc can. For memory of cudaMallocAsync or "
                  "another pool: allocate it with cudaMalloc. For PyTorch: "
                  "PYTORCH_CUDA_ALLOC_CONF=backend:native,"
                  "expandable_segments:False. CUDA says: {}",
                  done.error().message()));
  if (!done)
    return fail(done.error());
  slot = made;
  std::erase_if(exports_, [](const auto& x) { return x.second.expired(); });
  return made;
}

memory_name process_tables::name_of(const exported_allocation& x) const {
  memory_name out;
  out.device = x.device;
  out.handle = x.handle;
  out.allocation_bytes = x.where.allocation_bytes;
  out.process_id = static_cast<std::int32_t>(::getpid());
  out.process_number = number_;
  return out;
}

// -- opening -------------------------------------------------------------------

result<std::byte*> process_tables::open(const memory_name& name) {
  if (name.process_number == number_)
    return fail(errc::invalid,
                fmt::format("the memory is this process's own (process {}), "
                            "and CUDA opens no handle in the process that made "
                            "it; use an inproc link",
                            name.process_id));
  auto device = find_device(name.device);
  if (!device)
    return fail(device.error());
  std::unique_lock lock{mutex_};
  auto key = opened_key{name.device, name.handle};
  auto found = opened_.find(key);
  if (found != opened_.end()) {
    if (auto good = check_size(found->second.begin, name); !good)
      return fail(good.error());
    ++found->second.users;
    return found->second.begin;
  }
  opened made;
  made.device = *device;
  made.users = 1;
  auto here = device_guard::enter(*runtime_, *device);
  if (!here)
    return fail(here.error());
  auto done = check(*runtime_, runtime_->import_memory(name.handle, made.begin),
                    "cudaIpcOpenMemHandle");
  if (!done && done.error().code() == errc::failed)
    return fail(errc::lost,
                fmt::format("memory of process {} on device {} cannot be "
                            "opened; it may have been freed, or the two run in "
                            "containers that do not share their IPC and PID "
                            "namespaces (share them with --ipc and --pid, or "
                            "set sync_link: gloo). CUDA says: {}",
                            name.process_id, *device, done.error().message()));
  if (!done)
    return fail(done.error());
  if (auto good = check_size(made.begin, name); !good) {
    cuda::ignore(*runtime_, runtime_->close_imported(made.begin));
    return fail(good.error());
  }
  opened_.emplace(key, made);
  return made.begin;
}

result<void> process_tables::check_size(const std::byte* begin,
                                        const memory_name& name) const {
  auto real = cuda::facts_of(*runtime_, begin);
  // Where CUDA does not say, the exporter's word must do.
  if (!real || real->allocation == nullptr || real->allocation_bytes == 0)
    return {};
  auto before = static_cast<std::uint64_t>(begin - real->allocation);
  if (before > real->allocation_bytes
      || name.offset + name.size > real->allocation_bytes - before)
    return fail(errc::corrupt,
                fmt::format("process {} names {} bytes at {} of an allocation "
                            "of {}",
                            name.process_id, name.size, name.offset,
                            real->allocation_bytes - before));
  return {};
}

void process_tables::close(const memory_name& name) noexcept {
  std::unique_lock lock{mutex_};
  auto found = opened_.find({name.device, name.handle});
  if (found == opened_.end() || --found->second.users > 0)
    return;
  auto here = device_guard::enter(*runtime_, found->second.device);
  cuda::ignore(*runtime_, runtime_->close_imported(found->second.begin));
  opened_.erase(found);
}

// -- devices -------------------------------------------------------------------

result<cuda::device_uuid> process_tables::uuid_of(std::int32_t device) const {
  cuda::device_figures out;
  if (auto done = check(*runtime_, runtime_->figures(device, out),
                        [&] {
                          return fmt::format("the figures of device {}",
                                             device);
                        });
      !done)
    return fail(done.error());
  return out.uuid;
}

result<std::int32_t>
process_tables::find_device(const cuda::device_uuid& wanted) const {
  std::int32_t count = 0;
  if (auto done = check(*runtime_, runtime_->device_count(count),
                        "cudaGetDeviceCount");
      !done)
    return fail(done.error());
  std::string seen;
  for (std::int32_t i = 0; i < count; ++i) {
    auto uuid = uuid_of(i);
    if (!uuid)
      return fail(uuid.error());
    if (*uuid == wanted)
      return i;
    seen += fmt::format("{}{}: {}", i == 0 ? "" : ", ", i, text_of(*uuid));
  }
  return fail(errc::invalid,
              fmt::format("the peer's memory lies on device {}, which this "
                          "process does not see ({}); name it in "
                          "CUDA_VISIBLE_DEVICES of both, or let NCCL link them",
                          text_of(wanted),
                          seen.empty() ? "it sees none" : seen));
}

} // namespace troupe::comm::cuda_ipc
