// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/launch_order.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/core.h>

namespace troupe::comm::nccl {

namespace {

/// How often a waiting caller is asked whether it still wants to.
constexpr auto tick = std::chrono::milliseconds{2};

} // namespace

// -- launch_sequence ----------------------------------------------------------

result<void> launch_sequence::add(launch_group group,
                                  std::vector<launcher_id> ranks) {
  if (ranks.empty())
    return fail(errc::invalid,
                fmt::format("launch group {} has no ranks", group.value()));
  auto count = ranks.size();
  group_state made;
  made.ranks = std::move(ranks);
  made.asked.resize(count);
  if (!groups_.try_emplace(group, std::move(made)).second)
    return fail(errc::invalid,
                fmt::format("launch group {} exists", group.value()));
  return {};
}

void launch_sequence::remove(launch_group group) {
  groups_.erase(group);
}

result<std::vector<launch_grant>>
launch_sequence::ask(const launch_request& what) {
  auto found = groups_.find(what.group);
  if (found == groups_.end())
    return fail(errc::invalid,
                fmt::format("there is no launch group {}", what.group.value()));
  auto& group = found->second;
  auto size = static_cast<std::int32_t>(group.ranks.size());
  auto outside = [&](rank_id x) { return x.value() < 0 || x.value() >= size; };
  if (outside(what.rank)
      || (what.partner
          && (outside(*what.partner) || what.partner == what.rank)))
    return fail(errc::invalid, fmt::format("launch group {} has no such ranks",
                                           what.group.value()));
  auto& mine = group.asked[static_cast<std::size_t>(what.rank.value())];
  if (mine)
    return fail(errc::invalid,
                fmt::format("rank {} of launch group {} has asked already",
                            what.rank.value(), what.group.value()));
  std::vector<std::int32_t> parties;
  auto key = operation_key{-1, -1};
  if (what.partner) {
    parties = {std::min(what.rank.value(), what.partner->value()),
               std::max(what.rank.value(), what.partner->value())};
    key = {parties[0], parties[1]};
  } else {
    for (std::int32_t rank = 0; rank < size; ++rank)
      parties.push_back(rank);
  }
  mine = key;
  std::vector<launch_grant> out;
  auto all = std::all_of(parties.begin(), parties.end(), [&](std::int32_t x) {
    return group.asked[static_cast<std::size_t>(x)] == key;
  });
  if (!all)
    return out;
  for (auto x : parties) {
    auto index = static_cast<std::size_t>(x);
    group.asked[index].reset();
    auto to = group.ranks[index];
    out.push_back({to, what.group, rank_id{x}, next_[to]++});
  }
  return out;
}

// -- device_lease -------------------------------------------------------------

result<void> device_lease::enter(const launch_request& what, deadline until,
                                 const still_wanted& check) {
  auto who = caller_of(what);
  {
    std::unique_lock lock{mutex_};
    if (!tickets_.try_emplace(who).second)
      return fail(errc::invalid,
                  fmt::format("rank {} of launch group {} has not been "
                              "answered yet",
                              what.rank.value(), what.group.value()));
  }
  // Without the lock: the grant may come before this returns.
  if (auto asked = ask_(what); !asked) {
    std::unique_lock lock{mutex_};
    tickets_.erase(who);
    return asked;
  }
  std::unique_lock lock{mutex_};
  for (;;) {
    auto& mine = tickets_[who];
    if (mine.number == next_)
      return {};
    if (mine.revoked) {
      tickets_.erase(who);
      return fail(errc::lost, "the group was taken out of the launch order");
    }
    lock.unlock();
    auto wanted = check();
    if (wanted && until.passed())
      wanted = fail(errc::timed_out, "waited in vain for a turn to launch");
    lock.lock();
    if (!wanted) {
      give_up(who);
      return wanted;
    }
    auto& again = tickets_[who];
    if (again.number != next_ && !again.revoked)
      changed_.wait_for(lock, std::min<duration>(until.left(), tick));
  }
}

void device_lease::leave(const launch_request& what) noexcept {
  std::unique_lock lock{mutex_};
  auto found = tickets_.find(caller_of(what));
  if (found == tickets_.end() || !found->second.number)
    return;
  auto number = *found->second.number;
  tickets_.erase(found);
  pass(number);
}

void device_lease::granted(const launch_grant& what) {
  std::unique_lock lock{mutex_};
  auto found = tickets_.find({what.group, what.rank});
  if (found == tickets_.end() || found->second.abandoned) {
    if (found != tickets_.end())
      tickets_.erase(found);
    pass(what.number);
    return;
  }
  found->second.number = what.number;
  changed_.notify_all();
}

void device_lease::forget(launch_group group) {
  std::unique_lock lock{mutex_};
  for (auto it = tickets_.begin(); it != tickets_.end();) {
    auto gone = it->first.first == group && it->second.abandoned;
    if (it->first.first == group && !it->second.number)
      it->second.revoked = true;
    it = gone ? tickets_.erase(it) : std::next(it);
  }
  changed_.notify_all();
}

void device_lease::pass(std::uint64_t number) {
  passed_.insert(number);
  while (passed_.erase(next_) > 0)
    ++next_;
  changed_.notify_all();
}

void device_lease::give_up(const caller& who) {
  auto& mine = tickets_[who];
  if (mine.number) {
    auto number = *mine.number;
    tickets_.erase(who);
    pass(number);
  } else if (mine.revoked) {
    tickets_.erase(who);
  } else {
    mine.abandoned = true;
  }
}

} // namespace troupe::comm::nccl
