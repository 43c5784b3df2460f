// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/error_signal.hpp"

#include <algorithm>

#include "troupe/core/log.hpp"

namespace troupe::monitor {

namespace {

std::uint64_t wall_clock_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
    duration_cast<milliseconds>(system_clock::now().time_since_epoch())
      .count());
}

} // namespace

error_signal::error_signal(caf::actor_config& config)
  : protocol::error_signal_actor::base(config),
    calls_(this) {
  // nop
}

const char* error_signal::name() const {
  return "error_signal";
}

void error_signal::on_exit() {
  // Who listens may hold us in turn.
  subscribers_.clear();
}

bool error_signal::is_told(const protocol::error_report& x) {
  if (!x.once)
    return false;
  auto words = to_string(x);
  if (told_once_.count(words) > 0)
    return true;
  if (told_once_.size() < history_max)
    told_once_.insert(std::move(words));
  return false;
}

void error_signal::record(protocol::error_report x) {
  if (is_told(x))
    return;
  x.id = next_id_++;
  x.time_ms = wall_clock_ms();
  if (x.level == protocol::severity::error) {
    ++errors_;
    log::error("error_signal", "#{} [{}] {}", x.id, to_string(x.code),
               to_string(x));
  } else {
    ++warnings_;
    log::warning("error_signal", "#{} [{}] {}", x.id, to_string(x.code),
                 to_string(x));
  }
  if (history_.size() == history_max) {
    history_.pop_front();
    ++dropped_;
  }
  history_.push_back(x);
  for (auto& [number, subscriber] : subscribers_)
    queue(subscriber, x);
  // Whoever cannot be reached at all is forgotten while it is told.
  for (auto i = subscribers_.begin(); i != subscribers_.end();)
    push((i++)->second);
}

void error_signal::note(const protocol::verdict& x) {
  for (const auto& consequence : x.consequences) {
    auto i = std::ranges::find(history_, consequence.id,
                               &protocol::error_report::id);
    if (i != history_.end())
      i->cause = x.root.id;
  }
}

protocol::error_history error_signal::history(std::uint64_t last) const {
  protocol::error_history out;
  auto count = last == 0 ? history_.size()
                         : std::min<std::size_t>(last, history_.size());
  out.items.assign(history_.end() - static_cast<std::ptrdiff_t>(count),
                   history_.end());
  out.dropped = dropped_;
  out.errors = errors_;
  out.warnings = warnings_;
  return out;
}

// -- subscribers ---------------------------------------------------------------

void error_signal::subscribe(const protocol::subscribe_errors& x) {
  if (!x.listener)
    return;
  auto number = next_subscriber_++;
  auto& to = subscribers_[number];
  to.number = number;
  to.actor = x.listener;
  if (!x.from_now)
    for (const auto& report : history_)
      queue(to, report);
  calls_.watch(x.listener,
               [this, number](const error&) { subscribers_.erase(number); });
  if (auto i = subscribers_.find(number); i != subscribers_.end())
    push(i->second);
}

void error_signal::queue(subscriber& to, const protocol::error_report& x) {
  if (to.waiting.size() == buffer_max) {
    to.waiting.pop_front();
    ++to.lost;
  }
  to.waiting.push_back(x);
}

void error_signal::push(subscriber& to) {
  if (to.asked || to.waiting.empty())
    return;
  protocol::error_news x;
  x.items.assign(to.waiting.begin(), to.waiting.end());
  x.lost = std::exchange(to.lost, 0);
  to.waiting.clear();
  tell(to, std::move(x));
}

void error_signal::tell(subscriber& to, protocol::error_news x) {
  to.asked = true;
  // A copy: an actor that is gone is forgotten while it is asked.
  auto actor = to.actor;
  calls_.ask<protocol::ack>(actor, answer_timeout, std::move(x),
                            [this, number = to.number](
                              const result<protocol::ack>& y) {
                              on_answer(number, y);
                            });
}

void error_signal::on_answer(std::uint64_t number,
                             const result<protocol::ack>& x) {
  auto i = subscribers_.find(number);
  if (i == subscribers_.end())
    return;
  auto& from = i->second;
  if (x) {
    from.asked = false;
    from.silences = 0;
    return push(from);
  }
  auto slow = x.error().code() == errc::timed_out;
  if (slow && ++from.silences < silences_max)
    return tell(from, {});
  log::warning("error_signal", "forgets a subscriber: {}", x.error().message());
  subscribers_.erase(i);
}

error_signal::behavior_type error_signal::make_behavior() {
  using namespace protocol;
  return {
    [this](const error_report& x) { record(x); },
    [this](const subscribe_errors& x) {
      subscribe(x);
      return ack{};
    },
    [this](const get_errors& x) { return history(x.last); },
    [this](const verdict& x) { note(x); },
  };
}

} // namespace troupe::monitor
