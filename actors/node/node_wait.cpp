// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/node_wait.hpp"

#include <fmt/core.h>

namespace troupe::node {

namespace {

using std::chrono::milliseconds;

/// How long the last words may take on their way to the driver.
constexpr auto farewell_max = std::chrono::seconds{1};

} // namespace

node_wait::node_wait(caf::scoped_actor& self,
                     const std::function<void(std::string_view)>& tell)
  : self_(self),
    tell_(tell) {
  // nop
}

node_end node_wait::run() {
  while (!end_)
    self_->receive([this](const job_came& x) { begin(x); },
                   [this](const driver_silent& x) { hear_silence(x); },
                   [this](driver_heard) {
                     tell_("the driver is back");
                     grace_.reset();
                   },
                   [this](job_closing) { closing_ = true; },
                   [this](driver_gone) { hear_driver_gone(); },
                   [this](guard_gone) { hear_guard_gone(); },
                   [this](const caf::down_msg& x) { hear_down(x); },
                   [this](stop_signal) { end_ = node_end::stopped; },
                   caf::after(grace_ ? grace_->left_ms() : milliseconds{60'000})
                     >>
                     [this] {
                       if (grace_ && grace_->passed())
                         over("the driver has been silent for too long");
                     });
  return *end_;
}

void node_wait::begin(const job_came& x) {
  errors_ = x.errors;
  node_ = x.node;
  driver_ = x.errors.address();
  grace_time_ = x.grace;
  self_->monitor(x.errors);
  self_->monitor(x.node);
  tell_(fmt::format("works for job {}", x.job));
}

void node_wait::over(std::string_view why) {
  tell_(why);
  end_ = node_end::job_over;
}

void node_wait::hear_driver_gone() {
  // One that has said goodbye does not wait until we are done.
  over(closing_ ? "the job is over" : "the driver is gone");
}

void node_wait::hear_silence(const driver_silent& x) {
  tell_(fmt::format("the driver has given no sign of life for {} ms; cleaning "
                    "up in {} s unless it does",
                    x.silent.count(), grace_time_.count() / 1000));
  grace_ = deadline::after(grace_time_);
}

void node_wait::hear_down(const caf::down_msg& x) {
  if (x.source == driver_)
    return hear_driver_gone();
  // The node closed: its answer is still on its way.
  self_->receive([](const caf::down_msg&) {}, [](driver_gone) {},
                 caf::after(farewell_max) >> [] {});
  over("the job is over");
}

void node_wait::hear_guard_gone() {
  tell_("the guard process is gone, and every host with it");
  end_ = node_end::broken;
  if (!errors_)
    return;
  // The report is on its way already. Once a later question is answered, it has
  // arrived; or nobody is there to read it.
  self_->request(errors_, farewell_max, protocol::get_errors{1})
    .receive([](const protocol::error_history&) {}, [](const caf::error&) {});
}

} // namespace troupe::node
