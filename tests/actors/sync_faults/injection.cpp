// SPDX-License-Identifier: Apache-2.0
#include "actors/sync_faults/injection.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/core.h>

namespace sync_faults {

namespace {

/// The executor cuts the weights into so many buckets; see `where`.
constexpr std::uint64_t num_buckets = 8;

constexpr bool either[] = {false, true};

std::string_view to_string(path x) {
  switch (x) {
    case path::shm: return "shm";
    case path::arena: return "arena";
    case path::gloo: return "gloo";
    case path::packed: return "packed";
  }
  return "unknown";
}

/// Each card as it is, once killed and once frozen.
void add_both(std::vector<injection>& to, injection x) {
  for (auto freeze : either) {
    x.freeze = freeze;
    to.push_back(x);
  }
}

std::vector<std::string> steps_of(std::size_t victim, bool staged) {
  std::vector<std::string> out{"install", "warm up",  "open links",
                               "connect", "transfer", "compare"};
  if (victim < 2)
    out.insert(out.end(), {"pin", "unpin"});
  else
    out.insert(out.end(), {"enroll", "fence", "open"});
  if (victim >= 2 && staged)
    out.insert(out.end(), {"swap", "reopen"});
  return out;
}

/// The steps in which a replica might fall apart.
std::vector<std::string> steps_of_pair(bool staged) {
  std::vector<std::string> out{"enroll", "transfer", "fence", "open"};
  if (staged)
    out.insert(out.end(), {"swap", "reopen"});
  return out;
}

/// Where both ends copy by hand any rank can be caught in it. An arena is read
/// through the receiver's own mapping, and nobody touches it here.
std::vector<std::size_t> touchers_of(path x) {
  return x == path::arena ? std::vector<std::size_t>{2, 3}
                          : std::vector<std::size_t>{0, 1, 2, 3};
}

} // namespace

bool injection::preparing() const {
  return step == "install" || step == "warm up";
}

bool injection::awaited() const {
  return !step.empty() && step != "unpin" && !unwinding() && !preparing();
}

topology injection::where() const {
  topology x;
  x.pair = pair;
  x.arena = by == path::arena;
  x.packed = by == path::packed;
  x.options.mode = staged ? "staged" : "in_place";
  x.options.link = by == path::gloo || by == path::packed ? "gloo" : "auto";
  x.options.when_lost = drop ? "drop" : "fail";
  // Only then a run builds links.
  x.options.free_groups = step == "open links" || step == "connect";
  // A bucket is a quarter of it.
  auto element = x.packed ? sizeof(std::uint16_t) : sizeof(float);
  x.options.buffer_bytes_max = 4 * num_elements * element / num_buckets;
  return x;
}

std::string to_string(const injection& x) {
  auto when = x.step.empty() ? fmt::format("as rank {} touches element {}",
                                           x.trap_rank, x.trap_at)
                             : "at " + x.step;
  return fmt::format("{}, {}, {}{}: rank {} is {} {}",
                     x.staged ? "staged" : "in place", to_string(x.by),
                     x.pair ? "pair, " : "", x.drop ? "drop" : "fail", x.victim,
                     x.freeze ? "frozen" : "killed", when);
}

std::vector<injection> all_steps() {
  std::vector<injection> out;
  for (auto staged : either)
    for (auto by : {path::shm, path::gloo}) {
      injection x;
      x.staged = staged;
      x.by = by;
      for (x.victim = 0; x.victim < num_ranks; ++x.victim)
        for (const auto& step : steps_of(x.victim, staged)) {
          x.step = step;
          add_both(out, x);
        }
      x.pair = true;
      for (x.victim = 2; x.victim < num_ranks; ++x.victim)
        for (const auto& step : steps_of_pair(staged)) {
          x.step = step;
          add_both(out, x);
        }
    }
  return out;
}

std::vector<injection> all_buckets() {
  std::vector<injection> out;
  constexpr auto bucket = num_elements / num_buckets;
  for (auto staged : either)
    for (auto by : {path::shm, path::arena, path::packed})
      for (auto toucher : touchers_of(by)) {
        injection x;
        x.staged = staged;
        x.by = by;
        x.trap_rank = toucher;
        for (x.victim = 0; x.victim < num_ranks; ++x.victim)
          for (std::uint64_t i = 0; i < num_buckets; ++i)
            for (auto at : {i * bucket, i * bucket + bucket / 2}) {
              x.trap_at = at;
              add_both(out, x);
            }
      }
  return out;
}

injection deck::draw(std::mt19937_64& random) {
  if (next_ == 0)
    std::shuffle(cards_.begin(), cards_.end(), random);
  auto out = cards_[next_];
  next_ = (next_ + 1) % cards_.size();
  out.drop = random() % 2 == 0;
  return out;
}

void deck::keep(const std::string& words) {
  std::erase_if(cards_, [&](const injection& x) {
    return to_string(x).find(words) == std::string::npos;
  });
}

} // namespace sync_faults
