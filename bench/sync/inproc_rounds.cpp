// SPDX-License-Identifier: Apache-2.0
#include <barrier>
#include <thread>

#include "troupe/bench/sync/rounds.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;

/// Both executors of a sync inside this process; the source's runs in a thread
/// of its own, started by each round.
class inproc_pair {
public:
  static result<std::unique_ptr<inproc_pair>> make(const sync_load& load,
                                                   const sync_tensors& from,
                                                   const sync_tensors& to) {
    auto ends = comm::inproc::make_link();
    auto out = executor::make(load.sends(link_kind::inproc), from.list,
                              {ends.first}, {});
    auto in = executor::make(load.receives(link_kind::inproc), to.list, {},
                             {ends.second});
    if (!out || !in)
      return fail(!out ? out.error() : in.error());
    return std::unique_ptr<inproc_pair>{
      new inproc_pair{std::move(*out), std::move(*in)}};
  }

  ~inproc_pair() {
    ends_ = true;
    begin_.arrive_and_wait();
    thread_.join();
  }

  result<double> run(run_mode mode) {
    result<void> done;
    begin_.arrive_and_wait();
    auto seconds = seconds_of([&] { done = in_->run({mode, false}, ample()); });
    if (!done)
      return fail(done.error());
    return seconds;
  }

private:
  inproc_pair(std::unique_ptr<executor> out, std::unique_ptr<executor> in)
    : out_(std::move(out)),
      in_(std::move(in)),
      thread_([this] {
        for (;;) {
          begin_.arrive_and_wait();
          if (ends_)
            return;
          // A failure here is the other end's too.
          (void) out_->run({}, ample());
        }
      }) {
    // nop
  }

  std::unique_ptr<executor> out_;
  std::unique_ptr<executor> in_;
  std::barrier<> begin_{2};
  bool ends_ = false;
  std::thread thread_;
};

} // namespace

result<inproc_figures> measure_inproc(const sync_load& load,
                                      const sync_load& eighth,
                                      std::size_t rounds) {
  auto from = make_tensors(load, 1, heap);
  auto to = make_tensors(load, 0, heap);
  if (!from || !to)
    return fail(!from ? from.error() : to.error());
  inproc_figures out;
  auto copies = inproc_pair::make(load, *from, *to);
  if (!copies)
    return fail(copies.error());
  for (std::size_t i = 0; i <= rounds; ++i) {
    auto bare = seconds_of_memcpy(*to, *from);
    auto copy = (*copies)->run(run_mode::in_place);
    if (!copy)
      return fail(copy.error());
    if (!same_bytes(*to, *from))
      return fail(errc::corrupt, "a sync did not copy what it should");
    // The first of each is for caches and page tables.
    if (i == 0)
      continue;
    out.memcpy.push_back(bare);
    out.copy.push_back(*copy);
  }
  copies->reset();
  // Whole tensors only: one bucket bound that none exceeds.
  auto whole = [](const sync_load& x) {
    return sync_load{x.bytes(), 2 * x.bytes()};
  };
  for (auto* x : {&load, &eighth}) {
    auto size = whole(*x);
    auto a = make_tensors(size, 1, heap);
    auto b = make_tensors(size, 0, heap);
    if (!a || !b)
      return fail(!a ? a.error() : b.error());
    auto shares = inproc_pair::make(size, *a, *b);
    if (!shares)
      return fail(shares.error());
    auto& to_list = x == &load ? out.share : out.share_eighth;
    for (std::size_t i = 0; i <= rounds * 10; ++i) {
      auto seconds = (*shares)->run(run_mode::share);
      if (!seconds)
        return fail(seconds.error());
      if (i > 0)
        to_list.push_back(*seconds);
    }
  }
  return out;
}

} // namespace troupe::bench
