// SPDX-License-Identifier: Apache-2.0
#include "support/cuda/stand_in_memory.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace troupe::test {

namespace {

namespace codes = comm::cuda::codes;
using comm::cuda::memory_kind;

/// An allocation that another runtime of this process may open.
struct shared_entry {
  std::byte* begin = nullptr;
  std::uint64_t bytes = 0;
  std::uint32_t machine_device = 0;
  const stand_in_memory* owner = nullptr;
  std::vector<const stand_in_memory*> opened_by;
};

std::mutex shared_mutex;

std::map<std::uint64_t, shared_entry>& shared() {
  static std::map<std::uint64_t, shared_entry> entries;
  return entries;
}

std::uint64_t& last_handle() {
  static std::uint64_t value = 0;
  return value;
}

std::uint64_t whole_pages(std::uint64_t bytes) {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (std::max<std::uint64_t>(bytes, 1) + page - 1) / page * page;
}

std::uintptr_t number_of(const void* x) {
  return reinterpret_cast<std::uintptr_t>(x);
}

std::string_view name_of(memory_kind x) {
  switch (x) {
    case memory_kind::pageable: return "pageable memory";
    case memory_kind::pinned: return "pinned memory";
    case memory_kind::device: return "device memory";
    case memory_kind::managed: return "managed memory";
  }
  return "memory";
}

template <class Range>
bool overlap(const std::vector<Range>& x, const std::vector<Range>& y) {
  auto a = x.begin();
  auto b = y.begin();
  while (a != x.end() && b != y.end()) {
    if (a->second <= b->first)
      ++a;
    else if (b->second <= a->first)
      ++b;
    else
      return true;
  }
  return false;
}

template <class Range>
void sort_and_merge(std::vector<Range>& all) {
  std::sort(all.begin(), all.end());
  std::size_t kept = 0;
  for (const auto& x : all) {
    if (kept > 0 && x.first <= all[kept - 1].second)
      all[kept - 1].second = std::max(all[kept - 1].second, x.second);
    else
      all[kept++] = x;
  }
  all.resize(kept);
}

} // namespace

// -- hazard_log ----------------------------------------------------------------

void hazard_log::add(std::string what) {
  std::lock_guard guard{mutex_};
  all_.push_back(std::move(what));
}

std::vector<std::string> hazard_log::all() const {
  std::lock_guard guard{mutex_};
  return all_;
}

// -- happened ------------------------------------------------------------------

void happened::join(const happened& other) {
  times_.resize(std::max(times_.size(), other.times_.size()));
  for (std::size_t i = 0; i < other.times_.size(); ++i)
    times_[i] = std::max(times_[i], other.times_[i]);
}

void happened::add(std::size_t line, std::uint64_t time) {
  times_.resize(std::max(times_.size(), line + 1));
  times_[line] = std::max(times_[line], time);
}

bool happened::knows(std::size_t line, std::uint64_t time) const {
  return line < times_.size() && times_[line] >= time;
}

// -- stand_in_memory -----------------------------------------------------------

std::string stand_in_memory::allocation::text() const {
  if (imported)
    return fmt::format("allocation {} ({} bytes, imported)", number, bytes);
  return fmt::format("allocation {} ({} bytes of {})", number, bytes,
                     name_of(kind));
}

stand_in_memory::stand_in_memory(std::shared_ptr<hazard_log> log)
  : log_(std::move(log)) {
  // nop
}

stand_in_memory::~stand_in_memory() {
  {
    std::lock_guard guard{shared_mutex};
    for (auto at = shared().begin(); at != shared().end();) {
      std::erase(at->second.opened_by, this);
      at = at->second.owner == this ? shared().erase(at) : std::next(at);
    }
  }
  for (const auto& [number, x] : all_)
    ::munmap(x.begin, whole_pages(x.bytes));
}

stand_in_memory::status
stand_in_memory::make(memory_kind kind, std::int32_t device,
                      std::uint64_t bytes, bool exportable, std::byte*& out) {
  // Shared, so that it can be mapped a second time by an importer.
  auto* memory = ::mmap(nullptr, whole_pages(bytes), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return codes::out_of_memory;
  out = static_cast<std::byte*>(memory);
  // Fresh device memory is not zero.
  std::memset(out, 0xA5, bytes);
  insert({.begin = out,
          .bytes = bytes,
          .kind = kind,
          .device = device,
          .exportable = exportable,
          .imported = false,
          .released = false,
          .number = 0,
          .handle = 0,
          .accesses = {}});
  return codes::success;
}

stand_in_memory::status stand_in_memory::release(std::byte* memory, bool pinned,
                                                 const happened* host) {
  auto* x = find(memory);
  auto function = pinned ? "release_pinned" : "release";
  if (x == nullptr) {
    log_->add(fmt::format("{}: {} is no allocation", function,
                          static_cast<const void*>(memory)));
    return codes::invalid_value;
  }
  if (x->released) {
    log_->add(fmt::format("double free: {}: {} is released already", function,
                          x->text()));
    return codes::invalid_value;
  }
  if (x->begin != memory || x->imported
      || pinned != (x->kind == memory_kind::pinned)) {
    log_->add(fmt::format("{}: not what made {}, or not its begin", function,
                          x->text()));
    return codes::invalid_value;
  }
  check_unused(*x, host);
  if (x->handle != 0) {
    std::lock_guard guard{shared_mutex};
    auto entry = shared().find(x->handle);
    if (entry != shared().end()) {
      if (!entry->second.opened_by.empty())
        log_->add(fmt::format("release: {} while another process has it open",
                              x->text()));
      shared().erase(entry);
    }
  }
  x->released = true;
  x->accesses.clear();
  // The address stays taken, and whoever still reads does not crash.
  ::mmap(x->begin, whole_pages(x->bytes), PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return codes::success;
}

stand_in_memory::status
stand_in_memory::facts(const void* where,
                       comm::cuda::pointer_facts& out) const {
  out = {};
  const auto* x = find(where);
  if (x == nullptr || x->released)
    return codes::success;
  out.kind = x->kind;
  if (x->kind == memory_kind::device) {
    out.device = x->device;
    out.allocation = x->begin;
    out.allocation_bytes = x->bytes;
    out.allocation_id = x->number;
  }
  return codes::success;
}

stand_in_memory::status
stand_in_memory::export_memory(std::byte* memory, std::uint32_t machine_device,
                               comm::cuda::ipc_handle& out) {
  auto* x = find(memory);
  if (x == nullptr || x->released || x->begin != memory || !x->exportable)
    return codes::invalid_value;
  if (x->handle == 0) {
    std::lock_guard guard{shared_mutex};
    x->handle = ++last_handle();
    shared()[x->handle] = {x->begin, x->bytes, machine_device, this, {}};
  }
  out = {};
  std::memcpy(out.data(), &x->handle, sizeof(x->handle));
  return codes::success;
}

stand_in_memory::status
stand_in_memory::import_memory(const comm::cuda::ipc_handle& handle,
                               std::span<const std::uint32_t> devices,
                               std::byte*& out) {
  std::uint64_t number = 0;
  std::memcpy(&number, handle.data(), sizeof(number));
  std::lock_guard guard{shared_mutex};
  auto entry = shared().find(number);
  if (entry == shared().end() || entry->second.owner == this)
    return codes::invalid_handle;
  auto& from = entry->second;
  auto device = std::find(devices.begin(), devices.end(), from.machine_device);
  if (device == devices.end())
    return codes::invalid_device;
  if (std::find(from.opened_by.begin(), from.opened_by.end(), this)
      != from.opened_by.end()) {
    log_->add("import_memory: the handle is open already");
    return codes::invalid_value;
  }
  // Of nothing: the same pages once more.
  auto* memory = ::mremap(from.begin, 0, whole_pages(from.bytes),
                          MREMAP_MAYMOVE);
  if (memory == MAP_FAILED)
    return codes::out_of_memory;
  from.opened_by.push_back(this);
  out = static_cast<std::byte*>(memory);
  insert({.begin = out,
          .bytes = from.bytes,
          .kind = memory_kind::device,
          .device = static_cast<std::int32_t>(device - devices.begin()),
          .exportable = false,
          .imported = true,
          .released = false,
          .number = 0,
          .handle = number,
          .accesses = {}});
  return codes::success;
}

stand_in_memory::status stand_in_memory::close_imported(std::byte* memory,
                                                        const happened* host) {
  auto* x = find(memory);
  if (x == nullptr || !x->imported || x->begin != memory || x->released) {
    log_->add(fmt::format("close_imported: {} is not open",
                          static_cast<const void*>(memory)));
    return codes::invalid_value;
  }
  check_unused(*x, host);
  {
    std::lock_guard guard{shared_mutex};
    auto entry = shared().find(x->handle);
    if (entry != shared().end())
      std::erase(entry->second.opened_by, this);
  }
  x->released = true;
  x->accesses.clear();
  ::mmap(x->begin, whole_pages(x->bytes), PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return codes::success;
}

std::uint64_t stand_in_memory::bytes_in_use(std::int32_t device) const {
  std::uint64_t sum = 0;
  for (const auto& [number, x] : all_)
    if (!x.released && !x.imported && x.device == device)
      sum += x.bytes;
  return sum;
}

bool stand_in_memory::knows(const void* where) const {
  return find(where) != nullptr;
}

bool stand_in_memory::usable(const void* where, std::uint64_t bytes,
                             std::string_view what) {
  const auto* x = find(where);
  if (x == nullptr) {
    log_->add(fmt::format("{}: {} is memory that the device does not reach",
                          what, where));
    return false;
  }
  if (x->released) {
    log_->add(
      fmt::format("use after free: {}: {} is released", what, x->text()));
    return false;
  }
  auto offset = number_of(where) - number_of(x->begin);
  if (bytes > x->bytes - offset) {
    log_->add(fmt::format("out of bounds: {}: {} bytes from byte {} of {}",
                          what, bytes, offset, x->text()));
    return false;
  }
  return true;
}

bool stand_in_memory::touch(const toucher& who,
                            std::span<const memory_touch> what) {
  struct both {
    std::vector<range> read;
    std::vector<range> written;
  };
  std::map<allocation*, both> touched;
  for (const auto& x : what) {
    if (x.bytes == 0)
      continue;
    if (!usable(x.where, x.bytes, who.what))
      return false;
    auto* in = find(x.where);
    auto offset = number_of(x.where) - number_of(in->begin);
    auto& ranges = x.writes ? touched[in].written : touched[in].read;
    ranges.emplace_back(offset, offset + x.bytes);
  }
  for (auto& [in, ranges] : touched) {
    note(who, *in, false, std::move(ranges.read));
    note(who, *in, true, std::move(ranges.written));
  }
  return true;
}

void stand_in_memory::note(const toucher& who, allocation& what, bool writes,
                           std::vector<range> ranges) {
  if (ranges.empty())
    return;
  sort_and_merge(ranges);
  for (const auto& x : what.accesses)
    if ((x.writes || writes) && x.line != who.line
        && !who.known->knows(x.line, x.time) && overlap(x.ranges, ranges))
      log_->add(fmt::format("missing sync: {} {} {}, which {} {} with nothing "
                            "that orders them",
                            who.what, writes ? "writes" : "reads", what.text(),
                            x.what, x.writes ? "writes" : "reads"));
  // What waits for the later one waits for both.
  for (auto& x : what.accesses)
    if (x.line == who.line && x.writes == writes && x.ranges == ranges) {
      x.time = who.time;
      x.what = who.what;
      return;
    }
  what.accesses.push_back(
    {who.line, who.time, writes, std::move(ranges), std::string{who.what}});
}

void stand_in_memory::forget(const happened& host) {
  for (auto& [number, x] : all_)
    std::erase_if(x.accesses,
                  [&](const access& y) { return host.knows(y.line, y.time); });
}

std::vector<std::string> stand_in_memory::leaks() const {
  std::vector<std::string> out;
  for (const auto& [number, x] : all_)
    if (!x.released)
      out.push_back(fmt::format("leak: {}", x.text()));
  return out;
}

void stand_in_memory::check_unused(const allocation& what,
                                   const happened* host) {
  if (host == nullptr)
    return;
  for (const auto& x : what.accesses)
    if (!host->knows(x.line, x.time))
      log_->add(fmt::format("use after free: {} is released before the host "
                            "knows that {} is done",
                            what.text(), x.what));
}

const stand_in_memory::allocation*
stand_in_memory::find(const void* where) const {
  auto next = all_.upper_bound(number_of(where));
  if (next == all_.begin())
    return nullptr;
  const auto& x = std::prev(next)->second;
  auto offset = number_of(where) - number_of(x.begin);
  return offset < std::max<std::uint64_t>(x.bytes, 1) ? &x : nullptr;
}

stand_in_memory::allocation* stand_in_memory::find(const void* where) {
  return const_cast<allocation*>(std::as_const(*this).find(where));
}

stand_in_memory::allocation& stand_in_memory::insert(allocation what) {
  what.number = ++made_;
  auto key = number_of(what.begin);
  return all_[key] = std::move(what);
}

} // namespace troupe::test
