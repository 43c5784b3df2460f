// SPDX-License-Identifier: Apache-2.0
#include "comm/devices/faulty_link.hpp"

#include <algorithm>
#include <utility>

namespace troupe::test {

namespace {

/// The digest and the parts of a bucket begin at multiples of so many bytes.
constexpr std::uint64_t word_bytes = 8;

} // namespace

faulty_link::faulty_link(comm::link_ptr inner, surroundings around)
  : inner_(std::move(inner)),
    around_(std::move(around)) {
  // nop
}

void faulty_link::arm(const fault& what) {
  steps_before_ = std::exchange(steps_, 0);
  pushes_before_ = std::exchange(pushes_, 0);
  lends_ = 0;
  fault_ = what;
}

// -- link ----------------------------------------------------------------------

std::string_view faulty_link::backend() const noexcept {
  return inner_->backend();
}

result<void> faulty_link::push(std::span<const std::byte> data,
                               deadline until) {
  if (auto good = step(until); !good)
    return good;
  // What is empty has no byte to change.
  auto turn = data.empty() ? pushes_ : pushes_++;
  if (!data.empty() && due(fault_kind::corrupt, turn, pushes_before_))
    return push_flipped(data, until);
  return inner_->push(data, until);
}

result<void> faulty_link::pull(std::span<std::byte> data, deadline until) {
  if (auto good = step(until); !good)
    return good;
  return inner_->pull(data, until);
}

void faulty_link::abort() noexcept {
  {
    std::unique_lock lock{mutex_};
    aborted_ = true;
    changed_.notify_all();
  }
  if (around_.gave_up)
    around_.gave_up();
  if (!forgotten_)
    inner_->abort();
}

comm::window_source* faulty_link::source_windows() noexcept {
  return inner_->source_windows() != nullptr ? this : nullptr;
}

comm::window_sink* faulty_link::sink_windows() noexcept {
  return inner_->sink_windows() != nullptr ? this : nullptr;
}

// -- window_source -------------------------------------------------------------

result<void> faulty_link::share(std::shared_ptr<comm::shared_memory> memory) {
  staging_ = memory;
  return inner_->source_windows()->share(std::move(memory));
}

std::optional<comm::window>
faulty_link::locate(std::span<const std::byte> data) const noexcept {
  if (staging_ && staging_->contains(data))
    slots_.push_back(const_cast<std::byte*>(data.data()));
  return inner_->source_windows()->locate(data);
}

result<void> faulty_link::lend(std::uint64_t count, deadline until) {
  if (auto good = step(until); !good)
    return good;
  auto bucket = lends_++;
  // Only what was packed can be changed on its way.
  auto buckets = around_.bucket_bytes.size();
  auto packed = slots_.size() == buckets && bucket < buckets;
  if (packed && around_.bucket_bytes[bucket] > 0
      && due(fault_kind::corrupt, bucket, buckets))
    if (auto done = flip(slots_[bucket], around_.bucket_bytes[bucket], until);
        !done)
      return done;
  return inner_->source_windows()->lend(count, until);
}

result<std::uint64_t> faulty_link::reclaim(std::uint64_t known,
                                           deadline until) {
  if (auto good = step(until); !good)
    return fail(good.error());
  auto back = inner_->source_windows()->reclaim(known, until);
  if (back && around_.sent != nullptr && due(fault_kind::write, 0, 1))
    if (auto done = flip(around_.sent, 1, until); !done)
      return fail(done.error());
  return back;
}

void faulty_link::withdraw() noexcept {
  inner_->source_windows()->withdraw();
}

// -- window_sink ---------------------------------------------------------------

result<std::span<const std::byte>> faulty_link::view(comm::window where,
                                                     std::uint64_t bytes) {
  return inner_->sink_windows()->view(where, bytes);
}

result<void> faulty_link::borrow(std::uint64_t total, deadline until) {
  if (auto good = step(until); !good)
    return good;
  return inner_->sink_windows()->borrow(total, until);
}

bool faulty_link::intact() const noexcept {
  return inner_->sink_windows()->intact();
}

result<void> faulty_link::give_back(std::uint64_t total, deadline until) {
  if (auto good = step(until); !good)
    return good;
  return inner_->sink_windows()->give_back(total, until);
}

void faulty_link::let_go() noexcept {
  inner_->sink_windows()->let_go();
}

// -- what goes wrong -----------------------------------------------------------

bool faulty_link::due(fault_kind kind, std::uint64_t turn,
                      std::uint64_t turns) {
  if (!fault_ || fault_->kind != kind || fired_ || turns == 0
      || turn < fault_->at % turns)
    return false;
  fired_ = true;
  return true;
}

result<void> faulty_link::step(deadline until) {
  if (forgotten_)
    return fail(errc::lost, "this end of the link is gone");
  auto turn = steps_++;
  if (due(fault_kind::abort, turn, steps_before_))
    inner_->abort();
  if (due(fault_kind::drop, turn, steps_before_)) {
    if (around_.vanish)
      around_.vanish();
    forgotten_ = true;
    return fail(errc::lost, "this end of the link is gone");
  }
  if (due(fault_kind::stall, turn, steps_before_)) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, until.left(), [&] { return aborted_; });
  }
  return {};
}

result<void> faulty_link::flip(std::byte* begin, std::uint64_t bytes,
                               deadline until) {
  auto words = (bytes + word_bytes - 1) / word_bytes;
  auto* at = begin + fault_->which % words * word_bytes;
  std::byte value{};
  if (!around_.place.holds(at)) {
    *at ^= std::byte{16};
    return {};
  }
  auto done = around_.place.device->get({&value, 1}, at, until);
  value ^= std::byte{16};
  return done ? around_.place.device->put(at, {&value, 1}, until) : done;
}

result<void> faulty_link::push_flipped(std::span<const std::byte> data,
                                       deadline until) {
  // A copy: what is pushed may be the tensor itself.
  std::vector<std::byte> here(data.size());
  around_.place.get(here, data.data());
  auto copy = around_.place.holds(data.data())
                ? around_.place.allocate(data.size())
                : buffer::allocate(data.size());
  around_.place.put(copy.data(), here);
  auto done = flip(copy.data(), copy.size(), until);
  return done ? inner_->push(copy.bytes(), until) : done;
}

} // namespace troupe::test
