// SPDX-License-Identifier: Apache-2.0
// How a sync_group is prepared: plan, programs, links, warm-up.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/protocol/program_codec.hpp"
#include "troupe/actors/protocol/rendezvous.hpp"
#include "troupe/actors/sync/sync_group.hpp"
#include "troupe/core/log.hpp"
#include "troupe/core/units.hpp"

namespace troupe::sync {

using protocol::ack;

namespace {

bool all_train(const protocol::manifests& x) {
  for (const auto& rank : x.items)
    for (const auto& parameter : rank.parameters)
      if (!parameter.requires_grad)
        return false;
  return true;
}

result<sync_mode> choose_mode(const protocol::sync_options& options,
                              std::uint64_t staging_bytes) {
  if (options.mode == "in_place")
    return sync_mode::in_place;
  if (staging_bytes <= options.staging_bytes_max)
    return sync_mode::staged;
  if (options.mode != "staged")
    return sync_mode::in_place;
  return fail(errc::exhausted,
              fmt::format("staging needs {} in one process, {} are allowed; "
                          "raise sync_staging_bytes_max or use another "
                          "sync_mode",
                          format_bytes(staging_bytes),
                          format_bytes(options.staging_bytes_max)));
}

/// What follows a step of a run or preparation that has ended meanwhile.
result<ack> given_up() {
  return fail(errc::aborted, "the sync was given up before");
}

/// `done` with an ack once `count` answers are there, or the first error.
std::shared_ptr<call::gather<ack>>
await(std::size_t count, std::function<void(result<ack>)> done) {
  return std::make_shared<call::gather<ack>>(count,
                                             [done = std::move(done)](
                                               result<std::vector<ack>> x) {
                                               done(x.map(
                                                 [](auto&&) { return ack{}; }));
                                             });
}

/// How long those who warm up beside one that failed are waited for.
constexpr std::chrono::milliseconds others_may_answer{500};

/// Ranks that warm up together. After a failure the others are heard for a
/// moment, so that whoever is nearest to the cause speaks, not those whose links
/// broke because of it, and none is at it any more when it is tried in another
/// way. One that hangs is not waited for.
class roll {
public:
  roll(std::size_t count, std::function<void(result<ack>)> done)
    : missing_(count),
      done_(std::move(done)) {
    if (missing_ == 0)
      end();
  }

  /// True after the first failure, if others are missing: `end` must follow.
  [[nodiscard]] bool add(const result<ack>& x) {
    auto first = !x && !why_;
    if (!x && (first || explains(x.error(), *why_)))
      why_ = x.error();
    if (--missing_ == 0)
      end();
    return first && done_;
  }

  /// Goes on with what is known, once.
  void end() {
    if (auto done = std::exchange(done_, nullptr))
      done(why_ ? result<ack>{fail(*why_)} : result<ack>{ack{}});
  }

private:
  std::size_t missing_;
  std::optional<error> why_;
  std::function<void(result<ack>)> done_;
};

} // namespace

result<void> sync_group::plan(const protocol::prepare_sync& request) {
  options_ = request.options;
  if (options_.when_lost != "fail" && options_.when_lost != "drop")
    return fail(errc::invalid,
                fmt::format("when_lost is '{}'; known: fail, drop",
                            options_.when_lost));
  std::vector<lane> lanes;
  std::uint64_t staging = 0;
  auto add = [&](route_filter filter) -> result<void> {
    auto route = make_route(sync_name_, request.source, request.destination,
                            request.options, filter);
    if (!route)
      return fail(route.error());
    // Each lane has staging of its own.
    staging += route->staging_bytes;
    // Generations go on, so that no old link is taken for a new one.
    auto index = lanes.size();
    auto last = index < lanes_.size() ? lanes_[index].generation
                                      : first_generation_;
    lanes.push_back({std::move(*route), last});
    return {};
  };
  if (auto all = add(route_filter::everything); !all)
    return all;
  if (options_.requires_grad && !all_train(request.source))
    if (auto some = add(route_filter::trainable); !some)
      return some;
  auto mode = choose_mode(options_, staging);
  if (!mode)
    return fail(mode.error());
  devices_.clear();
  for (const auto* side : {&request.source, &request.destination})
    for (const auto& rank : side->items)
      if (!rank.host_device.empty())
        devices_[rank.worker] = rank.host_device;
  machine_.reset(lanes.front().route.members, *mode);
  lanes_ = std::move(lanes);
  complete_ = false;
  return {};
}

std::vector<std::string>
sync_group::joined_devices(const std::vector<const lane*>& xs) const {
  std::set<std::string> out;
  auto device_of = [&](const protocol::worker_name& rank) {
    auto found = devices_.find(rank);
    return found == devices_.end() ? std::string{} : found->second;
  };
  std::map<replica_id, std::set<std::string>> taking;
  for (const auto* x : xs) {
    for (const auto& channel : x->route.channels)
      if (channel.link == link_kind::nccl)
        for (auto end : {channel.source, channel.destination})
          out.insert(device_of(x->route.members[end].name));
    for (const auto& member : x->route.members)
      if (!member.source)
        taking[member.name.replica].insert(device_of(member.name));
  }
  for (auto& [id, devices] : taking) {
    devices.erase("");
    if (devices.size() > 1)
      out.insert(devices.begin(), devices.end());
  }
  out.erase("");
  return {out.begin(), out.end()};
}

void sync_group::prepare(const protocol::prepare_sync& request,
                         continuation<protocol::sync_plan> done) {
  preparing_ = true;
  ++work_number_;
  broken_ = false;
  auto finish = [=, this](const result<ack>& x) {
    preparing_ = false;
    // The run that may follow asks for its own.
    lease_ = nullptr;
    if (!x) {
      broken_ = true;
      auto why = x.error().within(
        fmt::format("sync {} (preparing)", sync_name_));
      log::error("sync_group", "{}", to_string(why));
      return done(fail(why));
    }
    const auto& route = lanes_.front().route;
    protocol::sync_plan out{route.describe(), route.bytes,
                            std::string{to_string(machine_.mode())}};
    for (const auto& each : lanes_)
      out.warnings.insert(out.warnings.end(), each.route.warnings.begin(),
                          each.route.warnings.end());
    done(std::move(out));
  };
  auto timeout_ms = request.timeout_ms;
  // A new plan may count ranks, and so name links, in another way.
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    if (lanes_[i].open)
      leave_links(i, timeout_ms, [](const result<ack>&) {});
  if (auto planned = plan(request); !planned)
    return finish(fail(planned.error()));
  if (options_.when_lost == "drop")
    prepared_ = request;
  together_ = std::max(together_, request.together);
  log::info("sync_group", "{}: {}, {}", sync_name_, to_string(machine_.mode()),
            format_bytes(lanes_.front().route.bytes));
  for (const auto& line : lanes_.front().route.describe())
    log::info("sync_group", "{}: {}", sync_name_, line);
  std::vector<const lane*> all;
  for (const auto& x : lanes_)
    all.push_back(&x);
  call::lease_devices(calls_, desk_, "sync " + sync_name_, joined_devices(all),
                      call::lease_turn::last,
                      // What others may do with them before our turn.
                      std::max(1u, request.together)
                        * protocol::prepare_sync::steps * patience(timeout_ms),
                      [=, this](result<call::device_lease> lease) {
                        if (!lease)
                          return finish(fail(lease.error()));
                        lease_ = std::move(*lease);
                        equip(timeout_ms, finish);
                      });
}

void sync_group::equip(std::uint32_t timeout_ms, continuation<ack> done) {
  auto warmed = [=, this](const result<ack>& x) {
    if (x) {
      for (auto& y : lanes_)
        y.has_staged = options_.warm_up;
      return done(x);
    }
    if (staging_lacks_memory())
      return go_in_place(x.error(), timeout_ms,
                         [=, this] { equip(timeout_ms, done); });
    auto failed = [=, this] { done(fail(with_remedy(x.error()))); };
    if (stages_on_trial())
      own_up(failed);
    else
      failed();
  };
  auto warm = [=, this](const result<ack>& linked) {
    if (!linked)
      return done(linked);
    if (!options_.warm_up)
      return warmed(ack{});
    warm_up(timeout_ms, warmed);
  };
  install(timeout_ms, [=, this](const result<ack>& installed) {
    if (!installed)
      return done(installed);
    // Links that live for a run, with nothing to warm up: the run builds them.
    if (options_.free_groups && !options_.warm_up)
      return done(ack{});
    auto all = await(lanes_.size(), warm);
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      build_links(i, timeout_ms,
                  [all, i](result<ack> x) { all->set(i, std::move(x)); });
  });
}

bool sync_group::stages_on_trial() const {
  return options_.mode != "staged" && machine_.mode() == sync_mode::staged
         && !(run_ && lanes_[run_->lane].has_staged);
}

void sync_group::note_trial_failure(const error& why) {
  trial_.has_failed = true;
  trial_.lacks_memory = trial_.lacks_memory || why.code() == errc::exhausted;
  // Whoever gives up takes the links along.
  if (why.code() != errc::exhausted && why.code() != errc::lost
      && why.code() != errc::aborted)
    trial_.all_for_memory = false;
}

void sync_group::note_run_failure(const error& why) {
  auto before = trial_;
  note_trial_failure(why);
  if (before.has_failed && before.all_for_memory == trial_.all_for_memory)
    return;
  calls_.after(others_may_answer, [this, number = work_number_] {
    if (current(number) && !trial_.owned_up && !staging_lacks_memory())
      own_up([] {});
  });
}

bool sync_group::staging_lacks_memory() const {
  return stages_on_trial() && trial_.lacks_memory && trial_.all_for_memory
         && !trial_.owned_up;
}

void sync_group::own_up(const std::function<void()>& next) {
  trial_.owned_up = true;
  auto both = std::make_shared<
    call::gather<ack>>(2, [next](const result<std::vector<ack>>&) { next(); });
  for (auto source : {true, false})
    ask_side(source, protocol::sync_action::own_up, look_timeout_ms,
             [both, source](const auto&) { both->set(source ? 0 : 1, ack{}); });
}

protocol::transfer_mode sync_group::mode_of(sync_verb verb) const {
  if (verb == sync_verb::compare)
    return protocol::transfer_mode::compare;
  return machine_.mode() == sync_mode::staged
           ? protocol::transfer_mode::staged
           : protocol::transfer_mode::in_place;
}

void sync_group::go_in_place(const error& why, std::uint32_t timeout_ms,
                             std::function<void()> next) {
  log::warning("sync_group", "{}: in place, because staging failed: {}",
               sync_name_, to_string(why));
  machine_.reset(lanes_.front().route.members, sync_mode::in_place);
  auto left = await(lanes_.size(),
                    [next = std::move(next)](const result<ack>&) { next(); });
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    leave_links(i, timeout_ms,
                [left, i](const result<ack>&) { left->set(i, ack{}); });
}

void sync_group::run_in_place(const error& why) {
  preparing_ = true;
  ++work_number_;
  complete_ = false;
  auto ended = std::make_shared<progress>(std::move(*run_));
  run_.reset();
  go_in_place(why, ended->timeout_ms, [=, this] {
    preparing_ = false;
    // The run asks for its own.
    ended->devices = nullptr;
    run(ended->kind, ended->timeout_ms, std::move(ended->done));
  });
}

error sync_group::with_remedy(const error& why) const {
  if (why.code() != errc::exhausted || machine_.mode() != sync_mode::staged)
    return why;
  return {errc::exhausted,
          fmt::format("{}; set sync_mode to in_place, or sync_mode to auto and "
                      "sync_staging_bytes_max to what a process can spare",
                      why.message())};
}

std::size_t sync_group::movers() const {
  std::size_t out = 0;
  for (const auto& x : lanes_)
    out += static_cast<std::size_t>(
      std::ranges::count_if(x.route.members, &sync_member::moves));
  return out;
}

void sync_group::install(std::uint32_t timeout_ms, continuation<ack> done) {
  auto all = await(movers(), std::move(done));
  std::size_t next = 0;
  for (const auto& x : lanes_)
    for (std::size_t i = 0; i < x.route.members.size(); ++i)
      if (x.route.members[i].moves) {
        auto work = std::make_shared<installation>();
        work->member = i;
        work->program = x.route.program;
        work->pieces = protocol::encode(x.route.programs[i],
                                        x.route.members[i].name);
        work->timeout_ms = timeout_ms;
        work->number = work_number_;
        work->done = [all, index = next++](result<ack> y) {
          all->set(index, std::move(y));
        };
        install_next(work);
      }
}

void sync_group::install_next(const std::shared_ptr<installation>& work) {
  if (work->next == work->pieces.size())
    return work->done(ack{});
  // It has failed elsewhere, and its devices may be another's by now.
  if (!at_work(work->number))
    return work->done(given_up());
  protocol::install_programs request;
  request.program = work->program;
  request.items.push_back(std::move(work->pieces[work->next++]));
  request.buffer_bytes_max = options_.buffer_bytes_max;
  request.staging_bytes_max = options_.staging_bytes_max;
  request.timeout_ms = work->timeout_ms;
  ask<ack>(model_of(work->member), work->timeout_ms, std::move(request),
           [this, work](result<ack> x) {
             if (x)
               install_next(work);
             else
               work->done(std::move(x));
           });
}

// -- links ---------------------------------------------------------------------

void sync_group::build_links(std::size_t index, std::uint32_t timeout_ms,
                             continuation<ack> done) {
  using protocol::group_addresses;
  // What is left of the last generation is of no use; nobody waits for it.
  if (lanes_[index].open)
    leave_links(index, timeout_ms, [](const result<ack>&) {});
  lanes_[index].open = true;
  // What was staged goes with the links.
  lanes_[index].has_staged = false;
  auto generation = ++lanes_[index].generation;
  const auto& route = lanes_[index].route;
  auto sending = route.seats(protocol::seat_kind::sender, generation,
                             timeout_ms);
  auto receiving = route.seats(protocol::seat_kind::receiver, generation,
                               timeout_ms);
  auto connect = [=, this, number = work_number_](
                   result<std::vector<group_addresses>> opened) {
    if (!opened)
      return done(fail(opened.error()));
    if (!at_work(number))
      return done(given_up());
    // Each end needs the addresses of both.
    group_addresses all;
    for (auto& part : *opened)
      std::move(part.items.begin(), part.items.end(),
                std::back_inserter(all.items));
    auto both = await(2, [=, this](result<ack> x) {
      if (x && at_work(number))
        lanes_[index].linked = true;
      done(std::move(x));
    });
    ask<ack>(source_, timeout_ms, protocol::introduce(sending, all),
             [both](result<ack> x) { both->set(0, std::move(x)); });
    ask<ack>(destination_, timeout_ms,
             protocol::introduce(receiving, std::move(all)),
             [both](result<ack> x) { both->set(1, std::move(x)); });
  };
  auto opened = std::make_shared<call::gather<group_addresses>>(2, connect);
  ask<group_addresses>(source_, timeout_ms, sending,
                       [opened](result<group_addresses> x) {
                         opened->set(0, std::move(x));
                       });
  ask<group_addresses>(destination_, timeout_ms, receiving,
                       [opened](result<group_addresses> x) {
                         opened->set(1, std::move(x));
                       });
}

void sync_group::leave_links(std::size_t index, std::uint32_t timeout_ms,
                             continuation<ack> done) {
  auto& x = lanes_[index];
  x.linked = x.open = false;
  auto leaving = [&](protocol::seat_kind kind) {
    return protocol::leave(x.route.seats(kind, x.generation, timeout_ms));
  };
  // Who reads another process's memory goes first: the other one may free it.
  auto source_leaves =
    [=, this,
     request = leaving(protocol::seat_kind::sender)](const result<ack>&) {
      ask<ack>(source_, timeout_ms, request,
               [done](const result<ack>&) { done(ack{}); });
    };
  ask<ack>(destination_, timeout_ms, leaving(protocol::seat_kind::receiver),
           source_leaves);
}

void sync_group::warm_up(std::uint32_t timeout_ms, continuation<ack> done) {
  auto all = std::make_shared<roll>(movers(), std::move(done));
  trial_ = {};
  auto heard = [=, this, number = work_number_](
                 const result<protocol::transfer_reports>& x) {
    if (!x && at_work(number) && stages_on_trial())
      note_trial_failure(x.error());
    if (all->add(x.map([](auto&&) { return ack{}; })))
      calls_.after(others_may_answer, [all] { all->end(); });
  };
  for (const auto& x : lanes_)
    for (std::size_t i = 0; i < x.route.members.size(); ++i) {
      if (!x.route.members[i].moves)
        continue;
      protocol::transfer request;
      request.program = x.route.program;
      request.mode = mode_of(sync_verb::transfer);
      request.warm_up = true;
      request.on_trial = stages_on_trial();
      request.links = x.generation;
      request.items.push_back({x.route.members[i].name});
      request.timeout_ms = timeout_ms;
      ask<protocol::transfer_reports>(model_of(i), timeout_ms,
                                      std::move(request), heard);
    }
}

} // namespace troupe::sync
