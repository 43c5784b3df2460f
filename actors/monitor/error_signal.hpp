// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::monitor {

/// Records every error of the job, numbers it, and pushes it to whoever
/// subscribed. Keeps the last `history_max` reports; nobody polls.
///
/// A subscriber is told one thing at a time: what comes while it has not
/// answered waits in a buffer of `buffer_max`, of which it then gets all at
/// once. Nobody can make the signal wait or grow. One that does not answer is
/// asked again now and then, with nothing new, and forgotten at last.
///
/// What is to be told `once` and has been told in the same words, it drops; it
/// knows up to `history_max` such reports.
class error_signal : public protocol::error_signal_actor::base {
public:
  static constexpr std::size_t history_max = 1000;
  static constexpr std::size_t buffer_max = history_max;

  /// How long a subscriber may take to answer before it is asked again, and
  /// how often it is.
  static constexpr std::chrono::seconds answer_timeout{10};
  static constexpr int silences_max = 360;

  explicit error_signal(caf::actor_config& config);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  struct subscriber {
    std::uint64_t number = 0;
    protocol::error_listener_actor actor;
    std::deque<protocol::error_report> waiting;
    /// What did not fit there.
    std::uint64_t lost = 0;
    bool asked = false;
    int silences = 0;
  };

  void record(protocol::error_report x);

  /// Whether it is to be told once, and has been.
  [[nodiscard]] bool is_told(const protocol::error_report& x);

  void note(const protocol::verdict& x);
  void subscribe(const protocol::subscribe_errors& x);
  [[nodiscard]] protocol::error_history history(std::uint64_t last) const;

  static void queue(subscriber& to, const protocol::error_report& x);

  /// Tells what waits, unless the last is not answered yet.
  void push(subscriber& to);
  void tell(subscriber& to, protocol::error_news x);
  void on_answer(std::uint64_t number, const result<protocol::ack>& x);

  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t warnings_ = 0;
  std::deque<protocol::error_report> history_;
  /// The words of what is not told again.
  std::set<std::string> told_once_;
  std::uint64_t next_subscriber_ = 1;
  std::map<std::uint64_t, subscriber> subscribers_;
  call::caller<error_signal> calls_;
};

} // namespace troupe::monitor
