// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::monitor {

/// What does not change while a run goes on.
struct board_settings {
  std::string app;
  std::string run;
  std::string job;
  std::vector<protocol::model_status> models;
};

/// Whom to ask from now on. Sender: driver, at the beginning of each attempt.
struct watched_run {
  std::vector<protocol::node_actor> nodes;
  std::map<std::string, protocol::dist_model_actor> models;
};

using status_board_actor = protocol::status_actor::extend<
  caf::reacts_to<watched_run>, caf::reacts_to<protocol::progress_status>>;

/// Knows how the run stands: what the driver told it last, and what nodes and
/// models answer when somebody asks. Workers are not asked: the control actors
/// of their hosts tell what they do, whatever that is.
///
/// Those who ask while it gathers share one answer, and nothing is gathered
/// while nobody asks: any number of monitors costs what one costs. Whoever does
/// not answer within `patience` is named in the answer.
class status_board : public status_board_actor::base {
public:
  static constexpr std::chrono::milliseconds patience{500};
  static constexpr std::size_t waiting_max = 64;
  /// Errors in an answer.
  static constexpr std::uint64_t errors_max = 50;

  status_board(caf::actor_config& config, board_settings settings,
               protocol::error_signal_actor errors);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  using time_point = caf::actor_clock::time_point;

  void gather();
  void finish();
  [[nodiscard]] protocol::run_status beginning() const;

  board_settings settings_;
  protocol::error_signal_actor errors_;
  watched_run watched_;
  protocol::progress_status progress_;
  time_point begin_;
  time_point phase_begin_;
  /// What has been gathered so far, and for whom.
  protocol::run_status now_;
  std::size_t open_ = 0;
  std::vector<call::reply<protocol::run_status>> waiting_;
  call::caller<status_board> calls_;
};

/// One entry a worker, in the order of their names: what its thread does or, if
/// that is idle, what moves its weights meanwhile.
[[nodiscard]] std::vector<protocol::worker_status>
one_each(std::vector<protocol::worker_status> all);

} // namespace troupe::monitor

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::monitor::watched_run)
