// SPDX-License-Identifier: Apache-2.0
#include "support/cuda/stand_in_runtime.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "troupe/comm/transfer/region.hpp"

namespace troupe::test {

namespace {

namespace codes = comm::cuda::codes;
using comm::cuda::memory_kind;
using status = comm::cuda::status;

struct status_name {
  status code;
  const char* name;
  const char* text;
};

// As CUDA spells them.
constexpr status_name names[] = {
  {codes::success, "cudaSuccess", "no error"},
  {codes::invalid_value, "cudaErrorInvalidValue", "invalid argument"},
  {codes::out_of_memory, "cudaErrorMemoryAllocation", "out of memory"},
  {codes::insufficient_driver, "cudaErrorInsufficientDriver",
   "CUDA driver version is insufficient for CUDA runtime version"},
  {codes::devices_unavailable, "cudaErrorDevicesUnavailable",
   "CUDA-capable device(s) is/are busy or unavailable"},
  {codes::no_device, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
  {codes::invalid_device, "cudaErrorInvalidDevice", "invalid device ordinal"},
  {codes::invalid_handle, "cudaErrorInvalidResourceHandle",
   "invalid resource handle"},
  {codes::not_ready, "cudaErrorNotReady", "device not ready"},
  {codes::illegal_address, "cudaErrorIllegalAddress",
   "an illegal memory access was encountered"},
  {codes::launch_failure, "cudaErrorLaunchFailure",
   "unspecified launch failure"},
};

/// A host that waits without a deadline of its own.
constexpr std::chrono::seconds patience{10};

void add_runs(std::vector<memory_touch>& out,
              const comm::cuda::device_region& what, std::uint64_t elements,
              const memory_loop* loops, bool writes) {
  comm::transfer::region_cursor cursor{comm::transfer::region{
    what.first,
    what.type,
    what.skip + elements,
    what.run_elements,
    {loops + what.loops_begin, what.loops},
  }};
  auto walk = [&](std::uint64_t left, auto&& at) {
    while (left > 0) {
      auto bytes = std::min<std::uint64_t>(left, cursor.contiguous());
      at(bytes);
      cursor.advance(bytes);
      left -= bytes;
    }
  };
  walk(what.skip * size_of(what.type), [](std::uint64_t) {});
  walk(elements * size_of(what.type), [&](std::uint64_t bytes) {
    out.push_back({cursor.data(), bytes, writes});
  });
}

std::vector<memory_touch> touches_of(const comm::cuda::copy_launch& what) {
  std::vector<memory_touch> out;
  std::uint64_t loops = 0;
  for (std::uint32_t i = 0; i < what.part_count; ++i) {
    const auto& part = what.parts[i];
    if (what.sums != nullptr)
      out.push_back({what.sums + part.sum, sizeof(digest), true});
    add_runs(out, part.from, part.elements, what.loops, false);
    loops = std::max<std::uint64_t>(loops,
                                    part.from.loops_begin + part.from.loops);
    if (!what.writes)
      continue;
    add_runs(out, part.to, part.elements, what.loops, true);
    loops = std::max<std::uint64_t>(loops, part.to.loops_begin + part.to.loops);
  }
  out.push_back(
    {what.parts, what.part_count * sizeof(comm::cuda::device_part), false});
  out.push_back({what.loops, loops * sizeof(memory_loop), false});
  out.push_back({what.dividers, loops * sizeof(comm::cuda::divider), false});
  return out;
}

} // namespace

stand_in_runtime::stand_in_runtime(stand_in_options options)
  : options_(std::move(options)),
    log_(std::make_shared<hazard_log>()),
    memory_(log_),
    memory_limit_(std::uint64_t{1} << 40) {
  static std::atomic<std::uint64_t> last = 0;
  serial_ = ++last;
}

stand_in_runtime::~stand_in_runtime() {
  std::vector<std::thread> workers;
  {
    lock guard{mutex_};
    for (auto& x : leaks_locked())
      log_->add(std::move(x));
    closing_ = true;
    cancelled_ = true;
    for (auto& [handle, x] : streams_)
      old_streams_.push_back(x);
    for (auto& x : old_streams_)
      workers.push_back(std::move(x->worker));
    changed_.notify_all();
  }
  for (auto& x : workers)
    if (x.joinable())
      x.join();
}

comm::cuda::device_uuid stand_in_runtime::uuid_of(std::uint32_t number) {
  comm::cuda::device_uuid out{};
  out[0] = std::byte{0x5A};
  std::memcpy(out.data() + 4, &number, sizeof(number));
  return out;
}

// -- what went wrong -----------------------------------------------------------

std::vector<std::string> stand_in_runtime::hazards() const {
  return log_->all();
}

std::vector<std::string> stand_in_runtime::leaks() const {
  lock guard{mutex_};
  return leaks_locked();
}

std::vector<std::string> stand_in_runtime::leaks_locked() const {
  auto out = memory_.leaks();
  for (const auto& [handle, x] : streams_)
    out.push_back(fmt::format("leak: stream {}", x->line));
  for (const auto& [handle, x] : events_)
    out.push_back(fmt::format("leak: event {}", x->number));
  return out;
}

std::vector<std::string>
stand_in_runtime::finish(std::chrono::milliseconds limit) {
  lock guard{mutex_};
  auto ended = wait_until(guard, limit, [this] { return idle(); });
  auto out = log_->all();
  if (!ended)
    out.emplace_back("finish: there is work that does not end");
  for (auto& x : leaks_locked())
    out.push_back(std::move(x));
  return out;
}

// -- what shall go wrong -------------------------------------------------------

void stand_in_runtime::fail_next(std::string_view function, status code) {
  lock guard{mutex_};
  failing_[std::string{function}].push_back(code);
}

void stand_in_runtime::fail_async(status code, stream_handle stream) {
  lock guard{mutex_};
  if (stream == nullptr)
    fails_ = code;
  else if (auto x = find_stream(stream, "fail_async"))
    x->fails = code;
}

void stand_in_runtime::hang(stream_handle stream) {
  lock guard{mutex_};
  if (stream == nullptr)
    all_held_ = true;
  else if (auto x = find_stream(stream, "hang"))
    x->held = true;
}

void stand_in_runtime::resume(stream_handle stream) {
  lock guard{mutex_};
  if (stream == nullptr) {
    all_held_ = false;
    for (auto& [handle, x] : streams_)
      x->held = false;
    for (auto& x : old_streams_)
      x->held = false;
  } else if (auto x = find_stream(stream, "resume")) {
    x->held = false;
  }
  changed_.notify_all();
}

void stand_in_runtime::out_of_memory_above(std::uint64_t bytes) {
  lock guard{mutex_};
  memory_limit_ = bytes;
}

// -- work ----------------------------------------------------------------------

void stand_in_runtime::execute_with(
  std::function<void(const comm::cuda::copy_launch&)> kernel) {
  lock guard{mutex_};
  kernel_ = std::move(kernel);
}

status stand_in_runtime::enqueue(stream_handle stream, std::string what,
                                 stream_work work,
                                 std::vector<memory_touch> touches) {
  lock guard{mutex_};
  if (auto ended = begin("enqueue"))
    return *ended;
  auto to = find_stream(stream, what);
  if (!to)
    return end(codes::invalid_handle);
  operation op;
  op.what = std::move(what);
  op.work = std::move(work);
  op.touches = [touches = std::move(touches)] { return touches; };
  return end(push(to, std::move(op)));
}

void stand_in_runtime::touch(const void* where, std::uint64_t bytes,
                             bool writes) {
  lock guard{mutex_};
  host_.add(0, ++host_time_);
  memory_touch what{where, bytes, writes};
  memory_.touch({0, host_time_, &host_, "the host"}, {&what, 1});
}

bool stand_in_runtime::step() {
  lock guard{mutex_};
  return step_one(guard);
}

bool stand_in_runtime::step(stream_handle stream) {
  lock guard{mutex_};
  auto x = find_stream(stream, "step");
  if (!x || !runnable(*x))
    return false;
  run_head(guard, *x);
  return true;
}

std::size_t stand_in_runtime::run_all() {
  std::size_t steps = 0;
  while (step())
    ++steps;
  return steps;
}

std::byte* stand_in_runtime::make_memory(memory_kind kind,
                                         std::uint64_t bytes) {
  lock guard{mutex_};
  std::byte* out = nullptr;
  memory_.make(kind, device_here(), bytes, false, out);
  return out;
}

// -- what happened -------------------------------------------------------------

std::vector<comm::cuda::stream_handle> stand_in_runtime::streams() const {
  lock guard{mutex_};
  std::vector<stream_handle> out;
  for (const auto& [handle, x] : streams_)
    out.push_back(handle);
  return out;
}

std::uint64_t stand_in_runtime::calls(std::string_view function) const {
  lock guard{mutex_};
  auto found = calls_.find(function);
  return found == calls_.end() ? 0 : found->second;
}

std::vector<std::string> stand_in_runtime::done() const {
  lock guard{mutex_};
  return done_;
}

// -- errors --------------------------------------------------------------------

std::string stand_in_runtime::version() const {
  return "stand-in for the CUDA runtime";
}

std::string stand_in_runtime::name_of(status x) const {
  for (const auto& known : names)
    if (known.code == x)
      return known.name;
  return fmt::format("cudaError {}", x);
}

std::string stand_in_runtime::text_of(status x) const {
  for (const auto& known : names)
    if (known.code == x)
      return known.text;
  return "unrecognized error code";
}

status stand_in_runtime::take_last_error() noexcept {
  lock guard{mutex_};
  if (sticky_ != codes::success)
    return sticky_;
  return std::exchange(last_[std::this_thread::get_id()], codes::success);
}

// -- devices -------------------------------------------------------------------

status stand_in_runtime::device_count(std::int32_t& out) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("device_count"))
    return *ended;
  out = static_cast<std::int32_t>(options_.devices.size());
  return end(out == 0 ? codes::no_device : codes::success);
}

status stand_in_runtime::figures(std::int32_t device,
                                 comm::cuda::device_figures& out) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("figures"))
    return *ended;
  if (device < 0 || static_cast<std::size_t>(device) >= options_.devices.size())
    return end(codes::invalid_device);
  auto number = options_.devices[static_cast<std::size_t>(device)];
  out = {fmt::format("stand-in {}", number),
         uuid_of(number),
         memory_limit_,
         4,
         0,
         0,
         options_.modes.empty()
           ? comm::cuda::compute_mode::shared
           : options_.modes.at(static_cast<std::size_t>(device))};
  return end(codes::success);
}

status stand_in_runtime::current_device(std::int32_t& out) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("current_device"))
    return *ended;
  out = device_here();
  return end(codes::success);
}

status stand_in_runtime::set_device(std::int32_t device) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("set_device"))
    return *ended;
  if (device < 0 || static_cast<std::size_t>(device) >= options_.devices.size())
    return end(codes::invalid_device);
  chosen_devices()[serial_] = device;
  contexts_.insert(device);
  return end(codes::success);
}

status stand_in_runtime::synchronize_device() noexcept {
  lock guard{mutex_};
  if (auto ended = begin("synchronize_device"))
    return *ended;
  auto device = device_here();
  auto ended = wait_until(guard, patience, [&] {
    for (const auto& [handle, x] : streams_)
      if (x->device == device && x->done < x->time)
        return false;
    return true;
  });
  if (sticky_ != codes::success)
    return end(sticky_);
  if (!ended) {
    log_->add("synchronize_device: waits without end for work that hangs");
    return end(codes::launch_failure);
  }
  for (const auto& [handle, x] : streams_)
    if (x->device == device)
      learn(x->known);
  return end(codes::success);
}

status stand_in_runtime::memory_bytes(std::uint64_t& free,
                                      std::uint64_t& total) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("memory_bytes"))
    return *ended;
  total = memory_limit_;
  free = total - std::min(total, memory_.bytes_in_use(device_here()));
  return end(codes::success);
}

// -- memory --------------------------------------------------------------------

status stand_in_runtime::allocate(std::byte*& out,
                                  std::uint64_t bytes) noexcept {
  lock guard{mutex_};
  out = nullptr;
  if (auto ended = begin("allocate"))
    return *ended;
  if (bytes == 0)
    return end(codes::success);
  auto used = memory_.bytes_in_use(device_here());
  if (bytes > memory_limit_ || used > memory_limit_ - bytes)
    return end(codes::out_of_memory);
  return end(
    memory_.make(memory_kind::device, device_here(), bytes, true, out));
}

status stand_in_runtime::release(std::byte* memory) noexcept {
  lock guard{mutex_};
  auto ended = begin("release");
  // What the device answers, the owner has given the memory up.
  if (memory == nullptr)
    return ended.value_or(codes::success);
  auto code = memory_.release(memory, false, ended ? nullptr : &host_);
  return ended ? *ended : end(code);
}

status stand_in_runtime::allocate_pinned(std::byte*& out,
                                         std::uint64_t bytes) noexcept {
  lock guard{mutex_};
  out = nullptr;
  if (auto ended = begin("allocate_pinned"))
    return *ended;
  if (bytes == 0)
    return end(codes::success);
  largest_pinned_ = std::max(largest_pinned_, bytes);
  return end(memory_.make(memory_kind::pinned, -1, bytes, false, out));
}

status stand_in_runtime::release_pinned(std::byte* memory) noexcept {
  lock guard{mutex_};
  auto ended = begin("release_pinned");
  if (memory == nullptr)
    return ended.value_or(codes::success);
  auto code = memory_.release(memory, true, ended ? nullptr : &host_);
  return ended ? *ended : end(code);
}

status stand_in_runtime::facts(const void* where,
                               comm::cuda::pointer_facts& out) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("facts"))
    return *ended;
  return end(memory_.facts(where, out));
}

status stand_in_runtime::export_memory(std::byte* memory,
                                       comm::cuda::ipc_handle& out) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("export_memory"))
    return *ended;
  comm::cuda::pointer_facts where;
  memory_.facts(memory, where);
  if (where.device < 0)
    return end(codes::invalid_value);
  auto number = options_.devices[static_cast<std::size_t>(where.device)];
  return end(memory_.export_memory(memory, number, out));
}

status stand_in_runtime::import_memory(const comm::cuda::ipc_handle& handle,
                                       std::byte*& out) noexcept {
  lock guard{mutex_};
  out = nullptr;
  if (auto ended = begin("import_memory"))
    return *ended;
  return end(memory_.import_memory(handle, options_.devices, out));
}

status stand_in_runtime::close_imported(std::byte* memory) noexcept {
  lock guard{mutex_};
  auto ended = begin("close_imported");
  auto code = memory_.close_imported(memory, ended ? nullptr : &host_);
  return ended ? *ended : end(code);
}

status stand_in_runtime::copy(void* to, const void* from, std::uint64_t bytes,
                              stream_handle stream) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("copy"))
    return *ended;
  auto on = find_stream(stream, "copy");
  if (!on)
    return end(codes::invalid_handle);
  if (bytes == 0)
    return end(codes::success);
  operation op;
  op.what = fmt::format("copy {} bytes", bytes);
  auto who = fmt::format("{} on stream {}", op.what, on->line);
  std::vector<memory_touch> touches;
  std::shared_ptr<std::vector<std::byte>> staged;
  auto to_pageable = !memory_.knows(to);
  if (!memory_.knows(from)) {
    // CUDA has read it when the call returns.
    auto* first = static_cast<const std::byte*>(from);
    staged = std::make_shared<std::vector<std::byte>>(first, first + bytes);
  } else if (!memory_.usable(from, bytes, who)) {
    return end(codes::invalid_value);
  } else {
    touches.push_back({from, bytes, false});
  }
  if (staged || to_pageable)
    log_->add(fmt::format("{}: with pageable memory it waits without a "
                          "deadline; use pinned memory",
                          who));
  if (!to_pageable) {
    if (!memory_.usable(to, bytes, who))
      return end(codes::invalid_value);
    touches.push_back({to, bytes, true});
  }
  op.work = [=](const std::atomic<bool>&) {
    std::memmove(to, staged ? staged->data() : from, bytes);
    return codes::success;
  };
  op.touches = [touches] { return touches; };
  auto code = push(on, std::move(op));
  if (code != codes::success || !to_pageable)
    return end(code);
  auto time = on->time;
  auto known = on->known;
  if (!wait_until(guard, patience, [&] { return on->done >= time; }))
    return end(codes::launch_failure);
  if (sticky_ == codes::success)
    learn(known);
  return end(sticky_);
}

status stand_in_runtime::fill(void* to, std::uint8_t value, std::uint64_t bytes,
                              stream_handle stream) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("fill"))
    return *ended;
  auto on = find_stream(stream, "fill");
  if (!on)
    return end(codes::invalid_handle);
  if (bytes == 0)
    return end(codes::success);
  operation op;
  op.what = fmt::format("fill {} bytes", bytes);
  if (!memory_.usable(to, bytes,
                      fmt::format("{} on stream {}", op.what, on->line)))
    return end(codes::invalid_value);
  op.work = [=](const std::atomic<bool>&) {
    std::memset(to, value, bytes);
    return codes::success;
  };
  op.touches = [=] { return std::vector<memory_touch>{{to, bytes, true}}; };
  return end(push(on, std::move(op)));
}

// -- kernels -------------------------------------------------------------------

status stand_in_runtime::load_kernels() noexcept {
  lock guard{mutex_};
  if (auto ended = begin("load_kernels"))
    return *ended;
  loaded_.insert(device_here());
  return end(codes::success);
}

status stand_in_runtime::launch(const comm::cuda::copy_launch& what,
                                stream_handle stream) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("launch"))
    return *ended;
  auto on = find_stream(stream, "launch");
  if (!on)
    return end(codes::invalid_handle);
  if (on->device != device_here()) {
    log_->add(fmt::format("launch: stream {} is of device {}, current is {}",
                          on->line, on->device, device_here()));
    return end(codes::invalid_handle);
  }
  if (!kernel_ || what.part_count == 0 || what.tiles == 0)
    return end(codes::invalid_value);
  loaded_.insert(device_here());
  operation op;
  op.what = fmt::format("launch {} parts", what.part_count);
  op.work = [kernel = kernel_, what](const std::atomic<bool>&) {
    kernel(what);
    return codes::success;
  };
  op.touches = [this, what, name = op.what]() -> planned_touches {
    // The tables first: what they say is not read before it is known that they
    // are there.
    if (!memory_.usable(what.parts,
                        what.part_count * sizeof(comm::cuda::device_part),
                        name))
      return std::nullopt;
    return touches_of(what);
  };
  return end(push(on, std::move(op)));
}

} // namespace troupe::test
