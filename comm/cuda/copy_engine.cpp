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
constexpr std::size_t slots_max = 16;

/// What the tables of launches take that are made beforehand, on each side; a
/// pair of slots is always made.
constexpr std::uint64_t warm_tables_max = 64 * mib;

/// Tables are rounded up to a power of two of at least so many bytes, so that
/// slots fit the next bucket too.
constexpr std::uint64_t slot_bytes_min = 16 * kib;

/// Sums of callers between two calls of `finish`; more wait.
constexpr std::size_t sums_max = 256;

/// Tables of a launch are not gathered beyond it, but for those of one call.
constexpr std::uint64_t gathered_tables_max = 128 * kib;

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
                                {},
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
    owned_(std::move(owned)),
    slots_max_(slots_max) {
  owned_.slots.reserve(slots_max);
  sums_.reserve(sums_max);
}

device_engine::~device_engine() {
  auto until = deadline::after(options_.patience);
  // A release waits for all that the device does, also for a neighbour's kernel
  // that hangs; so a thread of its own does it.
  auto release = [api = api_, device = device_, pending = pending_, until,
                  owned = std::make_shared<resources>(std::move(owned_))] {
    // A thread that has entered no device would make CUDA begin on the first.
    auto here = device_guard::enter(*api, device);
    for (auto* x : {&owned->upload, &owned->main})
      if (pending && !ended(*x, until)) {
        // Never destroyed: see the class.
        static std::mutex mutex;
        static auto& kept = *new std::vector<resources>;
        std::lock_guard guard{mutex};
        kept.push_back(std::move(*owned));
        return;
      }
    auto gone = std::move(*owned);
  };
  bounded_task task{fmt::format("releasing the memory of a copy engine on "
                                "device {}",
                                device_),
                    std::move(release)};
  // What our own streams need, and as long again for the rest.
  task.wait(deadline::after(2 * options_.patience));
}

// -- memory --------------------------------------------------------------------

result<buffer> device_engine::allocate(std::uint64_t bytes) {
  if (bytes == 0)
    return buffer{};
  auto memory = device_memory::allocate(api_, device_, bytes);
  if (!memory)
    return fail(memory.error());
  return owned_.given.emplace_back(std::move(*memory).into_buffer());
}

result<std::shared_ptr<shared_memory>>
device_engine::allocate_shared(std::uint64_t bytes) {
  auto made = cuda_ipc::make_allocation(api_, device_, bytes);
  if (made)
    owned_.given_shared.push_back(*made);
  return made;
}

result<void> device_engine::reserve(std::uint64_t bytes,
                                    std::uint64_t device_bytes,
                                    deadline until) {
  // A call before us may have given up.
  if (bounce_busy_) {
    if (auto ok = owned_.main.synchronize(until); !ok)
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

result<void> device_engine::add_slot() {
  auto uploaded = event::create(api_, device_);
  if (!uploaded)
    return fail(uploaded.error());
  auto done = event::create(api_, device_);
  if (!done)
    return fail(done.error());
  // Behind the one that was used last: the turn stays the oldest's.
  auto& slots = owned_.slots;
  auto at = slots.begin() + static_cast<std::ptrdiff_t>(turn_);
  slots.insert(at, slot{{}, {}, std::move(*uploaded), std::move(*done)});
  return {};
}

result<void> device_engine::grow(slot& what, std::uint64_t bytes) {
  if (what.pinned.size() >= bytes)
    return {};
  auto size = std::max(std::bit_ceil(bytes), slot_bytes_min);
  auto pinned = pinned_memory::allocate(api_, size);
  if (!pinned)
    return fail(pinned.error());
  auto device = device_memory::allocate(api_, device_, size);
  if (!device)
    return fail(device.error());
  what.pinned = std::move(*pinned);
  what.device = std::move(*device);
  return {};
}

result<device_engine::slot*> device_engine::next_slot(std::uint64_t bytes,
                                                      deadline until) {
  auto& slots = owned_.slots;
  auto free = false;
  if (!slots.empty()) {
    turn_ %= slots.size();
    auto done = slots[turn_].done.done();
    if (!done)
      return fail(done.error());
    free = *done;
    if (!free && slots.size() >= slots_max_) {
      if (auto ok = slots[turn_].done.wait(until); !ok)
        return fail(ok.error());
      free = true;
    }
  }
  if (!free)
    if (auto ok = add_slot(); !ok)
      return fail(ok.error());
  auto& mine = slots[turn_];
  if (auto ok = grow(mine, bytes); !ok)
    return fail(ok.error());
  ++turn_;
  return &mine;
}

result<void> device_engine::warm_up(const transfer::copy_load& most,
                                    deadline until) {
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = check(api_, api_->load_kernels(), "loading the copy kernel");
      !ok)
    return ok;
  auto compared = most.compares ? 2 * compare_bytes : 0;
  if (auto ok = reserve(std::max(bounce_bytes, compared), compared, until); !ok)
    return ok;
  if (auto ok = mend(until); !ok)
    return ok;
  auto more = options_.launch_bytes > 0 ? gathered_tables_max : 0;
  auto parts = most.parts + more / copy_tables::bytes_of(1, 0);
  auto loops = most.loops + more / copy_tables::bytes_of(0, 1);
  tables_.reserve(parts, loops);
  auto bytes = std::bit_ceil(
    std::max(copy_tables::bytes_of(most.parts, most.loops) + more,
             slot_bytes_min));
  // Of a part that is compared, both sides and its digest are under way.
  auto wanted = std::clamp<std::uint64_t>(most.calls, 3, slots_max);
  wanted = std::clamp<std::uint64_t>(warm_tables_max / bytes, 2, wanted);
  auto& slots = owned_.slots;
  while (slots.size() < wanted) {
    turn_ %= std::max<std::size_t>(slots.size(), 1);
    if (auto ok = add_slot(); !ok)
      return ok;
  }
  for (auto& x : slots) {
    if (auto ok = x.done.wait(until); !ok)
      return ok;
    if (auto ok = grow(x, bytes); !ok)
      return ok;
  }
  slots_max_ = slots.size();
  return {};
}

result<std::uint64_t> device_engine::digest_for(digest& sum, deadline until) {
  auto found = std::ranges::find(sums_, &sum);
  if (found == sums_.end() && sums_.size() >= sums_max) {
    if (auto ok = finish(until); !ok)
      return fail(ok.error());
    found = sums_.end();
  }
  auto index = static_cast<std::uint64_t>(found - sums_.begin());
  if (found == sums_.end())
    sums_.push_back(&sum);
  return index;
}

result<void> device_engine::gather(dtype wire_type, bool writes, digest* sum,
                                   deadline until) {
  std::uint64_t index = 0;
  if (sum != nullptr) {
    auto found = digest_for(*sum, until);
    if (!found)
      return fail(found.error());
    index = *found;
  }
  auto digests = sum != nullptr;
  if (tables_.wire_type() != wire_type || tables_.writes() != writes
      || digests_ != digests)
    if (auto ok = enqueue(until); !ok)
      return ok;
  if (tables_.empty())
    tables_.clear(wire_type, writes);
  tables_.digest_to(index);
  digests_ = digests;
  return {};
}

result<void> device_engine::enqueue_if_full(deadline until) {
  if (tables_.wire_bytes() < options_.launch_bytes
      && tables_.bytes() < gathered_tables_max)
    return {};
  return enqueue(until);
}

result<void> device_engine::enqueue(deadline until) {
  if (tables_.empty())
    return {};
  auto begun = false;
  auto done = launch(until, begun);
  // What was not begun for want of time is begun by the next `finish`.
  if (begun || done.error().code() != errc::timed_out)
    tables_.clear(tables_.wire_type(), tables_.writes());
  return done;
}

result<void> device_engine::launch(deadline until, bool& begun) {
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = mend(until); !ok)
    return ok;
  auto next = next_slot(tables_.bytes(), until);
  if (!next)
    return fail(next.error());
  auto& mine = **next;
  auto* sums = digests_ ? reinterpret_cast<digest*>(owned_.digests.data())
                        : nullptr;
  tables_.write(mine.pinned.data());
  auto upload = owned_.upload.view();
  auto main = owned_.main.view();
  pending_ = loose_ = begun = true;
  auto done = upload
                .copy(mine.device.data(), mine.pinned.data(), tables_.bytes())
                .and_then([&] { return upload.record(mine.uploaded); })
                .and_then([&] { return main.wait_for(mine.uploaded); })
                .and_then([&] {
                  return main.launch(tables_.launch(mine.device.data(), sums));
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
                                 digest& sum, deadline until) {
  auto* target = digests == transfer::digesting::on ? &sum : nullptr;
  if (auto ok = gather(wire_type, true, target, until); !ok)
    return ok;
  for (const auto& x : what)
    tables_.add(x.to, x.from, x.key);
  return enqueue_if_full(until);
}

result<void>
device_engine::digest_regions(std::span<const transfer::keyed_region> what,
                              dtype wire_type, digest& sum, deadline until) {
  if (auto ok = gather(wire_type, false, &sum, until); !ok)
    return ok;
  for (const auto& x : what)
    tables_.add(x.what, x.key);
  return enqueue_if_full(until);
}

// -- waiting -------------------------------------------------------------------

result<void> device_engine::settle(deadline until) {
  auto late = [this] {
    return fail(errc::timed_out,
                fmt::format("the work of others on device {} was not done by "
                            "the deadline",
                            device_));
  };
  if (until.passed())
    return late();
  // One that was given up says nothing of the work after it.
  if (settling_) {
    if (!settling_->wait(until))
      return late();
    settling_.reset();
  }
  auto said = std::make_shared<result<void>>();
  settling_.emplace(fmt::format("waiting for all work of device {}", device_),
                    [api = api_, device = device_, who = scoped_rank::current(),
                     said] {
                      scoped_rank rank{who};
                      auto here = device_guard::enter(*api, device);
                      *said = here ? check(api, api->synchronize_device(),
                                           "cudaDeviceSynchronize")
                                   : result<void>{fail(here.error())};
                    });
  if (!settling_->wait(until))
    return late();
  settling_.reset();
  return *said;
}

result<void> device_engine::finish(deadline until) {
  if (!pending_ && tables_.empty()) {
    sums_.clear();
    return {};
  }
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = mend(until).and_then([&] { return enqueue(until); }); !ok)
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

void device_engine::drop() noexcept {
  tables_.clear(tables_.wire_type(), tables_.writes());
}

// -- comparing -----------------------------------------------------------------

result<std::optional<transfer::region_difference>> device_engine::compare(
  const transfer::region& here, const transfer::region& there, dtype wire_type,
  std::uint64_t key, transfer::digesting digests, digest& sum, deadline until) {
  std::optional<transfer::region_difference> found;
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  // Before the scratch is written anew, and may go away.
  if (auto ok = finish(until); !ok)
    return fail(ok.error());
  if (auto ok = reserve(2 * compare_bytes, 2 * compare_bytes, until); !ok)
    return fail(ok.error());
  auto* target = digests == transfer::digesting::on ? &sum : nullptr;
  auto* scratch = owned_.scratch.data();
  auto* bounce = owned_.bounce.data();
  auto main = owned_.main.view();
  auto size = size_of(here.type);
  for (std::uint64_t first = 0; first < here.elements && !found;) {
    auto count = std::min(compare_bytes / size, here.elements - first);
    auto bytes = count * size;
    auto done = gather(here.type, true, nullptr, until);
    if (done) {
      tables_.add(transfer::dense(scratch, here.type, count), here, 0, first,
                  count);
      done = gather(wire_type, true, target, until);
    }
    if (done) {
      tables_.add(transfer::dense(scratch + compare_bytes, here.type, count),
                  there, key, first, count);
      done = enqueue(until);
    }
    bounce_busy_ = true;
    done = done.and_then([&] { return main.copy(bounce, scratch, bytes); })
             .and_then([&] {
               return main.copy(bounce + compare_bytes, scratch + compare_bytes,
                                bytes);
             })
             .and_then([&] { return finish(until); });
    if (!done)
      return fail(done.error());
    bounce_busy_ = false;
    found = transfer::first_difference(here.type, {bounce, bytes},
                                       {bounce + compare_bytes, bytes}, first);
    first += count;
    if (!found || target == nullptr || first == here.elements)
      continue;
    auto rest = gather(wire_type, false, target, until);
    if (rest) {
      tables_.add(there, key, first);
      rest = finish(until);
    }
    if (!rest)
      return fail(rest.error());
  }
  return found;
}

// -- a few bytes ---------------------------------------------------------------

result<void> device_engine::put(std::byte* to, std::span<const std::byte> from,
                                deadline until) {
  return through_bounce(from.size(), until,
                        [&](std::size_t first, std::size_t count) {
                          auto* here = owned_.bounce.data();
                          std::memcpy(here, from.data() + first, count);
                          return owned_.main.view()
                            .copy(to + first, here, count)
                            .and_then(
                              [&] { return owned_.main.synchronize(until); });
                        });
}

result<void> device_engine::get(std::span<std::byte> to, const std::byte* from,
                                deadline until) {
  return through_bounce(to.size(), until,
                        [&](std::size_t first, std::size_t count) {
                          auto* here = owned_.bounce.data();
                          auto done = owned_.main.view()
                                        .copy(here, from + first, count)
                                        .and_then([&] {
                                          return owned_.main.synchronize(until);
                                        });
                          if (done)
                            std::memcpy(to.data() + first, here, count);
                          return done;
                        });
}

result<void> device_engine::through_bounce(
  std::size_t bytes, deadline until,
  const std::function<result<void>(std::size_t, std::size_t)>& move) {
  auto guard = device_guard::enter(*api_, device_);
  if (!guard)
    return fail(guard.error());
  if (auto ok = enqueue(until).and_then(
        [&] { return reserve(bounce_bytes, 0, until); });
      !ok)
    return ok;
  for (std::size_t first = 0; first < bytes; first += bounce_bytes) {
    pending_ = bounce_busy_ = true;
    auto count = std::min<std::size_t>(bytes - first, bounce_bytes);
    if (auto ok = move(first, count); !ok)
      return ok;
    bounce_busy_ = false;
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
