// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/copy_engine.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda_ipc/allocation.hpp"
#include "troupe/core/units.hpp"

namespace troupe::comm::cuda {

namespace {

/// Launches under way at one time.
constexpr std::size_t slots_max = 64;

/// Tables are rounded up to a power of two of at least so many bytes, so that
/// slots fit the next bucket too.
constexpr std::uint64_t slot_bytes_min = 16 * kib;

/// Sums of callers between two calls of `finish`; more wait.
constexpr std::size_t sums_max = 256;

/// put and get move so much at a time.
constexpr std::uint64_t bounce_bytes = 64 * kib;

/// compare brings so much of each side to the host. Whole tiles of any type.
constexpr std::uint64_t compare_bytes = 4 * mib;
static_assert(compare_bytes % (tile_elements * 8) == 0);

/// True if nothing on `what` uses memory any more. A call that is refused says
/// nothing about the work before it; what is lost does not come back.
bool ended(const stream& what, deadline until) {
  for (auto attempts = 2; attempts > 0; --attempts) {
    auto ok = what.synchronize(until);
    if (ok || ok.error().code() == errc::lost)
      return true;
    if (ok.error().code() == errc::timed_out)
      return false;
  }
  return false;
}

} // namespace

result<std::unique_ptr<device_engine>>
device_engine::make(runtime_ptr api, std::int32_t device,
                    const device_engine_options& options) {
  auto guard = device_guard::enter(*api, device);
  if (!guard)
    return fail(guard.error());
  auto main = stream::create(api, device);
  if (!main)
    return fail(main.error());
  auto upload = stream::create(api, device);
  if (!upload)
    return fail(upload.error());
  auto finished = event::create(api, device);
  if (!finished)
    return fail(finished.error());
  constexpr auto bytes = sums_max * sizeof(digest);
  auto digests = device_memory::allocate(api, device, bytes);
  if (!digests)
    return fail(digests.error());
  auto digests_here = pinned_memory::allocate(api, bytes);
  if (!digests_here)
    return fail(digests_here.error());
  std::unique_ptr<device_engine> made{
    new device_engine{std::move(api), device, options,
                      resources{std::move(*main),
                                std::move(*upload),
                                std::move(*finished),
                                {},
                                std::move(*digests),
                                std::move(*digests_here),
                                {},
                                {}}}};
  auto& owned = made->owned_;
  made->pending_ = true;
  if (auto ok = owned.main.view().fill(owned.digests.data(), 0, bytes); !ok)
    return fail(ok.error());
  return made;
}

device_engine::device_engine(runtime_ptr api, std::int32_t device,
                             const device_engine_options& options,
                             resources owned)
  : api_(std::move(api)),
    device_(device),
    options_(options),
    owned_(std::move(owned)) {
  // nop
}

device_engine::~device_engine() {
  if (!pending_)
    return;
  auto until = patience();
  for (auto* x : {&owned_.upload, &owned_.main})
    if (!ended(*x, until)) {
      // Never destroyed: see the class.
      static std::mutex mutex;
      static auto& kept = *new std::vector<resources>;
      std::lock_guard guard{mutex};
      kept.push_back(std::move(owned_));
      return;
    }
}

// -- memory --------------------------------------------------------------------

result<buffer> device_engine::allocate(std::uint64_t bytes) {
  if (bytes == 0)
    return buffer{};
  auto memory = device_memory::allocate(api_, device_, bytes);
  if (!memory)
    return fail(memory.error());
  return std::move(*memory).into_buffer();
}

result<std::shared_ptr<shared_memory>>
device_engine::allocate_shared(std::uint64_t bytes) {
  return cuda_ipc::make_allocation(api_, device_, bytes);
}

result<void> device_engine::reserve(std::uint64_t bytes,
                                    std::uint64_t device_bytes) {
  // A call before us may have given up.
  if (bounce_busy_) {
    if (auto ok = owned_.main.synchronize(patience()); !ok)
      return ok;
    bounce_busy_ = false;
  }
  if (owned_.bounce.size() < bytes) {
    auto memory = pinned_memory::allocate(api_, bytes);
    if (!memory)
      return fail(memory.error());
    owned_.bounce = std::move(*memory);
  }
  if (owned_.scratch.size() < device_bytes) {
    auto memory = device_memory::allocate(api_, device_, device_bytes);
    if (!memory)
      return fail(memory.error());
    owned_.scratch = std::move(*memory);
  }
  return {};
}

// -- launches ------------------------------------------------------------------

result<device_engine::slot*> device_engine::next_slot(std::uint64_t bytes) {
  auto& slots = owned_.slots;
  auto free = false;
  if (!slots.empty()) {
    turn_ %= slots.size();
    auto done = slots[turn_].done.done();
    if (!done)
      return fail(done.error());
    free = *done;
    if (!free && slots.size() == slots_max) {
      if (auto ok = slots[turn_].done.wait(patience()); !ok)
        return fail(ok.error());
      free = true;
    }
  }
  if (!free) {
    auto uploaded = event::create(api_, device_);
    if (!uploaded)
      return fail(uploaded.error());
    auto done = event::create(api_, device_);
    if (!done)
      return fail(done.error());
    // Behind the one that was used last: the turn stays the oldest's.
    auto at = slots.begin() + static_cast<std::ptrdiff_t>(turn_);
    slots.insert(at, slot{{}, {}, std::move(*uploaded), std::move(*done)});
  }
  auto& mine = slots[turn_];
  if (mine.pinned.size() < bytes) {
    auto size = std::max(std::bit_ceil(bytes), slot_bytes_min);
    auto pinned = pinned_memory::allocate(api_, size);
    if (!pinned)
      return fail(pinned.error());
    auto device = device_memory::allocate(api_, device_, size);
    if (!device)
      return fail(device.error());
    mine.pinned = std::move(*pinned);
    mine.device = std::move(*device);
  }
  ++turn_;
  return &mine;
}

result<digest*> device_engine::digest_for(digest& sum) {
  auto found = std::ranges::find(sums_, &sum);
  if (found == sums_.end() && sums_.size() == sums_max) {
    if (auto ok = finish(patience()); !ok)
      return fail(ok.error());
    found = sums_.end();
  }
  auto index = found - sums_.begin();
  if (found == sums_.end())
    sums_.push_back(&sum);
  return reinterpret_cast<digest*>(owned_.digests.data()) + index;
}

result<void> device_engine::enqueue(digest* sum) {
  if (tables_.empty())
    return {};
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = mend(patience()); !ok)
    return ok;
  auto next = next_slot(tables_.bytes());
  if (!next)
    return fail(next.error());
  auto& mine = **next;
  digest* target = nullptr;
  if (sum != nullptr) {
    auto found = digest_for(*sum);
    if (!found)
      return fail(found.error());
    target = *found;
  }
  tables_.write(mine.pinned.data());
  auto upload = owned_.upload.view();
  auto main = owned_.main.view();
  pending_ = loose_ = true;
  auto done = upload
                .copy(mine.device.data(), mine.pinned.data(), tables_.bytes())
                .and_then([&] { return upload.record(mine.uploaded); })
                .and_then([&] { return main.wait_for(mine.uploaded); })
                .and_then([&] {
                  return main.launch(
                    tables_.launch(mine.device.data(), target));
                })
                .and_then([&] { return main.record(mine.done); });
  loose_ = !done.has_value();
  return done;
}

result<void> device_engine::mend(deadline until) {
  if (!loose_)
    return {};
  auto done = owned_.upload.synchronize(until).and_then(
    [&] { return owned_.main.synchronize(until); });
  loose_ = !done.has_value();
  return done;
}

result<void> device_engine::copy(std::span<const transfer::keyed_copy> what,
                                 dtype wire_type, transfer::digesting digests,
                                 digest& sum) {
  tables_.clear(wire_type, true);
  for (const auto& x : what)
    tables_.add(x.to, x.from, x.key);
  return enqueue(digests == transfer::digesting::on ? &sum : nullptr);
}

result<void>
device_engine::digest_regions(std::span<const transfer::keyed_region> what,
                              dtype wire_type, digest& sum) {
  tables_.clear(wire_type, false);
  for (const auto& x : what)
    tables_.add(x.what, x.key);
  return enqueue(&sum);
}

// -- waiting -------------------------------------------------------------------

result<void> device_engine::settle(deadline until) {
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = check(api_, api_->synchronize_device(),
                      "cudaDeviceSynchronize");
      !ok)
    return ok;
  if (until.passed())
    return fail(errc::timed_out,
                fmt::format("the work of others on device {} was not done by "
                            "the deadline",
                            device_));
  return {};
}

result<void> device_engine::finish(deadline until) {
  if (!pending_)
    return {};
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = mend(until); !ok)
    return ok;
  auto main = owned_.main.view();
  auto bytes = sums_.size() * sizeof(digest);
  auto done = main
                .copy(owned_.digests_here.data(), owned_.digests.data(), bytes)
                .and_then([&] { return main.record(owned_.finished); })
                .and_then([&] { return owned_.finished.wait(until); });
  if (!done)
    return done;
  pending_ = false;
  const auto* from = owned_.digests_here.data();
  for (auto* sum : sums_) {
    digest x;
    std::memcpy(&x, from, sizeof(x));
    *sum += x;
    from += sizeof(x);
  }
  sums_.clear();
  if (bytes == 0)
    return {};
  pending_ = true;
  return main.fill(owned_.digests.data(), 0, bytes);
}

// -- comparing -----------------------------------------------------------------

result<std::optional<transfer::region_difference>> device_engine::compare(
  const transfer::region& here, const transfer::region& there, dtype wire_type,
  std::uint64_t key, transfer::digesting digests, digest& sum) {
  std::optional<transfer::region_difference> found;
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  // Before the scratch is written anew, and may go away.
  if (auto ok = finish(patience()); !ok)
    return fail(ok.error());
  if (auto ok = reserve(2 * compare_bytes, 2 * compare_bytes); !ok)
    return fail(ok.error());
  auto* target = digests == transfer::digesting::on ? &sum : nullptr;
  auto* scratch = owned_.scratch.data();
  auto* bounce = owned_.bounce.data();
  auto main = owned_.main.view();
  auto size = size_of(here.type);
  for (std::uint64_t first = 0; first < here.elements && !found;) {
    auto count = std::min(compare_bytes / size, here.elements - first);
    auto bytes = count * size;
    tables_.clear(here.type, true);
    tables_.add(transfer::dense(scratch, here.type, count), here, 0, first,
                count);
    auto done = enqueue(nullptr);
    if (done) {
      tables_.clear(wire_type, true);
      tables_.add(transfer::dense(scratch + compare_bytes, here.type, count),
                  there, key, first, count);
      done = enqueue(target);
    }
    bounce_busy_ = true;
    done = done.and_then([&] { return main.copy(bounce, scratch, bytes); })
             .and_then([&] {
               return main.copy(bounce + compare_bytes, scratch + compare_bytes,
                                bytes);
             })
             .and_then([&] { return finish(patience()); });
    if (!done)
      return fail(done.error());
    bounce_busy_ = false;
    found = transfer::first_difference(here.type, {bounce, bytes},
                                       {bounce + compare_bytes, bytes}, first);
    first += count;
    if (!found || target == nullptr || first == here.elements)
      continue;
    tables_.clear(wire_type, false);
    tables_.add(there, key, first);
    if (auto ok = enqueue(target).and_then([&] { return finish(patience()); });
        !ok)
      return fail(ok.error());
  }
  return found;
}

// -- a few bytes ---------------------------------------------------------------

result<void> device_engine::put(std::byte* to,
                                std::span<const std::byte> from) {
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = reserve(bounce_bytes, 0); !ok)
    return ok;
  auto* bounce = owned_.bounce.data();
  while (!from.empty()) {
    auto now = from.first(std::min<std::size_t>(from.size(), bounce_bytes));
    std::memcpy(bounce, now.data(), now.size());
    pending_ = bounce_busy_ = true;
    if (auto ok = owned_.main.view().copy(to, bounce, now.size()).and_then([&] {
          return owned_.main.synchronize(patience());
        });
        !ok)
      return ok;
    bounce_busy_ = false;
    to += now.size();
    from = from.subspan(now.size());
  }
  return {};
}

result<void> device_engine::get(std::span<std::byte> to,
                                const std::byte* from) {
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = reserve(bounce_bytes, 0); !ok)
    return ok;
  auto* bounce = owned_.bounce.data();
  while (!to.empty()) {
    auto now = to.first(std::min<std::size_t>(to.size(), bounce_bytes));
    pending_ = bounce_busy_ = true;
    if (auto
          ok = owned_.main.view().copy(bounce, from, now.size()).and_then([&] {
            return owned_.main.synchronize(patience());
          });
        !ok)
      return ok;
    bounce_busy_ = false;
    std::memcpy(now.data(), bounce, now.size());
    from += now.size();
    to = to.subspan(now.size());
  }
  return {};
}

// -- maker ---------------------------------------------------------------------

device_engine_maker::device_engine_maker(runtime_ptr api, std::int32_t device,
                                         const device_engine_options& options)
  : api_(std::move(api)),
    device_(device),
    options_(options) {
  // nop
}

result<std::unique_ptr<transfer::copy_engine>>
device_engine_maker::make() const {
  auto made = device_engine::make(api_, device_, options_);
  if (!made)
    return fail(made.error());
  return std::unique_ptr<transfer::copy_engine>{std::move(*made)};
}

} // namespace troupe::comm::cuda
