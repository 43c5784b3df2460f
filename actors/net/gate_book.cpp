// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/gate_book.hpp"

#include "troupe/core/log.hpp"

namespace troupe::net {

void gate_book::route(std::int32_t slot, std::uint16_t loopback_port) {
  std::lock_guard guard{mutex_};
  ports_[slot] = loopback_port;
}

void gate_book::unroute(std::int32_t slot) {
  std::lock_guard guard{mutex_};
  ports_.erase(slot);
}

std::optional<std::uint16_t> gate_book::port_of(std::int32_t slot) const {
  std::lock_guard guard{mutex_};
  auto i = ports_.find(slot);
  return i == ports_.end() ? std::nullopt : std::optional{i->second};
}

void gate_book::admit(std::string job, job_key key) {
  std::lock_guard guard{mutex_};
  keys_.insert_or_assign(std::move(job), key);
}

void gate_book::dismiss(const std::string& job) {
  std::lock_guard guard{mutex_};
  keys_.erase(job);
}

std::optional<job_key> gate_book::key_of(const std::string& job) const {
  std::lock_guard guard{mutex_};
  auto i = keys_.find(job);
  return i == keys_.end() ? std::nullopt : std::optional{i->second};
}

void gate_book::on_pulse(pulse_handler take) {
  std::lock_guard guard{mutex_};
  take_pulse_ = std::move(take);
}

gate_book::pulse_handler gate_book::take_pulse() const {
  std::lock_guard guard{mutex_};
  return take_pulse_;
}

void gate_book::note_refusal(const std::string& who, std::string_view why) {
  std::uint64_t missed = 0;
  {
    std::lock_guard guard{mutex_};
    auto now = steady_clock().now();
    if (lines_ == 0 || now - lines_since_ > lines_time) {
      lines_since_ = now;
      lines_ = 0;
    }
    if (lines_ >= lines_max) {
      ++unwritten_;
      return;
    }
    ++lines_;
    missed = std::exchange(unwritten_, 0);
  }
  if (missed > 0)
    log::warning("gate", "{} more were refused", missed);
  log::warning("gate", "refused {}: {}", who, why);
}

} // namespace troupe::net
