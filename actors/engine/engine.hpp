// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/engine/application.hpp"
#include "troupe/actors/engine/applier.hpp"
#include "troupe/actors/engine/checkpoint_keeper.hpp"
#include "troupe/actors/engine/metric_watch.hpp"
#include "troupe/actors/engine/roster.hpp"
#include "troupe/actors/engine/run_listener.hpp"
#include "troupe/actors/engine/straggler_watch.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::engine {

/// Begins the run. Sender: driver.
struct start_run {};

/// Ends the run early and in good order. Sender: driver (Ctrl-C).
struct stop_run {};

/// The moment is over. Sender: engine, to itself.
struct give_up_saving {};

/// What a run is after an episode, besides the state of its models: where it
/// can go on from as long as those live.
struct standing_point {
  std::int64_t episode = 0;
  batch state;
  /// Of the calls of the episode that follows.
  std::uint64_t scope = 0;
};

/// The run has ended. Sender: engine, to whoever made it.
struct run_ended {
  run_outcome outcome;
  /// Of a run that failed while no model had begun to train again.
  std::optional<standing_point> standing = {};
  /// Which replicas there were.
  roster members = {};
};

using engine_actor = caf::typed_actor<
  caf::reacts_to<start_run>, caf::reacts_to<stop_run>,
  caf::reacts_to<protocol::verdict>, caf::reacts_to<give_up_saving>,
  caf::replies_to<protocol::scale_model>::with<protocol::scaled>>;

using run_owner_actor = caf::typed_actor<caf::reacts_to<run_ended>>;

/// A sync pair of the job.
struct engine_sync {
  std::string name;
  std::string source;
  std::string destination;
  sync_schedule_kind kind = sync_schedule_kind::by_frequency;
  /// Every n episodes; 0 never.
  std::int32_t frequency = 1;
  protocol::sync_group_actor actor;
  protocol::sync_options options = {};
};

/// Models that have outlived a failure and are whole again.
struct repaired_run {
  standing_point from;
  std::map<std::string, protocol::manifests> members;
  /// The last checkpoint on the disk, -1 if there is none.
  std::int64_t saved_episode = -1;
};

/// Whom the engine works with.
struct engine_parts {
  const application* app = nullptr;
  config::job_config config;
  std::map<std::string, protocol::dist_model_actor> models;
  /// Their replicas.
  roster members;
  std::vector<engine_sync> syncs;
  std::shared_ptr<data_source> data;
  protocol::storage_actor storage;
  protocol::error_signal_actor errors;
  applier_actor applier;
  checkpoint_keeper_actor keeper;
  /// Where to go on from, instead of a warm start.
  std::optional<checkpoint::saved> resume;
  /// Models that were repaired, and where to go on with them.
  std::optional<repaired_run> repaired;
  run_listener* listener = nullptr;
  run_owner_actor owner;
};

/// The actor that runs episodes:
///
///   set up -> warm start -> first syncs -> evaluate   (or load, then syncs;
///                                           or syncs alone after a repair)
///     -> { experience -> training -> syncs -> (evaluate) -> (save) }
///          x num_episode
///     -> evaluate -> compare weights -> close
///
/// It is a chain of steps, each of which asks other actors and continues when
/// they have answered. The first error ends the chain; the engine then waits
/// for the error_monitor's verdict, which names the cause.
class engine : public engine_actor::base {
public:
  engine(caf::actor_config& config, engine_parts parts);

  const char* name() const override;

  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  using then = std::function<void()>;

  struct flow_run;

  // -- the chain --------------------------------------------------------------

  void set_up();
  void prepare_syncs();
  void prepare(const std::vector<std::size_t>& which, then done);
  void warm_start(std::int64_t round);
  void first_syncs();
  void begin_episode(std::int64_t number);
  void train_episode();
  void end_episode();
  [[nodiscard]] bool good_enough() const;
  void final_checks();
  void compare_weights(std::size_t index);
  void close(run_end how);

  // -- steps ------------------------------------------------------------------

  /// Runs a flow of the application; `done` gets its result. `graph` must
  /// outlive the run.
  void run_flow(const flow_graph& graph, process::batch_ref input,
                std::function<void(process::batch_ref)> done);
  void advance(const std::shared_ptr<flow_run>& run);
  void finish_node(const std::shared_ptr<flow_run>& run, std::size_t index,
                   result<process::batch_ref> value);

  /// Runs a plain function in the applier; `what` names it if it fails.
  void apply(const std::string& what,
             std::function<batch(const std::vector<batch>&)> function,
             std::vector<process::batch_ref> inputs, bool store,
             std::function<void(applied)> done);

  /// Puts a batch of the data source where replicas can fetch it.
  void stage(const std::string& what, std::function<batch()> make,
             std::function<void(process::batch_ref)> done);

  /// Runs the given syncs: those that do not need each other side by side, a
  /// chain in its order.
  void run_syncs(std::vector<std::size_t> which, then done);
  void run_sync(std::size_t index,
                std::function<void(result<protocol::ack>)> done);

  void evaluate(data_stream stream,
                std::function<void(double, std::int64_t)> done);

  /// New scope for what follows; everything older is released.
  void next_scope(then done);

  // -- more or fewer replicas -------------------------------------------------

  /// Somebody waits for a model to have another number of replicas.
  struct wanted_scale {
    protocol::scale_model order;
    call::reply<protocol::scaled> out;
  };

  void want(const protocol::scale_model& x,
            const call::reply<protocol::scaled>& out);
  [[nodiscard]] result<void> check(const protocol::scale_model& x) const;

  /// Begins an episode, after what is wanted between two of them.
  void next_episode(std::int64_t number);

  void scale(const wanted_scale& x, then done);
  void change(const std::string& model, const roster_change& x,
              std::function<void(result<void>)> done);

  /// Brings the members of a model that have changed into its syncs.
  void join_syncs(const std::string& model, then done);

  // -- checkpoints ------------------------------------------------------------

  /// Loads `parts_.resume` and goes on behind the episode it was saved after.
  void go_on();
  void restore(std::int64_t episode, const batch& state);

  /// Goes on with models that were repaired.
  void go_on_repaired();

  /// The models are as after `episode`: syncs, then the next one.
  void follow(std::int64_t episode, const batch& state,
              std::int64_t saved_episode);

  /// Remembers the present state as one to go on from.
  void stand(std::int64_t episode);

  /// Saves if it is time to after `episode`; `done` runs once every rank has
  /// been told, long before everything is on the disk.
  void save_if_due(std::int64_t episode, then done);
  void save(std::int64_t episode, then done);
  void commit(std::int64_t episode, const batch& state);

  void saving_failed(const error& why);
  void end_saving();

  /// Gives a checkpoint that is on its way when the run fails a moment.
  void save_before_end(then done);

  /// Runs `done` when nothing is being saved any more.
  void finish_saving(then done);

  /// The engine's own state after the present episode.
  [[nodiscard]] result<batch> state_after(std::int64_t episode) const;

  // -- ends -------------------------------------------------------------------

  /// Reports and waits for the verdict; the chain stops here.
  void fail_run(const std::string& during, const error& why);

  /// Reports metrics of a training step that are NaN or infinite; true if the
  /// chain stops here.
  [[nodiscard]] bool refuse(const std::map<std::string, double>& metrics);

  /// Reports ranks that were slow in a call.
  void watch_stragglers(const flow_node& call,
                        const std::vector<protocol::rank_time>& times);

  /// Reports what a sync's preparation finds odd, once a run.
  void warn_of_sync(std::size_t index,
                    const std::vector<std::string>& sentences);

  /// True once the chain must not go on.
  [[nodiscard]] bool stopped() const noexcept;

  void phase(std::string_view name, std::int64_t done, std::int64_t total);

  void count_time(const std::string& what, time_point since);

  [[nodiscard]] std::vector<std::size_t> syncs_due(std::int64_t episode) const;

  engine_parts parts_;
  std::map<std::string, protocol::manifests> manifests_;
  std::deque<wanted_scale> wanted_;
  run_outcome outcome_;
  bool failing_ = false;
  bool ended_ = false;
  bool closing_ = false;
  std::uint64_t scope_ = 0;
  /// Runs of each sync.
  std::map<std::size_t, std::uint64_t> sync_counts_;
  time_point begin_ = std::chrono::steady_clock::now();
  time_point episode_begin_{};
  episode_result episode_;
  process::batch_ref experience_;
  /// Drawn for episodes that have ended.
  std::int64_t samples_ = 0;
  /// A checkpoint is on its way to the disk, and who waits for that.
  bool saving_ = false;
  then after_saving_;
  /// An episode at which one was due and could not be exact.
  bool save_owed_ = false;
  std::int64_t last_saved_ = -1;
  /// Absent while a model that trains may have changed since.
  std::optional<standing_point> standing_;
  metric_watch metrics_;
  straggler_watch stragglers_;
  call::caller<engine> calls_;
};

} // namespace troupe::engine

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::start_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::stop_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::give_up_saving)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::run_ended)
