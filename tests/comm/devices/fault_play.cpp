// SPDX-License-Identifier: Apache-2.0
#include "comm/devices/fault_play.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <utility>

#include "comm/devices/faulty_link.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

using namespace std::literals;

namespace troupe::test {

using namespace comm::transfer;

namespace {

/// Of runs that shall come through, on any machine.
constexpr auto ample = 30s;

/// Of runs that wait in vain.
constexpr auto brief = 700ms;

/// What an executor may need beside its deadline: it waits 5 s for a device
/// that hangs before it gives its memory up.
constexpr auto slack = 15s;

constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();

bool waits_in_vain(fault_kind x) {
  return x == fault_kind::stall || x == fault_kind::hang
         || x == fault_kind::hang_longer;
}

/// The tensors of both ends, those of the other one in this process's memory.
/// Both sides make the same: the other one's hold what it has.
sync_sample make_sample(const play_side& with, const fault& what,
                        std::mt19937_64& random) {
  auto sends = with.side == sync_side::source;
  auto memory = sends ? memory_of(with.place, {}) : memory_of({}, with.place);
  if (sends && with.source_memory)
    memory.source = with.source_memory;
  sample_options options;
  options.buckets = 5;
  options.elements_max = 3000;
  // No conversion hides a byte that was changed.
  options.whole = what.kind == fault_kind::write;
  for (;;) {
    sync_sample out{random, options, memory};
    const auto& channel = out.sources[0].program.sends[0];
    auto bytes = out.bytes(0, 0);
    if (channel.buckets.size() > 2 && bytes > 0)
      return out;
  }
}

/// Somewhere in a tensor that is sent.
std::byte* sent_byte(const sync_sample& sample) {
  const auto& rank = sample.sources[0];
  for (const auto& bucket : rank.program.sends[0].buckets)
    for (const auto& part : bucket.parts)
      if (part.wire_bytes > 0)
        return rank.tensors[part.tensor].memory.data() + part.offset_bytes;
  return nullptr;
}

std::uint64_t used_bytes(const play_side& with) {
  return with.place.device->memory().value().used_bytes;
}

class player {
public:
  player(play_side with, const fault& what)
    : with_(std::move(with)),
      what_(what),
      random_(what.seed),
      sample_(make_sample(with_, what, random_)),
      early_(what.kind == fault_kind::starve_early) {
    faulty_link::surroundings around;
    around.place = with_.place;
    for (const auto& x : sample_.sources[0].program.sends[0].buckets)
      around.bucket_bytes.push_back(x.wire_bytes);
    if (sends())
      around.sent = sent_byte(sample_);
    around.vanish = with_.vanish;
    if (with_.faults && what.kind == fault_kind::hang)
      around.gave_up = [faults = with_.faults] { faults->resume(); };
    line_ = std::make_shared<faulty_link>(std::move(with_.line), around);
  }

  side_report run() {
    // The one has made its tensors before the other one takes memory away.
    meet();
    if (early_)
      starve_early();
    auto made = make();
    out_.made = ending::of(made);
    if (early_) {
      // What follows needs memory too, and both may be on one device.
      meet();
      if (mine())
        with_.faults->limit(unlimited);
      meet();
    }
    if (!made)
      return out_;
    if (!early_ && !run_before())
      return out_;
    sample_.refill(random_);
    auto expected = sample_.expected(0);
    auto before = sample_.held(0);
    meet();
    arm();
    meet();
    run_with_fault();
    if (what_.kind == fault_kind::drop && out_.fired) {
      // The other side waits for just that.
      self_.reset();
      line_.reset();
    }
    meet();
    if (!sends())
      look(expected, before);
    meet();
    if (with_.faults) {
      with_.faults->resume();
      out_.fired = out_.fired || (mine() && with_.faults->fired());
    }
    return out_;
  }

private:
  bool sends() const { return with_.side == sync_side::source; }

  bool mine() const { return what_.side == with_.side; }

  duration budget() const {
    return waits_in_vain(what_.kind) ? duration{brief} : duration{ample};
  }

  void meet() {
    // A side that has no memory to begin with does not come.
    if (with_.other && !with_.other->wait() && !early_)
      out_.trouble = "the other side is not there";
  }

  result<void> make() {
    executor_options options;
    options.engines = with_.place.engines();
    const auto& rank = sends() ? sample_.sources[0] : sample_.destinations[0];
    auto program = rank.program;
    for (auto* channels : {&program.sends, &program.receives})
      for (auto& x : *channels)
        x.link = with_.kind;
    std::vector<comm::link_ptr> line{line_};
    auto made = sends()
                  ? executor::make(program, rank.tensors, line, {}, options)
                  : executor::make(program, rank.tensors, {}, line, options);
    if (!made)
      return fail(made.error());
    self_ = std::move(*made);
    return {};
  }

  /// So that some allocation of `make` fails.
  void starve_early() {
    if (!mine())
      return;
    auto before = used_bytes(with_);
    auto made = make();
    auto needs = std::max<std::uint64_t>(used_bytes(with_) - before, 1);
    self_.reset();
    with_.faults->limit(before + what_.which % needs);
    out_.fired = true;
  }

  bool run_before() {
    auto until = deadline::after(ample);
    auto mode = what_.kind == fault_kind::starve ? run_mode::in_place
                                                 : what_.mode;
    auto done = self_->warm_up(mode, until);
    meet();
    line_->arm({});
    auto kernels = with_.faults ? with_.faults->kernels() : 0;
    if (done)
      done = self_->run({mode, true}, until);
    if (done)
      done = self_->commit();
    meet();
    if (with_.faults)
      kernels_ = with_.faults->kernels() - kernels;
    out_.before = ending::of(done);
    out_.complete_before = sends() || sample_.held(0) == sample_.expected(0);
    return done.has_value();
  }

  void arm() {
    if (early_ || !mine())
      return;
    if (what_.kind == fault_kind::starve) {
      with_.faults->limit(used_bytes(with_));
      out_.fired = true;
    } else if (what_.on_device()) {
      with_.faults->arm(what_, kernels_);
    } else {
      line_->arm(what_);
    }
  }

  void run_with_fault() {
    auto digests = what_.kind == fault_kind::write || what_.on_device()
                   || what_.which % 2 == 0;
    auto begin = steady_clock().now();
    out_.ran = ending::of(
      self_->run({what_.mode, digests}, deadline::after(budget())));
    out_.late = steady_clock().now() - begin > budget() + slack;
    if (with_.faults && mine())
      with_.faults->resume();
    out_.fired = out_.fired || line_->fired();
    out_.digested = self_->reports()[0].digested;
    out_.sum = self_->reports()[0].sum;
  }

  /// What is in the tensors now, and once it has been believed.
  void look(const std::vector<std::vector<std::byte>>& expected,
            const std::vector<std::vector<std::byte>>& before) {
    // A device that hangs on cannot be asked, before it goes on at last.
    out_.untouched = what_.kind == fault_kind::hang_longer
                     || sample_.held(0) == before;
    if (out_.ran.good() && self_)
      out_.ran = ending::of(self_->commit(deadline::after(budget())));
    // Nothing can be seen of a device that hangs, or that was left at work.
    if (with_.faults)
      with_.faults->resume();
    if (waits_in_vain(what_.kind))
      settle();
    out_.complete = sample_.held(0) == expected;
  }

  void settle() {
    if (!with_.place.device)
      return;
    auto done = with_.place.engines()->make().and_then([](const auto& engine) {
      return engine->settle(deadline::after(ample));
    });
    if (!done)
      out_.trouble = to_string(done.error());
  }

  play_side with_;
  fault what_;
  std::mt19937_64 random_;
  sync_sample sample_;
  bool early_;
  std::shared_ptr<faulty_link> line_;
  std::unique_ptr<executor> self_;
  std::uint64_t kernels_ = 0;
  side_report out_;
};

} // namespace

device_faults::~device_faults() = default;

// -- meeting -------------------------------------------------------------------

bool meeting::wait() {
  std::unique_lock lock{mutex_};
  auto mine = round_;
  if (++waiting_ == 2) {
    waiting_ = 0;
    ++round_;
    changed_.notify_all();
    return true;
  }
  changed_.wait_for(lock, 2 * (ample + slack),
                    [&] { return left_ || round_ != mine; });
  return round_ != mine;
}

void meeting::leave() {
  std::unique_lock lock{mutex_};
  left_ = true;
  changed_.notify_all();
}

// -- play ----------------------------------------------------------------------

side_report play(play_side with, const fault& what) {
  side_report out;
  auto other = with.other;
  try {
    out = player{std::move(with), what}.run();
  } catch (const std::exception& e) {
    out.trouble = e.what();
  }
  if (other)
    other->leave();
  return out;
}

play_result play_both(const device_bed& on,
                      std::shared_ptr<device_faults> source,
                      std::shared_ptr<device_faults> destination,
                      const fault& what) {
  auto ends = on.make_link();
  play_side first{sync_side::source, on.source,
                  on.kind,           std::move(ends.first),
                  on.source_memory,  std::move(source),
                  nullptr,           std::make_shared<meeting>()};
  play_side second{sync_side::destination,
                   on.destination,
                   on.kind,
                   std::move(ends.second),
                   nullptr,
                   std::move(destination),
                   nullptr,
                   first.other};
  std::vector<play_side> sides{std::move(first), std::move(second)};
  auto seen = in_threads(2, [&](std::size_t i) {
    return play(std::move(sides[i]), what);
  });
  return {judge(what, &seen[0], &seen[1]), seen[0].fired || seen[1].fired};
}

} // namespace troupe::test
