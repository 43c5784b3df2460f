// SPDX-License-Identifier: Apache-2.0
// How a replica names the failures of its ranks, and which it keeps to itself.
#include <utility>

#include "troupe/actors/model/replica.hpp"

namespace troupe::model {

namespace {

/// That memory lacks at a rank, and what its peers see of that: it gives up and
/// takes the links along.
bool may_lack_memory(errc x) {
  return x == errc::exhausted || x == errc::lost || x == errc::aborted;
}

} // namespace

protocol::error_report replica::report_of(std::size_t rank,
                                          const std::string& operation,
                                          const error& what) const {
  protocol::error_report x;
  x.level = spec_.on_trial ? protocol::severity::warning
                           : protocol::severity::error;
  x.code = what.code();
  x.model = spec_.model;
  x.replica = spec_.id;
  x.rank = rank_id{static_cast<std::int32_t>(rank)};
  x.node = hosts_[rank].node;
  x.slot = hosts_[rank].slot;
  x.operation = operation;
  x.message = what.message();
  x.attempt = spec_.attempt;
  return x;
}

void replica::tell(protocol::error_report x) {
  if (!closing_)
    send(around_.errors, std::move(x));
}

error replica::report(std::size_t rank, const std::string& operation,
                      const error& what) {
  auto x = report_of(rank, operation, what);
  tell(x);
  return {what.code(), to_string(x)};
}

error replica::report(std::size_t rank, const round& asked, const error& what) {
  if (!asked.tried || asked.tried->over || !may_lack_memory(what.code()))
    return report(rank, asked.operation, what);
  auto x = report_of(rank, asked.operation, what);
  asked.tried->held_back.push_back(x);
  return {what.code(), to_string(x)};
}

std::shared_ptr<replica::trial>
replica::begin_trial(const protocol::transfer& request) {
  // Ranks are asked one by one, and nobody uses links twice after a failure.
  auto& x = trials_[request.program];
  if (!x || x->links != request.links) {
    x = std::make_shared<trial>();
    x->links = request.links;
  }
  return x;
}

void replica::own_up(const std::string& sync) {
  for (auto& [program, x] : trials_)
    if (protocol::is_program_of(program, sync)) {
      x->over = true;
      for (auto& report : std::exchange(x->held_back, {}))
        tell(std::move(report));
    }
}

} // namespace troupe::model
