// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_group.hpp"

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/protocol/rendezvous.hpp"
#include "troupe/core/log.hpp"

namespace troupe::sync {

using protocol::ack;
using std::chrono::milliseconds;

namespace {

/// Those below give up first and say why; we wait a little longer for that.
milliseconds with_grace(std::uint32_t timeout_ms) {
  return milliseconds{timeout_ms} + milliseconds{1500};
}

std::uint64_t elapsed_us(std::chrono::steady_clock::time_point since) {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
    duration_cast<microseconds>(std::chrono::steady_clock::now() - since)
      .count());
}

} // namespace

std::string_view to_string(sync_state x) noexcept {
  switch (x) {
    case sync_state::idle: return "idle";
    case sync_state::preparing: return "preparing";
    case sync_state::fencing: return "fencing";
    case sync_state::transferring: return "transferring";
    case sync_state::verifying: return "verifying";
    case sync_state::committing: return "committing";
    case sync_state::failed: return "failed";
  }
  return "unknown";
}

sync_group::sync_group(caf::actor_config& config, std::string sync_name,
                       protocol::dist_model_actor source,
                       protocol::dist_model_actor destination,
                       std::vector<planner::rank_pair> pairs)
  : protocol::sync_group_actor::base(config),
    sync_name_(std::move(sync_name)),
    source_(std::move(source)),
    destination_(std::move(destination)),
    pairs_(std::move(pairs)),
    calls_(this) {
  // nop
}

const char* sync_group::name() const {
  return "sync_group";
}

void sync_group::enter(sync_state next) {
  log::debug("sync_group", "{}: {} -> {}", sync_name_, to_string(state_),
             to_string(next));
  state_ = next;
}

error sync_group::failed(const error& why) {
  auto out = why.within(
    fmt::format("sync {} ({})", sync_name_, to_string(state_)));
  log::error("sync_group", "{}", to_string(out));
  enter(sync_state::failed);
  return out;
}

// -- preparing -----------------------------------------------------------------

void sync_group::prepare(const protocol::prepare_sync& request,
                         continuation<protocol::sync_plan> done) {
  enter(sync_state::preparing);
  auto schedule = make_schedule(sync_name_, request.source, request.destination,
                                pairs_);
  if (!schedule)
    return done(fail(failed(schedule.error())));
  schedule_ = std::move(*schedule);
  for (const auto& line : schedule_->describe())
    log::info("sync_group", "{}: {}", sync_name_, line);
  build_links(request.timeout_ms, [this, done](result<ack> built) {
    if (!built)
      return done(fail(failed(built.error())));
    enter(sync_state::idle);
    done(protocol::sync_plan{schedule_->describe(), schedule_->bytes()});
  });
}

void sync_group::build_links(std::uint32_t timeout_ms, continuation<ack> done) {
  using protocol::group_addresses;
  auto sending = schedule_->seats(protocol::seat_kind::sender, timeout_ms);
  auto receiving = schedule_->seats(protocol::seat_kind::receiver, timeout_ms);
  auto connect = [=, this](result<std::vector<group_addresses>> opened) {
    if (!opened)
      return done(fail(opened.error()));
    // Each end needs the addresses of both.
    group_addresses all;
    for (auto& part : *opened)
      std::move(part.items.begin(), part.items.end(),
                std::back_inserter(all.items));
    auto both = std::make_shared<
      call::gather<ack>>(2, [done](result<std::vector<ack>> x) {
      done(x.map([](auto&&) { return ack{}; }));
    });
    calls_.ask<ack>(source_, with_grace(timeout_ms),
                    protocol::introduce(sending, all),
                    [both](result<ack> x) { both->set(0, std::move(x)); });
    calls_.ask<ack>(destination_, with_grace(timeout_ms),
                    protocol::introduce(receiving, std::move(all)),
                    [both](result<ack> x) { both->set(1, std::move(x)); });
  };
  auto opened = std::make_shared<call::gather<group_addresses>>(2, connect);
  calls_.ask<group_addresses>(source_, with_grace(timeout_ms), sending,
                              [opened](result<group_addresses> x) {
                                opened->set(0, std::move(x));
                              });
  calls_.ask<group_addresses>(destination_, with_grace(timeout_ms), receiving,
                              [opened](result<group_addresses> x) {
                                opened->set(1, std::move(x));
                              });
}

// -- running -------------------------------------------------------------------

void sync_group::set_fence(bool on, weight_version version,
                           std::uint32_t timeout_ms, continuation<ack> done) {
  calls_.ask<ack>(destination_, with_grace(timeout_ms),
                  protocol::fence{on, version, timeout_ms}, std::move(done));
}

void sync_group::move(protocol::transfer_mode mode, std::uint32_t timeout_ms,
                      continuation<protocol::transfer_reports> done) {
  using protocol::transfer_reports;
  using protocol::transfer_role;
  auto both = std::make_shared<
    call::gather<transfer_reports>>(2, [=, this](
                                         result<std::vector<transfer_reports>>
                                           reports) {
    if (!reports)
      return done(fail(reports.error()));
    enter(sync_state::verifying);
    if (auto same = check_reports((*reports)[0], (*reports)[1]); !same)
      return done(fail(same.error()));
    done(std::move((*reports)[1]));
  });
  calls_.ask<transfer_reports>(source_, with_grace(timeout_ms),
                               schedule_->tasks(transfer_role::send, mode,
                                                timeout_ms),
                               [both](result<transfer_reports> x) {
                                 both->set(0, std::move(x));
                               });
  calls_.ask<transfer_reports>(destination_, with_grace(timeout_ms),
                               schedule_->tasks(transfer_role::receive, mode,
                                                timeout_ms),
                               [both](result<transfer_reports> x) {
                                 both->set(1, std::move(x));
                               });
}

void sync_group::run(const protocol::run_sync& request,
                     continuation<protocol::sync_report> done) {
  auto start = std::chrono::steady_clock::now();
  auto timeout_ms = request.timeout_ms;
  auto finish = [=, this](result<std::vector<std::string>> differences) {
    if (!differences)
      return done(fail(failed(differences.error())));
    if (!differences->empty())
      return done(fail(failed({errc::corrupt, differences->front()})));
    enter(sync_state::committing);
    auto next = version_.next();
    set_fence(false, next, timeout_ms, [=, this](result<ack> committed) {
      if (!committed)
        return done(fail(failed(committed.error())));
      version_ = next;
      enter(sync_state::idle);
      done(protocol::sync_report{version_,
                                 schedule_->bytes(),
                                 elapsed_us(start),
                                 {}});
    });
  };
  enter(sync_state::fencing);
  set_fence(true, version_, timeout_ms,
            [=, this, validate = request.validate](result<ack> fenced) {
              if (!fenced)
                return finish(fail(fenced.error()));
              enter(sync_state::transferring);
              move(protocol::transfer_mode::copy, timeout_ms,
                   [=, this](result<protocol::transfer_reports> moved) {
                     if (!moved)
                       return finish(fail(moved.error()));
                     if (!validate)
                       return finish(std::vector<std::string>{});
                     compare(timeout_ms,
                             [=](result<protocol::sync_report> compared) {
                               if (compared)
                                 finish(compared->differences);
                               else
                                 finish(fail(compared.error()));
                             });
                   });
            });
}

void sync_group::compare(std::uint32_t timeout_ms,
                         continuation<protocol::sync_report> done) {
  auto start = std::chrono::steady_clock::now();
  move(protocol::transfer_mode::compare, timeout_ms,
       [=, this](result<protocol::transfer_reports> got) {
         if (!got)
           return done(fail(got.error()));
         protocol::sync_report out{version_,
                                   schedule_->bytes(),
                                   elapsed_us(start),
                                   {}};
         for (const auto& x : got->items)
           if (!x.difference.empty())
             out.differences.push_back(fmt::format("{} ({}): {}",
                                                   to_string(x.from), x.link,
                                                   x.difference));
         done(std::move(out));
       });
}

sync_group::behavior_type sync_group::make_behavior() {
  using namespace protocol;
  auto busy = [this]() -> result<void> {
    if (!schedule_)
      return fail(errc::unavailable,
                  fmt::format("sync {} is not prepared", sync_name_));
    if (state_ != sync_state::idle)
      return fail(errc::unavailable,
                  fmt::format("sync {} is {}", sync_name_, to_string(state_)));
    return {};
  };
  return {
    [this](const prepare_sync& x) {
      call::reply<sync_plan> out{make_response_promise<sync_plan>()};
      if (state_ != sync_state::idle) {
        out.deliver(
          fail(errc::unavailable,
               fmt::format("sync {} is {}", sync_name_, to_string(state_))));
        return out.promise();
      }
      prepare(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const run_sync& x) {
      call::reply<sync_report> out{make_response_promise<sync_report>()};
      if (auto ready = busy(); !ready)
        out.deliver(fail(ready.error()));
      else
        run(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const verify_sync& x) {
      call::reply<sync_report> out{make_response_promise<sync_report>()};
      if (auto ready = busy(); !ready) {
        out.deliver(fail(ready.error()));
      } else {
        enter(sync_state::transferring);
        compare(x.timeout_ms, [out, this](result<sync_report> y) {
          if (!y)
            return out.deliver(fail(failed(y.error())));
          enter(sync_state::idle);
          out.deliver(std::move(y));
        });
      }
      return out.promise();
    },
    [this](const close_sync& x) {
      call::reply<ack> out{make_response_promise<ack>()};
      auto
        both = std::make_shared<call::gather<ack>>(schedule_ ? 2 : 0,
                                                   [out, this](
                                                     result<std::vector<ack>>) {
                                                     out.deliver(ack{});
                                                     quit();
                                                   });
      if (schedule_) {
        auto leave_end = [&](std::size_t index, const dist_model_actor& model,
                             seat_kind end) {
          calls_.ask<ack>(model, with_grace(x.timeout_ms),
                          leave(schedule_->seats(end, x.timeout_ms)),
                          [both, index](const result<ack>&) {
                            both->set(index, ack{});
                          });
        };
        leave_end(0, source_, seat_kind::sender);
        leave_end(1, destination_, seat_kind::receiver);
      }
      return out.promise();
    },
  };
}

} // namespace troupe::sync
