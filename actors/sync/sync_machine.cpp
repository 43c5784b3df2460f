// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_machine.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace troupe::sync {

std::string_view to_string(sync_state x) noexcept {
  switch (x) {
    case sync_state::idle: return "idle";
    case sync_state::linking: return "linking";
    case sync_state::pinning: return "pinning";
    case sync_state::fencing: return "fencing";
    case sync_state::transferring: return "transferring";
    case sync_state::verifying: return "verifying";
    case sync_state::swapping: return "swapping";
    case sync_state::committing: return "committing";
    case sync_state::unwinding: return "unwinding";
    case sync_state::failed: return "failed";
  }
  return "unknown";
}

std::string_view to_string(sync_mode x) noexcept {
  switch (x) {
    case sync_mode::in_place: return "in place";
    case sync_mode::staged: return "staged";
  }
  return "unknown";
}

std::string_view to_string(sync_verb x) noexcept {
  switch (x) {
    case sync_verb::pin: return "pin";
    case sync_verb::enroll: return "enroll";
    case sync_verb::fence: return "fence";
    case sync_verb::transfer: return "transfer";
    case sync_verb::compare: return "compare";
    case sync_verb::swap: return "swap";
    case sync_verb::open: return "open";
    case sync_verb::reopen: return "reopen";
    case sync_verb::unpin: return "unpin";
    case sync_verb::link: return "link";
    case sync_verb::judge_standings: return "judge standings";
    case sync_verb::judge_reports: return "judge reports";
  }
  return "unknown";
}

namespace {

/// Nobody can be waited for who is gone or does not answer.
bool is_absent(const error& x) noexcept {
  return x.code() == errc::lost || x.code() == errc::timed_out;
}

/// Errors that only say that somebody else had one.
bool is_consequence(const error& x) noexcept {
  return is_absent(x) || x.code() == errc::aborted;
}

} // namespace

bool explains(const error& x, const error& known) noexcept {
  return is_consequence(known) && !is_consequence(x);
}

void sync_machine::reset(std::vector<sync_member> members, sync_mode mode) {
  // What was half written stays so, whoever is planned for next; and a replica
  // that was left behind waits for a commit.
  std::set<protocol::worker_name> stale;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (seats_[i].stale)
      stale.insert(members_[i].name);
  auto torn = torn_;
  *this = sync_machine{};
  members_ = std::move(members);
  for (const auto& x : members_)
    seats_.emplace_back().stale = stale.count(x.name) > 0;
  mode_ = mode;
  torn_ = torn;
  state_ = torn ? sync_state::failed : sync_state::idle;
}

void sync_machine::use(const std::vector<bool>& moves, bool linked) {
  for (std::size_t i = 0; i < members_.size() && i < moves.size(); ++i)
    members_[i].moves = moves[i];
  linked_ = linked;
}

std::vector<std::size_t> sync_machine::ranks(bool source) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].source == source)
      out.push_back(i);
  return out;
}

sync_step sync_machine::ask(sync_verb verb, std::vector<std::size_t> whom) {
  // Enrolling belongs to the phase of the pins.
  if (!failure_ && verb != sync_verb::enroll)
    arrivals_.clear();
  for (auto i : whom)
    seats_[i].asked = verb;
  return {verb, std::move(whom)};
}

bool sync_machine::waiting() const noexcept {
  return std::ranges::any_of(seats_,
                             [](const seat& x) { return x.asked.has_value(); });
}

bool sync_machine::lost(std::size_t member) const {
  const auto& x = seats_[member].failure;
  return x && is_absent(*x);
}

std::vector<std::size_t> sync_machine::awaited() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < seats_.size(); ++i)
    if (seats_[i].asked)
      out.push_back(i);
  return out;
}

void sync_machine::note_failure(const error& why) {
  if (!failure_)
    failed_in_ = state_;
  // Whoever is nearest to the cause speaks: a digest that differs explains why
  // its peers lost their links.
  if (!failure_ || explains(why, *failure_))
    failure_ = why;
}

// -- driving -------------------------------------------------------------------

sync_steps sync_machine::begin(sync_kind kind) {
  kind_ = kind;
  finished_ = committed_ = compared_ = moved_ = false;
  failure_.reset();
  missing_.clear();
  arrivals_.clear();
  for (auto& x : seats_) {
    x.asked.reset();
    x.failure.reset();
    x.swapped = x.unsure = x.enrolled = false;
  }
  return pin();
}

sync_steps sync_machine::arrive(sync_verb verb, std::size_t member,
                                std::optional<error> failure) {
  if (member >= seats_.size() || seats_[member].asked != verb)
    return {};
  auto& x = seats_[member];
  x.asked.reset();
  // Who is told of is who was there when it went wrong.
  if (!failure && (!failure_ || failed_in_ == state_))
    arrivals_.push_back(member);
  if (failure) {
    note_failure(*failure);
    if (is_absent(*failure))
      missing_.push_back(member);
    if (verb == sync_verb::open || verb == sync_verb::reopen)
      x.stale = x.unsure = true;
    x.failure = std::move(failure);
  } else if (verb == sync_verb::swap) {
    x.swapped = true;
  } else if (verb == sync_verb::open || verb == sync_verb::reopen) {
    x.fenced = false;
  }
  if (waiting())
    return {};
  return phase_over();
}

sync_steps sync_machine::judged(sync_verb verb, std::optional<error> failure) {
  auto expected = verb == sync_verb::link              ? sync_state::linking
                  : verb == sync_verb::judge_standings ? sync_state::pinning
                                                       : sync_state::verifying;
  if (state_ != expected || waiting())
    return {};
  if (failure) {
    note_failure(*failure);
    return unwind();
  }
  if (verb == sync_verb::judge_reports)
    return reports_are_right();
  if (verb == sync_verb::link)
    linked_ = true;
  // Not earlier: a rank whose memory was away or has moved says so when it is
  // pinned or enrolled, and its links were built in vain.
  if (!linked_) {
    state_ = sync_state::linking;
    // Links are not built rank by rank.
    arrivals_.clear();
    return {{sync_verb::link, {}}};
  }
  if (kind_ == sync_kind::compare)
    return compare();
  return mode_ == sync_mode::in_place ? fence() : transfer();
}

// -- phases --------------------------------------------------------------------

sync_steps sync_machine::pin() {
  state_ = sync_state::pinning;
  auto sources = ranks(true);
  for (auto i : sources)
    seats_[i].pinned = true;
  auto destinations = ranks(false);
  for (auto i : destinations)
    seats_[i].enrolled = true;
  return {ask(sync_verb::pin, std::move(sources)),
          ask(sync_verb::enroll, std::move(destinations))};
}

sync_steps sync_machine::fence() {
  state_ = sync_state::fencing;
  auto whom = ranks(false);
  for (auto i : whom)
    seats_[i].fenced = true;
  return {ask(sync_verb::fence, std::move(whom))};
}

sync_steps sync_machine::transfer() {
  state_ = sync_state::transferring;
  moved_ = true;
  torn_ = torn_ || mode_ == sync_mode::in_place;
  std::vector<std::size_t> movers;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].moves)
      movers.push_back(i);
  if (movers.empty())
    return phase_over();
  return {ask(sync_verb::transfer, std::move(movers))};
}

sync_steps sync_machine::compare() {
  // The state says what is going on: nothing is moved.
  state_ = sync_state::verifying;
  compared_ = true;
  std::vector<std::size_t> movers;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].moves)
      movers.push_back(i);
  if (movers.empty())
    return phase_over();
  return {ask(sync_verb::compare, std::move(movers))};
}

sync_steps sync_machine::phase_over() {
  switch (state_) {
    case sync_state::pinning:
      if (failure_)
        return unwind();
      return {{sync_verb::judge_standings, {}}};
    case sync_state::fencing:
      if (failure_)
        return unwind();
      return mode_ == sync_mode::in_place ? transfer() : swap();
    case sync_state::transferring:
    case sync_state::verifying:
      if (failure_) {
        // A link on which something failed is dead for good.
        linked_ = false;
        return unwind();
      }
      state_ = sync_state::verifying;
      return {{sync_verb::judge_reports, {}}};
    case sync_state::swapping:
      if (failure_ || kind_ != sync_kind::run_validated)
        return commit();
      torn_ = true;
      return compare();
    case sync_state::committing:
    case sync_state::unwinding: return close_broken();
    default: return {};
  }
}

sync_steps sync_machine::reports_are_right() {
  if (kind_ == sync_kind::compare)
    return unwind();
  auto validate = kind_ == sync_kind::run_validated && !compared_;
  // What was staged can be compared only where it belongs, after the swap.
  if (mode_ == sync_mode::in_place && validate)
    return compare();
  auto out = mode_ == sync_mode::staged && !compared_ ? fence() : commit();
  // The source's data has left for good.
  if (!validate) {
    auto first = unpin();
    first.insert(first.end(), out.begin(), out.end());
    return first;
  }
  return out;
}

sync_steps sync_machine::swap() {
  state_ = sync_state::swapping;
  return {ask(sync_verb::swap, ranks(false))};
}

sync_steps sync_machine::commit() {
  state_ = sync_state::committing;
  // A replica of which a rank is missing is no replica.
  std::set<replica_id> broken;
  for (auto i : ranks(false)) {
    auto whole = mode_ == sync_mode::in_place || seats_[i].swapped;
    if (!whole || seats_[i].failure)
      broken.insert(members_[i].name.replica);
  }
  std::vector<std::size_t> whom;
  for (auto i : ranks(false)) {
    auto whole = broken.count(members_[i].name.replica) == 0;
    // Its version is nobody else's any more: only a commit opens it.
    seats_[i].stale = !whole;
    if (whole) {
      seats_[i].enrolled = false;
      whom.push_back(i);
    }
  }
  if (whom.empty())
    return finish();
  committed_ = true;
  torn_ = false;
  return {ask(sync_verb::open, std::move(whom))};
}

sync_steps sync_machine::close_broken() {
  // A replica serves with all its ranks or not at all: a call would wait in a
  // collective for the one that stays closed.
  auto replica_of = [this](std::size_t i) { return members_[i].name.replica; };
  std::set<replica_id> broken;
  auto destinations = ranks(false);
  for (auto i : destinations)
    if (std::exchange(seats_[i].unsure, false)
        && std::ranges::count(destinations, replica_of(i), replica_of) > 1)
      broken.insert(replica_of(i));
  std::vector<std::size_t> awaited;
  std::vector<std::size_t> silent;
  for (auto i : destinations)
    if (broken.count(replica_of(i)) > 0) {
      // One that is frozen will find what it missed, and then this.
      (lost(i) ? silent : awaited).push_back(i);
      seats_[i].stale = seats_[i].fenced = true;
    }
  sync_steps out;
  if (!silent.empty())
    out.push_back({sync_verb::fence, std::move(silent)});
  auto last = awaited.empty()
                ? finish()
                : sync_steps{ask(sync_verb::fence, std::move(awaited))};
  std::move(last.begin(), last.end(), std::back_inserter(out));
  return out;
}

sync_steps sync_machine::unpin() {
  std::vector<std::size_t> whom;
  for (auto i : ranks(true))
    if (std::exchange(seats_[i].pinned, false))
      whom.push_back(i);
  if (whom.empty())
    return {};
  // Nobody waits: a rank that cannot hear it has lost its pin with its life.
  return {{sync_verb::unpin, std::move(whom)}};
}

sync_steps sync_machine::unwind() {
  state_ = sync_state::unwinding;
  auto out = unpin();
  std::vector<std::size_t> awaited;
  std::vector<std::size_t> silent;
  if (!torn_ && kind_ != sync_kind::compare)
    for (auto i : ranks(false))
      if ((seats_[i].fenced || moved_) && !seats_[i].stale) {
        seats_[i].enrolled = false;
        (lost(i) ? silent : awaited).push_back(i);
      }
  // One that is frozen may wake up and must then find the word; but nobody
  // waits for it.
  if (!silent.empty())
    out.push_back({sync_verb::reopen, std::move(silent)});
  if (awaited.empty()) {
    auto end = finish();
    out.insert(out.end(), end.begin(), end.end());
    return out;
  }
  out.push_back(ask(sync_verb::reopen, std::move(awaited)));
  return out;
}

sync_steps sync_machine::finish() {
  state_ = torn_ ? sync_state::failed : sync_state::idle;
  finished_ = true;
  auto out = unpin();
  // Those that were looked at and neither opened, reopened nor left closed:
  // after a comparison, and after what failed before anything moved.
  std::vector<std::size_t> whom;
  for (auto i : ranks(false))
    if (std::exchange(seats_[i].enrolled, false) && !seats_[i].fenced)
      whom.push_back(i);
  if (!whom.empty())
    out.push_back({sync_verb::unpin, std::move(whom)});
  return out;
}

} // namespace troupe::sync
