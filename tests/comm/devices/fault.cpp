// SPDX-License-Identifier: Apache-2.0
#include "comm/devices/fault.hpp"

#include <algorithm>
#include <iterator>
#include <random>

#include <fmt/format.h>

namespace troupe::test {

namespace {

using comm::transfer::run_mode;

constexpr std::string_view names[] = {"",
                                      "none",
                                      "abort",
                                      "drop",
                                      "stall",
                                      "corrupt",
                                      "write",
                                      "death",
                                      "refusal",
                                      "hang",
                                      "longer hang",
                                      "starving",
                                      "early starving"};

/// What a side may say of a fault, itself or of the other side's.
std::vector<errc> expected(fault_kind x) {
  switch (x) {
    case fault_kind::none: return {};
    case fault_kind::abort: return {errc::aborted, errc::lost};
    case fault_kind::drop: return {errc::lost};
    case fault_kind::stall:
    case fault_kind::hang:
    case fault_kind::hang_longer: return {errc::timed_out, errc::lost};
    case fault_kind::corrupt: return {errc::corrupt, errc::lost};
    case fault_kind::write: return {errc::corrupt, errc::lost};
    case fault_kind::die: return {errc::lost};
    case fault_kind::refuse: return {errc::failed, errc::lost};
    case fault_kind::starve:
    case fault_kind::starve_early: return {errc::exhausted, errc::lost};
  }
  return {};
}

bool waits(fault_kind x) {
  return x == fault_kind::stall || x == fault_kind::hang
         || x == fault_kind::hang_longer;
}

void put(encoder& to, const ending& x) {
  to.put(x.code);
  to.put(std::string_view{x.text});
}

bool get(decoder& from, ending& x) {
  return from.get(x.code) && from.get(x.text);
}

} // namespace

std::string_view to_string(fault_kind x) noexcept {
  auto index = static_cast<std::size_t>(x);
  return index < std::size(names) ? names[index] : "?";
}

std::string fault::text() const {
  return fmt::format("{} of the {} at {}, {}, {}, seed {}", to_string(kind),
                     side == sync_side::source ? "source" : "destination", at,
                     which, to_string(mode), seed);
}

ending ending::of(const result<void>& x) {
  if (x)
    return {};
  return {static_cast<std::uint8_t>(x.error().code()), to_string(x.error())};
}

// -- reports -------------------------------------------------------------------

bytes side_report::encode() const {
  bytes out;
  encoder to{out};
  put(to, made);
  put(to, before);
  put(to, ran);
  for (auto x : {fired, late, digested, complete_before, complete, untouched})
    to.put(std::uint8_t{x});
  to.put(sum.products);
  to.put(sum.words);
  to.put(std::string_view{trouble});
  return out;
}

side_report side_report::decode(const bytes& what) {
  side_report out;
  decoder from{what};
  auto good = get(from, out.made) && get(from, out.before)
              && get(from, out.ran);
  for (auto* x : {&out.fired, &out.late, &out.digested, &out.complete_before,
                  &out.complete, &out.untouched}) {
    std::uint8_t seen = 0;
    good = good && from.get(seen);
    *x = seen != 0;
  }
  good = good && from.get(out.sum.products) && from.get(out.sum.words)
         && from.get(out.trouble);
  if (!good)
    out.trouble = "the report is no report";
  return out;
}

// -- judging -------------------------------------------------------------------

std::string judge(const fault& what, const side_report* source,
                  const side_report* destination) {
  auto named = [](const side_report* x, const side_report* source) {
    return x == source ? "source" : "destination";
  };
  auto fired = false;
  auto failed = false;
  auto codes = expected(what.kind);
  for (const auto* x : {source, destination}) {
    if (x == nullptr) {
      fired = failed = true;
      continue;
    }
    if (!x->trouble.empty())
      return fmt::format("{}: {}", named(x, source), x->trouble);
    if (what.kind != fault_kind::starve_early
        && (!x->made.good() || !x->before.good()))
      return fmt::format("{}: failed before the fault: {}{}", named(x, source),
                         x->made.text, x->before.text);
    if (x->late)
      return fmt::format("{}: ended long after its deadline", named(x, source));
    fired = fired || x->fired;
    for (const auto* end : {&x->made, &x->before, &x->ran}) {
      failed = failed || !end->good();
      if (!end->good()
          && std::ranges::none_of(codes, [&](errc c) { return end->is(c); }))
        return fmt::format("{}: of another kind: {}", named(x, source),
                           end->text);
    }
  }
  if (destination != nullptr && what.kind != fault_kind::starve_early
      && !destination->complete_before)
    return "destination: not all arrived before the fault";
  if (!fired && failed && !waits(what.kind)
      && what.kind != fault_kind::starve_early)
    return "failed without the fault";
  auto differs = source != nullptr && destination != nullptr && source->digested
                 && destination->digested && source->sum != destination->sum;
  if (differs && what.kind == fault_kind::none)
    return "both sides have digests of their own";
  auto refused = failed || differs;
  // A side that stands still behind its part does no harm.
  auto harmless = waits(what.kind) && destination != nullptr
                  && destination->complete;
  if (fired && !refused && !harmless)
    return "nobody noticed";
  if (destination == nullptr)
    return {};
  const auto& got = *destination;
  if (got.ran.good() && got.made.good() && !got.complete
      && what.kind != fault_kind::write)
    return "destination: believes a torn bucket";
  if (!got.complete && !refused)
    return "both sides believe a torn bucket";
  if (fired && what.kind == fault_kind::corrupt && !got.ran.is(errc::corrupt))
    return fmt::format("destination: not corrupt, but: {}", got.ran.text);
  if (!got.ran.good() && what.mode != run_mode::in_place && !got.untouched)
    return "destination: was written to by a run that failed";
  return {};
}

std::vector<fault> make_faults(std::uint64_t seed, std::size_t count,
                               const std::vector<fault_kind>& kinds) {
  std::mt19937_64 random{seed};
  std::vector<fault> out;
  for (std::size_t i = 0; i < count; ++i) {
    fault x;
    x.kind = kinds[i % kinds.size()];
    x.side = static_cast<sync_side>(random() % 2);
    // Short, to be typed in again.
    x.seed = random() % 1'000'000;
    x.at = random() % 1000;
    x.which = random() % 1'000'000;
    x.mode = random() % 2 == 0 ? run_mode::in_place : run_mode::staged;
    switch (x.kind) {
      // Those that have one place.
      case fault_kind::corrupt:
      case fault_kind::write: x.side = sync_side::source; break;
      case fault_kind::starve:
        x.side = sync_side::destination;
        x.mode = run_mode::staged;
        break;
      default: break;
    }
    out.push_back(x);
  }
  return out;
}

} // namespace troupe::test
