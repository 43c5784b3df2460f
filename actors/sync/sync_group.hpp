// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/device_lease.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/actors/sync/hang_report.hpp"
#include "troupe/actors/sync/sync_machine.hpp"
#include "troupe/actors/sync/sync_route.hpp"

namespace troupe::sync {

/// The actor that keeps the weights of one destination model in step with one
/// source model: a thin shell that takes the steps of a `sync_machine`. One
/// request at a time; other syncs, also of the same source, run side by side.
class sync_group : public protocol::sync_group_actor::base {
public:
  /// `attempt` tells its links from those that an earlier sync_group of this
  /// name made between the same ranks.
  sync_group(caf::actor_config& config, std::string sync_name,
             protocol::dist_model_actor source,
             protocol::dist_model_actor destination, std::uint32_t attempt = 0,
             protocol::device_desk_actor desk = {});

  const char* name() const override;
  void on_exit() override;

  /// For tests.
  [[nodiscard]] sync_state state() const noexcept { return machine_.state(); }

protected:
  behavior_type make_behavior() override;

private:
  template <class T>
  using continuation = std::function<void(result<T>)>;

  /// A program of the sync and its links: the one that moves everything, and,
  /// with `requires_grad`, the one that moves what trains.
  struct lane {
    sync_route route;
    /// Of its links; 0 before the first.
    std::uint32_t generation = 0;
    bool linked = false;
    /// Ranks may have something of the last generation.
    bool open = false;
    /// Memory to stage was found since the links were built, and is kept.
    bool has_staged = false;
  };

  /// For what takes no time, if it is answered at all: ranks that have answered
  /// with a deadline or a death are not asked.
  static constexpr std::uint32_t look_timeout_ms = 500;

  /// A rank's last answer.
  struct last_answer {
    sync_verb to = sync_verb::pin;
    caf::actor_clock::time_point at;
  };

  /// A run that is going on.
  struct progress {
    sync_kind kind = sync_kind::run;
    std::uint32_t timeout_ms = 0;
    std::size_t lane = 0;
    std::chrono::steady_clock::time_point start;
    call::device_lease devices = {};
    /// It has its devices, if it needs any.
    bool begun = false;
    /// All of its steps are done.
    bool ending = false;
    weight_version next;
    std::vector<protocol::sync_standing> sources;
    std::vector<protocol::transfer_report> reports;
    /// By member; of this run.
    std::map<std::size_t, last_answer> answers;
    /// What the ranks did when a deadline was near.
    std::vector<protocol::worker_status> operations;
    continuation<protocol::sync_report> done;
  };

  // -- preparing --------------------------------------------------------------

  void prepare(const protocol::prepare_sync& request,
               continuation<protocol::sync_plan> done);

  /// Installs the programs, builds the links and warms them up; in place if
  /// staging was our choice and there is no memory for it.
  void equip(std::uint32_t timeout_ms, continuation<protocol::ack> done);

  /// It is our choice to stage, and the memory for it was not found yet: if it
  /// lacks, it is tried in place.
  [[nodiscard]] bool stages_on_trial() const;

  /// What ranks have failed of in a trial.
  struct trial {
    bool has_failed = false;
    bool lacks_memory = false;
    /// Or what may come of that.
    bool all_for_memory = true;
    bool owned_up = false;
  };

  void note_trial_failure(const error& why);
  /// Of a run, where the others may be at it for long: if it is not memory that
  /// lacks, that is told a moment later and not at the end.
  void note_run_failure(const error& why);

  /// Whether what has failed on trial is to be tried in place.
  [[nodiscard]] bool staging_lacks_memory() const;

  /// From now on, and then `next`: what is staged goes with the links.
  void go_in_place(const error& why, std::uint32_t timeout_ms,
                   std::function<void()> next);

  /// The trial has failed for good: the models report of whom they know, and
  /// then `next`.
  void own_up(const std::function<void()>& next);

  [[nodiscard]] result<void> plan(const protocol::prepare_sync& request);

  /// One rank's program on its way: piece by piece, so that those of large
  /// models do not fill the sockets.
  struct installation {
    std::size_t member = 0;
    std::string program;
    std::vector<protocol::program_chunk> pieces;
    std::size_t next = 0;
    std::uint32_t timeout_ms = 0;
    /// Of the preparation.
    std::uint64_t number = 0;
    continuation<protocol::ack> done;
  };

  /// Ranks that have a part in a lane, once for each.
  [[nodiscard]] std::size_t movers() const;

  /// Hands the ranks the programs of all lanes.
  void install(std::uint32_t timeout_ms, continuation<protocol::ack> done);
  void install_next(const std::shared_ptr<installation>& work);

  /// Builds the links of a lane anew; both ends of each must be open before
  /// either connects.
  void build_links(std::size_t lane, std::uint32_t timeout_ms,
                   continuation<protocol::ack> done);
  /// Without a lease: nobody waits for a peer in it, and what is to be closed
  /// must not wait for devices.
  void leave_links(std::size_t lane, std::uint32_t timeout_ms,
                   continuation<protocol::ack> done);

  /// Maps and touches memory at the ranks of all lanes.
  void warm_up(std::uint32_t timeout_ms, continuation<protocol::ack> done);

  // -- running ----------------------------------------------------------------

  /// Runs, after planning anew if that was begun without the dead and failed.
  void start(sync_kind kind, std::uint32_t timeout_ms,
             continuation<protocol::sync_report> done);
  [[nodiscard]] bool may_prepare_again() const;

  void run(sync_kind kind, std::uint32_t timeout_ms,
           continuation<protocol::sync_report> done);

  /// Through which devices ranks talk to each other because of these lanes:
  /// those between which links go, and those of replicas with several that take
  /// new weights in (`module::on_sync`).
  [[nodiscard]] std::vector<std::string>
  joined_devices(const std::vector<const lane*>& xs) const;

  /// Takes steps, and ends the run if they are the last.
  void perform(const sync_steps& steps);
  void order(sync_verb verb, const std::vector<std::size_t>& members);
  void take_in(sync_verb verb, std::size_t member,
               const protocol::sync_standing& x);
  void move(sync_verb verb, std::size_t member);
  void arrived(sync_verb verb, std::size_t member,
               const std::optional<error>& failure);
  /// Whether this is still the run in which somebody was asked.
  [[nodiscard]] bool current(std::uint64_t number) const noexcept;
  /// Or the preparation.
  [[nodiscard]] bool at_work(std::uint64_t number) const noexcept;
  /// Builds the links of the run's lane.
  void link();
  void judge(sync_verb verb);
  [[nodiscard]] result<void> check(sync_verb verb) const;
  /// Goes in place, or has the models own up before it fails.
  void end_run();
  /// While weights were moved.
  [[nodiscard]] bool failed_on_the_way() const;
  /// Answers whoever asked for the run.
  void conclude_run();

  /// Nobody has swapped: the run begins again, for it was the first to stage, if
  /// nothing was warmed up.
  void run_in_place(const error& why);

  /// Who is dead is planned without and the run begins again; if nobody is, or
  /// somebody does not answer, it ends with `why`.
  void go_on_without_the_dead(progress ended, const error& why);
  void drop(const std::set<protocol::worker_name>& dead, progress ended,
            const error& why);

  /// Those that were only asked what they hold need not keep it.
  void dismiss(std::uint32_t timeout_ms);

  void begin_phase();

  /// How long a phase may take before it looks like a hang.
  [[nodiscard]] std::chrono::milliseconds alarm() const;

  /// Asks all ranks what they do, if a deadline is near.
  void look_around();
  /// Of a rank whose process is silent, it adds what it answered last.
  void note_operations(std::vector<protocol::worker_status> xs);
  [[nodiscard]] error explain(const error& why);
  /// Where memory lacks while something is staged: which key helps.
  [[nodiscard]] error with_remedy(const error& why) const;

  // -- small things -----------------------------------------------------------

  /// Asks the ranks of a model for something that may take `timeout_ms`. They
  /// may wait for each other in it: the devices of the preparation or the run
  /// are ours until they have answered, also if it has failed meanwhile.
  template <class T, class Request>
  void ask(const protocol::dist_model_actor& model, std::uint32_t timeout_ms,
           Request&& request, continuation<T> heard) {
    auto held = [devices = run_ ? run_->devices : lease_,
                 heard = std::move(heard)](result<T> x) {
      heard(std::move(x));
    };
    calls_.template ask<T>(model, patience(timeout_ms),
                           std::forward<Request>(request), std::move(held));
  }

  /// Asks all ranks of one side.
  void ask_side(bool source, protocol::sync_action action,
                std::uint32_t timeout_ms,
                continuation<protocol::sync_standings> heard);

  /// How long to wait for ranks that have `timeout_ms`.
  [[nodiscard]] static std::chrono::milliseconds
  patience(std::uint32_t timeout_ms);

  [[nodiscard]] const protocol::dist_model_actor&
  model_of(std::size_t member) const;
  [[nodiscard]] protocol::transfer_mode mode_of(sync_verb verb) const;
  [[nodiscard]] result<void> ready() const;
  [[nodiscard]] std::string_view state_name() const;

  std::string sync_name_;
  std::uint32_t first_generation_;
  protocol::dist_model_actor source_;
  protocol::dist_model_actor destination_;
  protocol::device_desk_actor desk_;
  protocol::sync_options options_;
  /// Of ranks whose hosts work on one.
  std::map<protocol::worker_name, std::string> devices_;
  /// What it was planned from; kept only if ranks may be dropped.
  protocol::prepare_sync prepared_;
  std::vector<protocol::worker_name> dropped_;
  std::vector<lane> lanes_;
  sync_machine machine_;
  bool preparing_ = false;
  /// While it is prepared.
  call::device_lease lease_;
  /// So many syncs may want the same devices at one time.
  std::uint32_t together_ = 1;
  bool broken_ = false;
  /// Of the last run or preparation.
  trial trial_;
  /// Everything has arrived once, with nobody left behind.
  bool complete_ = false;
  weight_version version_;
  std::unique_ptr<progress> run_;
  /// Of the last run or preparation.
  std::uint64_t work_number_ = 0;
  std::uint64_t phase_ = 0;
  caf::actor_clock::time_point phase_begin_;
  bool reminded_ = false;
  int depth_ = 0;
  call::caller<sync_group> calls_;
};

} // namespace troupe::sync
