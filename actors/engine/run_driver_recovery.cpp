// SPDX-License-Identifier: Apache-2.0
// How a run goes on after a failure.
#include <algorithm>
#include <utility>

#include <caf/send.hpp>
#include <fmt/format.h>

#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/engine/repair_crew.hpp"
#include "troupe/actors/engine/run_driver.hpp"
#include "troupe/actors/protocol/errors.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

using std::chrono::milliseconds;

result<std::optional<run_driver::beginning>>
run_driver::go_on(run_ended& ended, data_source& data, const batch& origin,
                  status_desk& listener) {
  auto& outcome = ended.outcome;
  const auto& cause = outcome.verdict.root;
  auto stay = [&](const error& why) -> std::optional<beginning> {
    if (!interrupted_)
      listener.on_note(fmt::format("Cannot go on: {}", why.message()));
    return std::nullopt;
  };
  // Nobody writes any more: what is on the disk stays.
  if (auto over = end_attempt(cause); !over)
    return stay(over.error());
  auto found = checkpoint::checkpoint_folder{settings_.checkpoint_dir}.latest();
  if (found)
    outcome.saved_episode = found->episode;
  // It did lead further.
  if (repaired_episode_ && outcome.episodes > *repaired_episode_)
    repaired_episode_.reset();
  auto facts = facts_of(ended, outcome.saved_episode);
  auto ways = ways_on(facts);
  if (ways.empty())
    return stay({errc::unavailable, "models had begun to train, and there is "
                                    "no checkpoint"});
  restart_notice notice;
  notice.cause = cause;
  notice.episode = episode_of(ways.front(), facts);
  auto wait = policy_.next(cause.code, notice.episode);
  if (!wait)
    return std::optional<beginning>{};
  notice.number = policy_.restarts();
  notice.number_max = policy_.restarts_max();
  notice.wait = *wait;
  listener.on_restart(notice);
  if (!pause(*wait))
    return std::optional<beginning>{};
  error why{errc::unavailable, "there is no other way"};
  for (auto how : ways) {
    if (episode_of(how, facts) != notice.episode) {
      notice.episode = episode_of(how, facts);
      notice.further_back = true;
      listener.on_restart(notice);
    }
    if (how == way::anew)
      return begin_anew(found, data, origin, listener);
    // Whoever does not answer once will not the next time.
    if (why.code() == errc::timed_out || protocol::has_given_up(why))
      continue;
    auto from = how == way::in_memory
                  ? std::move(*ended.standing)
                  : standing_point{found->episode, found->state, 0};
    repaired_episode_ = from.episode;
    auto repaired = repair(how, std::move(from), facts,
                           found ? found->directory : std::filesystem::path{},
                           listener);
    if (interrupted_)
      return std::optional<beginning>{};
    if (repaired)
      return std::optional{beginning{std::nullopt, std::move(*repaired)}};
    why = repaired.error();
    log::warning("driver", "no repair: {}", to_string(why));
  }
  return stay(why);
}

result<std::optional<run_driver::beginning>>
run_driver::begin_anew(result<checkpoint::saved>& found, data_source& data,
                       const batch& origin, status_desk& listener) {
  repaired_episode_.reset();
  listener.on_note("All processes begin anew.");
  if (auto over = end_body(listener); !over) {
    if (!interrupted_)
      listener.on_note(fmt::format("Cannot go on: {}", over.error().message()));
    return std::optional<beginning>{};
  }
  beginning from;
  if (found)
    from.resume = std::move(*found);
  else if (auto back = seek_to(data, origin); !back)
    return fail(back.error());
  return std::optional{std::move(from)};
}

recovery_facts run_driver::facts_of(const run_ended& ended,
                                    std::optional<std::int64_t> saved) const {
  recovery_facts x;
  x.drop = config_.runtime.on_failure == config::failure_policy::drop;
  x.deterministic = config_.runtime.deterministic;
  if (ended.standing)
    x.standing = ended.standing->episode;
  x.saved = saved;
  x.repaired = repaired_episode_;
  x.machine_lost = nodes_.any_lost();
  for (std::size_t i = 0; i < app_.syncs.size(); ++i)
    if (app_.sync_kinds[i] == sync_schedule_kind::once)
      x.synced_once.insert(app_.syncs[i].destination);
  return x;
}

result<repaired_run> run_driver::repair(way how, standing_point from,
                                        const recovery_facts& facts,
                                        const std::filesystem::path& checkpoint,
                                        status_desk& listener) {
  using models = std::map<std::string, protocol::repaired>;
  listener.on_phase("repair", 0, 0);
  recovery_folders folders{checkpoint,
                           settings_.checkpoint_dir
                             / fmt::format("rescue{}",
                                           checkpoint::unfinished_suffix)};
  std::error_code ignored;
  std::filesystem::remove_all(folders.rescue, ignored);
  auto orders = repair_orders(app_.models, how, facts, folders, from.scope,
                              config_.runtime.setup_timeout);
  ++attempts_;
  for (auto& [name, order] : orders)
    order.attempt = attempts_;
  auto crew = keep_now(
    system_->spawn<repair_crew>(body_.models, std::move(orders),
                                caf::actor_cast<repair_owner_actor>(
                                  caf::actor_cast<caf::strong_actor_ptr>(
                                    self_->ptr()))));
  caf::anon_send(crew, repair_all{});
  result<models> done = fail(errc::aborted, "the repair was given up");
  auto over = false;
  // Every wait of the crew has a deadline.
  (*self_)->receive_while([&] { return !over && !interrupted_; })(
    [&](repair_ended& x) {
      done = std::move(x.models);
      over = true;
    },
    [&](stop_run) { interrupted_ = true; },
    [&](const caf::down_msg& x) {
      gone_.insert(x.source);
      over = over || x.source == crew.address();
    });
  std::filesystem::remove_all(folders.rescue, ignored);
  if (!done)
    return fail(done.error());
  repaired_run out;
  out.from = std::move(from);
  out.saved_episode = facts.saved.value_or(-1);
  for (auto& [name, x] : *done) {
    tell_repair(name, x, listener);
    std::set<replica_id> left;
    for (const auto& rank : x.members.items)
      left.insert(rank.worker.replica);
    members_.keep_only(name, left);
    out.members[name] = std::move(x.members);
  }
  return out;
}

void run_driver::tell_repair(const std::string& model,
                             const protocol::repaired& x,
                             status_desk& listener) {
  auto tell = [&](const std::vector<replica_id>& ids, std::string_view what) {
    std::vector<std::int32_t> numbers;
    for (auto id : ids)
      numbers.push_back(id.value());
    if (!ids.empty())
      listener.on_note(fmt::format("{} replica {} {}.", model,
                                   fmt::join(numbers, ", "), what));
  };
  tell(x.made_anew, "was made anew");
  tell(x.dropped, "was lost; the run goes on without it");
}

// -- ending what failed --------------------------------------------------------

result<void> run_driver::end_attempt(const protocol::error_report& cause) {
  if (must_end_host(cause))
    if (auto over = nodes_.end_host(*self_, cause.node, cause.slot); !over)
      log::warning("driver", "ending the host that failed: {}",
                   to_string(over.error()));
  // A plain function may be running, or a checkpoint on its way to the disk.
  const auto& runtime = config_.runtime;
  auto timeout = std::max(runtime.call_timeout, runtime.checkpoint_timeout);
  return end_these(attempt_, timeout);
}

result<void> run_driver::end_body(run_listener& listener) {
  node_patience patience{[this](milliseconds time) { return pause(time); },
                         [&](std::string_view text) {
                           listener.on_note(text);
                         }};
  if (auto anew = nodes_.begin_anew(*self_, patience); !anew)
    return anew;
  body_ = {};
  return end_these(body_actors_, config_.runtime.call_timeout);
}

result<void> run_driver::end_these(actor_list& these, milliseconds timeout) {
  if (!end_all(these, deadline::after(timeout), true))
    return fail(errc::timed_out, "an actor of the failed attempt does not "
                                 "end");
  return {};
}

} // namespace troupe::engine
