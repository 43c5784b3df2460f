// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/actors/sync/sync_schedule.hpp"

namespace troupe::sync {

/// Where a sync stands. Allowed moves, and why each waits:
///
///   idle -> preparing          prepare_sync; links are built before any step
///   preparing -> idle          every link stands
///   idle -> fencing            run_sync; WS-1: no destination replica serves
///                              while its weights change
///   fencing -> transferring    all replicas have confirmed the fence
///   transferring -> verifying  both ends of all links have reported
///   verifying -> committing    WS-4: what arrived is what was sent, everywhere
///   committing -> idle         WS-2: every replica serves at the new version
///   any -> failed              the destination stays fenced: nobody serves a
///                              mixture; only a restart of the models heals it
enum class sync_state : std::uint8_t {
  idle,
  preparing,
  fencing,
  transferring,
  verifying,
  committing,
  failed,
};

[[nodiscard]] std::string_view to_string(sync_state x) noexcept;

/// The actor that keeps the weights of one destination model in step with one
/// source model. One request at a time; WS-6 holds because the engine calls
/// nothing on the source while it waits for a sync, and the worker's own
/// mailbox keeps calls behind the transfer.
class sync_group : public protocol::sync_group_actor::base {
public:
  /// `pairs` says who feeds whom (planner::map_ranks).
  sync_group(caf::actor_config& config, std::string sync_name,
             protocol::dist_model_actor source,
             protocol::dist_model_actor destination,
             std::vector<planner::rank_pair> pairs);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  template <class T>
  using continuation = std::function<void(result<T>)>;

  void prepare(const protocol::prepare_sync& request,
               continuation<protocol::sync_plan> done);

  /// Builds the links; both ends of each must be open before either connects.
  void build_links(std::uint32_t timeout_ms, continuation<protocol::ack> done);

  void run(const protocol::run_sync& request,
           continuation<protocol::sync_report> done);

  /// Both ends of all links at once, then the comparison of their reports.
  void move(protocol::transfer_mode mode, std::uint32_t timeout_ms,
            continuation<protocol::transfer_reports> done);

  /// Compare mode; the differences are in the report.
  void compare(std::uint32_t timeout_ms,
               continuation<protocol::sync_report> done);

  void set_fence(bool on, weight_version version, std::uint32_t timeout_ms,
                 continuation<protocol::ack> done);

  /// Moves on, and leaves a line in the debug log.
  void enter(sync_state next);

  /// Names the sync and where it stood.
  [[nodiscard]] error failed(const error& why);

  std::string sync_name_;
  protocol::dist_model_actor source_;
  protocol::dist_model_actor destination_;
  std::vector<planner::rank_pair> pairs_;
  std::optional<sync_schedule> schedule_;
  sync_state state_ = sync_state::idle;
  weight_version version_;
  call::caller<sync_group> calls_;
};

} // namespace troupe::sync
