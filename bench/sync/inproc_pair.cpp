// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/inproc_pair.hpp"

#include <utility>

#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/inproc/factory.hpp"

namespace troupe::bench {

using namespace comm::transfer;

result<std::unique_ptr<inproc_pair>>
inproc_pair::make(const sync_load& load, link_kind link,
                  std::vector<local_tensor> from, std::vector<local_tensor> to,
                  const executor_options& options) {
  auto ends = comm::inproc::make_link();
  auto out = executor::make(load.sends(link), std::move(from), {ends.first}, {},
                            options);
  auto in = executor::make(load.receives(link), std::move(to), {},
                           {ends.second}, options);
  if (!out || !in)
    return fail(!out ? out.error() : in.error());
  return std::unique_ptr<inproc_pair>{
    new inproc_pair{std::move(*out), std::move(*in)}};
}

inproc_pair::inproc_pair(executor_ptr out, executor_ptr in)
  : out_(std::move(out)),
    in_(std::move(in)),
    thread_([this] { serve(); }) {
  // nop
}

inproc_pair::~inproc_pair() {
  ends_ = true;
  begin_.arrive_and_wait();
  thread_.join();
}

void inproc_pair::serve() {
  for (;;) {
    begin_.arrive_and_wait();
    if (ends_)
      return;
    awake_ = true;
    while (!go_.exchange(false))
      std::this_thread::yield();
    // A failure here is the other end's too.
    (void) out_->run({}, ample());
  }
}

result<double> inproc_pair::run(run_mode mode) {
  result<void> done;
  begin_.arrive_and_wait();
  // A sync on a device takes less than a thread may take to wake up.
  while (!awake_.exchange(false))
    std::this_thread::yield();
  auto seconds = seconds_of([&] {
    go_ = true;
    done = in_->run({mode, false}, ample());
  });
  if (!done)
    return fail(done.error());
  return seconds;
}

} // namespace troupe::bench
