// SPDX-License-Identifier: Apache-2.0
// What a replica does after a failure: go on with its ranks, or save what those
// that are left know of the others.
#include <algorithm>
#include <memory>

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/replica.hpp"

namespace troupe::model {

namespace {

using protocol::ack;
using std::chrono::milliseconds;

milliseconds with_grace(milliseconds x) {
  return call::with_grace(x, call::layer::replica);
}

/// Whoever asked has given up and asks again.
result<protocol::manifests> overtaken() {
  return fail(errc::aborted, "the ranks join anew already");
}

} // namespace

void replica::rejoin(const protocol::rejoin& request,
                     continuation<protocol::manifests> done) {
  using protocol::manifests;
  auto era = ++era_;
  trials_.clear();
  milliseconds timeout{request.timeout_ms};
  // Who cannot join is replaced, and belongs to the attempt that has failed.
  auto finish = [=, this, attempt = request.attempt](result<manifests> x) {
    if (x && era != era_)
      return done(overtaken());
    if (x)
      spec_.attempt = attempt;
    done(std::move(x));
  };
  auto joined = [=, this](result<std::vector<manifests>> answers) {
    if (!answers)
      return done(fail(answers.error()));
    if (era != era_)
      return done(overtaken());
    auto told = std::make_shared<manifests>();
    for (auto& x : *answers)
      for (auto& item : x.items)
        told->items.push_back(std::move(item));
    join_ranks(timeout, [=, this](const result<ack>& x) {
      if (!x)
        return done(fail(x.error()));
      complete_all(std::move(*told), timeout, finish);
    });
  };
  auto all = std::make_shared<call::gather<manifests>>(world(), joined);
  auto together = calls_.collect();
  for (std::size_t rank = 0; rank < world(); ++rank)
    calls_.ask<manifests>(workers_[rank], with_grace(timeout), request,
                          [all, rank](result<manifests> x) {
                            all->set(rank, std::move(x));
                          });
}

void replica::save_by_peers(const protocol::run_checkpoint& request,
                            continuation<ack> done) {
  milliseconds timeout{request.timeout_ms};
  auto lost = std::make_shared<std::vector<std::size_t>>();
  auto saved = [=, this](const result<std::vector<ack>>& answers) {
    if (!answers)
      return done(fail(answers.error()));
    if (auto enough = check_peers(*lost); !enough)
      return done(fail(enough.error()));
    done(ack{});
  };
  auto all = std::make_shared<call::gather<ack>>(world(), saved);
  auto together = calls_.collect();
  for (std::size_t rank = 0; rank < world(); ++rank)
    calls_.ask<ack>(workers_[rank], with_grace(timeout), request,
                    [=](result<ack> x) {
                      if (!x && x.error().code() == errc::lost) {
                        lost->push_back(rank);
                        x = ack{};
                      }
                      all->set(rank, std::move(x));
                    });
}

result<void> replica::check_peers(const std::vector<std::size_t>& lost) const {
  auto is_lost = [&](rank_id x) {
    return std::ranges::count(lost, static_cast<std::size_t>(x.value())) > 0;
  };
  for (auto rank : lost) {
    auto peers = layout_.group_of(planner::dimension::data,
                                  rank_id{static_cast<std::int32_t>(rank)});
    if (std::ranges::all_of(peers, is_lost))
      return fail(errc::lost,
                  fmt::format("no rank is left that holds what {} held",
                              to_string(worker_name(rank))));
  }
  return {};
}

} // namespace troupe::model
