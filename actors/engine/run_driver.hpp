// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include "troupe/actors/engine/driver.hpp"
#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/job_actors.hpp"
#include "troupe/actors/engine/job_nodes.hpp"
#include "troupe/actors/engine/recovery.hpp"
#include "troupe/actors/engine/restart_policy.hpp"
#include "troupe/actors/engine/run_orders.hpp"
#include "troupe/actors/engine/status_desk.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/signal_watch.hpp"

namespace troupe::engine {

/// Everything of one run that lives in the driver's process, in the order in
/// which it is made: what `drive` does. Used by one thread.
class run_driver {
public:
  run_driver(const application& app, const config::job_config& config,
             const driver_settings& settings);

  /// True if every actor has ended. If not, the driver must outlive all of the
  /// process: threads that are left still use it, and waiting for them has no
  /// bound.
  [[nodiscard]] bool all_down() const noexcept { return all_down_; }

  /// See `driven`.
  [[nodiscard]] bool begun() const noexcept { return begun_; }

  run_driver(const run_driver&) = delete;
  run_driver& operator=(const run_driver&) = delete;

  /// From the first actor to the last. Blocks.
  result<run_outcome> run(const std::shared_ptr<data_source>& data,
                          run_listener& listener);

private:
  using actor_list = std::vector<caf::strong_actor_ptr>;

  /// Where an attempt begins, if not at the beginning.
  struct beginning {
    std::optional<checkpoint::saved> resume;
    std::optional<repaired_run> repaired;
  };

  template <class Handle>
  Handle keep_in(actor_list& these, Handle x) {
    (*self_)->monitor(x);
    these.push_back(caf::actor_cast<caf::strong_actor_ptr>(x));
    return x;
  }

  /// For an actor of the whole run.
  template <class Handle>
  Handle keep(Handle x) {
    return keep_in(kept_, std::move(x));
  }

  /// For an actor that ends with the attempt.
  template <class Handle>
  Handle keep_now(Handle x) {
    return keep_in(attempt_, std::move(x));
  }

  // -- making -----------------------------------------------------------------

  result<void> start_nodes(run_listener& listener);

  /// The application's own subscription; a thread of its own, because it may
  /// take its time.
  void tell_application();

  result<planner::placement> make_plan();

  /// Lets monitors look at the run.
  std::unique_ptr<status_desk> open_desk(run_listener& listener);

  void make_models();

  void start_engine(const std::shared_ptr<data_source>& data, beginning& from,
                    run_listener& listener);

  /// A run that takes no orders runs all the same.
  void open_orders(run_listener& listener);

  // -- running ----------------------------------------------------------------

  /// The first signal reaches this thread as a message.
  result<std::unique_ptr<process::signal_watch>> watch_signals();

  /// Attempts until one ends well, is interrupted, or is the last.
  result<run_outcome> run_attempts(const std::shared_ptr<data_source>& data,
                                   status_desk& listener);

  // -- going on after a failure -----------------------------------------------

  /// Where the next attempt begins; nothing if there is none.
  result<std::optional<beginning>> go_on(run_ended& ended, data_source& data,
                                         const batch& origin,
                                         status_desk& listener);

  /// Ends all that is left, and gives where the next attempt begins.
  result<std::optional<beginning>> begin_anew(result<checkpoint::saved>& found,
                                              data_source& data,
                                              const batch& origin,
                                              status_desk& listener);

  [[nodiscard]] recovery_facts
  facts_of(const run_ended& ended, std::optional<std::int64_t> saved) const;

  /// Has the models become whole with what is left of them.
  result<repaired_run> repair(way how, standing_point from,
                              const recovery_facts& facts,
                              const std::filesystem::path& checkpoint,
                              status_desk& listener);

  static void tell_repair(const std::string& model, const protocol::repaired& x,
                          status_desk& listener);

  result<run_ended> wait();

  /// False if somebody wants the run to end meanwhile.
  bool pause(std::chrono::milliseconds time);

  // -- ending -----------------------------------------------------------------

  result<run_outcome> stop_early(const error& why);

  void shut_down();

  /// Ends what belongs to this attempt alone, and the process in which it
  /// failed: what a module is that threw, or does not answer, nobody knows.
  result<void> end_attempt(const protocol::error_report& cause);

  /// Ends all hosts and models, so that they can begin anew.
  result<void> end_body(run_listener& listener);

  result<void> end_these(actor_list& these, std::chrono::milliseconds timeout);

  /// True if all have ended in time. An interruption may end the wait.
  bool end_all(actor_list& these, deadline until, bool interruptible = false);

  const application& app_;
  config::job_config config_;
  const driver_settings& settings_;
  job_nodes nodes_;
  node::system_config actor_config_;
  std::unique_ptr<caf::actor_system> system_;
  // Goes before its system.
  std::unique_ptr<caf::scoped_actor> self_;
  actor_list kept_;
  actor_list body_actors_;
  actor_list attempt_;
  /// Who has ended.
  std::set<caf::actor_addr> gone_;
  bool all_down_ = false;
  bool begun_ = false;
  /// Somebody wanted the end while no engine was there to hear it.
  bool interrupted_ = false;
  restart_policy policy_;

  /// Begun, or made ready in vain.
  std::uint32_t attempts_ = 0;
  roster members_;
  std::unique_ptr<run_orders> orders_;
  std::optional<std::int64_t> repaired_episode_;

  protocol::error_signal_actor errors_;
  job_body body_;
  engine_actor engine_;
};

} // namespace troupe::engine
