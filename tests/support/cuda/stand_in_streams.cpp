// SPDX-License-Identifier: Apache-2.0
// Streams, events and how their work is done.
#include "support/cuda/stand_in_runtime.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace troupe::test {

namespace {

namespace codes = comm::cuda::codes;
using status = comm::cuda::status;

/// `done` is for tests, whose work is counted in hundreds.
constexpr std::size_t done_max = 65536;

// No addresses, so that nobody can look inside, and never used again.
void* handle_of(std::uintptr_t kind, std::size_t number) {
  return reinterpret_cast<void*>(kind + number * 16);
}

} // namespace

status stand_in_runtime::create_stream(stream_handle& out) noexcept {
  lock guard{mutex_};
  out = nullptr;
  if (auto ended = begin("create_stream"))
    return *ended;
  auto x = std::make_shared<stream_state>();
  x->line = ++lines_;
  x->device = device_here();
  out = handle_of(0x5000, x->line);
  streams_[out] = x;
  if (!options_.stepped)
    x->worker = std::thread{[this, x] { run_stream(x); }};
  return end(codes::success);
}

status stand_in_runtime::destroy_stream(stream_handle stream) noexcept {
  lock guard{mutex_};
  auto ended = begin("destroy_stream");
  auto x = find_stream(stream, "destroy_stream");
  if (!x)
    return end(codes::invalid_handle);
  // As in CUDA, what is queued comes through nevertheless.
  x->destroyed = true;
  streams_.erase(stream);
  old_streams_.push_back(x);
  changed_.notify_all();
  return ended ? *ended : end(codes::success);
}

status stand_in_runtime::create_event(event_handle& out, bool timed) noexcept {
  lock guard{mutex_};
  out = nullptr;
  if (auto ended = begin("create_event"))
    return *ended;
  auto x = std::make_shared<event_state>();
  x->number = ++events_made_;
  x->device = device_here();
  x->timed = timed;
  out = handle_of(0xE00000, x->number);
  events_[out] = x;
  return end(codes::success);
}

status stand_in_runtime::destroy_event(event_handle event) noexcept {
  lock guard{mutex_};
  auto ended = begin("destroy_event");
  if (!find_event(event, "destroy_event"))
    return end(codes::invalid_handle);
  events_.erase(event);
  return ended ? *ended : end(codes::success);
}

status stand_in_runtime::record(event_handle event,
                                stream_handle stream) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("record"))
    return *ended;
  auto what = find_event(event, "record");
  auto on = find_stream(stream, "record");
  if (!what || !on)
    return end(codes::invalid_handle);
  if (what->device != on->device) {
    log_->add(fmt::format("record: event {} is of device {}, stream {} of {}",
                          what->number, what->device, on->line, on->device));
    return end(codes::invalid_handle);
  }
  operation op;
  op.what = fmt::format("record event {}", what->number);
  op.records = what;
  op.generation = ++what->recorded;
  auto code = push(on, std::move(op));
  what->known = on->known;
  return end(code);
}

status stand_in_runtime::query(event_handle event) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("query"))
    return *ended;
  auto x = find_event(event, "query");
  if (!x)
    return end(codes::invalid_handle);
  for (std::uint32_t i = 0; i < options_.steps_per_query; ++i)
    step_one(guard);
  if (sticky_ != codes::success)
    return end(sticky_);
  if (x->completed < x->recorded)
    return codes::not_ready;
  learn(x->known);
  return end(codes::success);
}

status stand_in_runtime::wait(stream_handle stream,
                              event_handle event) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("wait"))
    return *ended;
  auto on = find_stream(stream, "wait");
  auto what = find_event(event, "wait");
  if (!what || !on)
    return end(codes::invalid_handle);
  on->known.join(what->known);
  operation op;
  op.what = fmt::format("wait for event {}", what->number);
  op.waits_for = what;
  op.generation = what->recorded;
  return end(push(on, std::move(op)));
}

status stand_in_runtime::elapsed_ms(event_handle begin_event,
                                    event_handle end_event,
                                    float& out) noexcept {
  lock guard{mutex_};
  if (auto ended = begin("elapsed_ms"))
    return *ended;
  auto first = find_event(begin_event, "elapsed_ms");
  auto last = find_event(end_event, "elapsed_ms");
  if (!first || !last || !first->timed || !last->timed || first->recorded == 0
      || last->recorded == 0)
    return end(codes::invalid_handle);
  if (first->completed < first->recorded || last->completed < last->recorded)
    return end(codes::not_ready);
  out = std::chrono::duration<float, std::milli>(last->when - first->when)
          .count();
  return end(codes::success);
}

// -- calls ---------------------------------------------------------------------

std::optional<status> stand_in_runtime::begin(std::string_view function) {
  ++calls_[std::string{function}];
  constexpr std::array<std::string_view, 4> without_context{"device_count",
                                                            "figures",
                                                            "current_device",
                                                            "set_device"};
  if (std::ranges::count(without_context, function) == 0)
    contexts_.insert(device_here());
  if (auto found = failing_.find(function);
      found != failing_.end() && !found->second.empty()) {
    auto code = found->second.front();
    found->second.pop_front();
    return end(code);
  }
  if (sticky_ != codes::success)
    return sticky_;
  return std::nullopt;
}

status stand_in_runtime::end(status code) {
  if (code != codes::success)
    last_[std::this_thread::get_id()] = code;
  return code;
}

std::int32_t stand_in_runtime::device_here() const {
  const auto& chosen = chosen_devices();
  auto found = chosen.find(serial_);
  return found == chosen.end() ? 0 : found->second;
}

std::map<std::uint64_t, std::int32_t>& stand_in_runtime::chosen_devices() {
  thread_local std::map<std::uint64_t, std::int32_t> out;
  return out;
}

stand_in_runtime::stream_ptr
stand_in_runtime::find_stream(stream_handle stream, std::string_view function) {
  auto found = streams_.find(stream);
  if (found != streams_.end())
    return found->second;
  log_->add(stream == nullptr
              ? fmt::format("{}: on the default stream", function)
              : fmt::format("{}: no stream, or destroyed", function));
  return nullptr;
}

stand_in_runtime::event_ptr
stand_in_runtime::find_event(event_handle event, std::string_view function) {
  auto found = events_.find(event);
  if (found != events_.end())
    return found->second;
  log_->add(fmt::format("{}: no event, or destroyed", function));
  return nullptr;
}

// -- work ----------------------------------------------------------------------

status stand_in_runtime::push(const stream_ptr& to, operation what) {
  // What the host has waited for has happened before all that it asks for now.
  to->known.join(host_);
  what.time = ++to->time;
  to->known.add(to->line, what.time);
  what.known = to->known;
  to->queue.push_back(std::move(what));
  changed_.notify_all();
  return codes::success;
}

bool stand_in_runtime::runnable(const stream_state& x) const {
  if (x.busy || x.queue.empty())
    return false;
  if (sticky_ != codes::success)
    return true;
  if (x.held || all_held_)
    return false;
  const auto& head = x.queue.front();
  return !head.waits_for || head.waits_for->completed >= head.generation;
}

bool stand_in_runtime::idle() const {
  auto none = [](const stream_ptr& x) { return !x->busy && x->queue.empty(); };
  for (const auto& [handle, x] : streams_)
    if (!none(x))
      return false;
  for (const auto& x : old_streams_)
    if (!none(x))
      return false;
  return true;
}

void stand_in_runtime::run_head(lock& guard, stream_state& x) {
  auto op = std::move(x.queue.front());
  x.queue.pop_front();
  x.busy = true;
  auto who = fmt::format("{} on stream {}", op.what, x.line);
  auto& fails = x.fails ? x.fails : fails_;
  if (sticky_ == codes::success && op.work) {
    if (fails) {
      die(*fails);
      fails.reset();
    } else if (auto touches = op.touches();
               touches
               && memory_.touch({x.line, op.time, &op.known, who}, *touches)) {
      guard.unlock();
      auto code = op.work(cancelled_);
      // Before the lock: what it holds may lock as it goes.
      op.work = nullptr;
      guard.lock();
      if (code != codes::success)
        die(code);
      else if (done_.size() < done_max)
        done_.push_back(fmt::format("stream {}: {}", x.line, op.what));
    } else {
      die(codes::illegal_address);
    }
  }
  if (op.work) {
    // Never begun, and let go of without the lock, as above.
    guard.unlock();
    op.work = nullptr;
    guard.lock();
  }
  if (op.records) {
    op.records->completed = std::max(op.records->completed, op.generation);
    op.records->when = std::chrono::steady_clock::now();
  }
  x.done = op.time;
  x.busy = false;
  changed_.notify_all();
}

void stand_in_runtime::run_stream(const stream_ptr& x) {
  lock guard{mutex_};
  while (true) {
    changed_.wait(guard, [&] {
      return closing_ || runnable(*x) || (x->destroyed && x->queue.empty());
    });
    if (closing_ || x->queue.empty())
      return;
    run_head(guard, *x);
  }
}

bool stand_in_runtime::step_one(lock& guard) {
  if (!options_.stepped)
    return false;
  std::vector<stream_ptr> all;
  for (const auto& [handle, x] : streams_)
    all.push_back(x);
  all.insert(all.end(), old_streams_.begin(), old_streams_.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& x = all[(next_turn_ + i) % all.size()];
    if (runnable(*x)) {
      next_turn_ += i + 1;
      run_head(guard, *x);
      return true;
    }
  }
  return false;
}

void stand_in_runtime::die(status code) {
  if (sticky_ == codes::success)
    sticky_ = code;
  cancelled_ = true;
  changed_.notify_all();
}

void stand_in_runtime::learn(const happened& what) {
  host_.join(what);
  if (idle())
    memory_.forget(host_);
}

bool stand_in_runtime::wait_until(lock& guard, std::chrono::milliseconds limit,
                                  const std::function<bool()>& condition) {
  if (options_.stepped) {
    while (!condition())
      if (!step_one(guard))
        return condition();
    return true;
  }
  return changed_.wait_for(guard, limit, condition);
}

} // namespace troupe::test
