// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/weight_mover.hpp"

#include <exception>

#include <fmt/core.h>

#include "troupe/actors/call/exceptions.hpp"
#include "troupe/actors/model/module_failure.hpp"

namespace troupe::model {

namespace {

/// The thread of one sync at one rank.
class transfer_agent : public protocol::mover_actor::base {
public:
  transfer_agent(caf::actor_config& config, protocol::worker_name worker,
                 std::shared_ptr<worker_probe> probe)
    : protocol::mover_actor::base(config),
      worker_(std::move(worker)),
      probe_(std::move(probe)) {
    call::tell_exceptions(this);
  }

  const char* name() const override { return "transfer_agent"; }

  void on_exit() override { probe_ = nullptr; }

protected:
  behavior_type make_behavior() override {
    return {[this](const protocol::transfer& x)
              -> caf::result<protocol::transfer_reports> {
      auto seat = probe_->syncs.find(x.program);
      if (!seat)
        return protocol::to_caf(
          {errc::unavailable,
           fmt::format("sync {} was not prepared here", x.program)});
      // An exception would end this actor, and all that it is linked to.
      try {
        auto reports = seat->run(x, probe_->groups, worker_);
        if (!reports)
          return protocol::to_caf(reports.error());
        return protocol::transfer_reports{std::move(*reports)};
      } catch (const std::exception& y) {
        return protocol::to_caf(
          failure_of(y).within(fmt::format("sync {}", x.program)));
      }
    }};
  }

private:
  protocol::worker_name worker_;
  std::shared_ptr<worker_probe> probe_;
};

} // namespace

weight_mover::weight_mover(caf::actor_config& config,
                           protocol::worker_name worker,
                           std::shared_ptr<worker_probe> probe,
                           worker_threads threads)
  : protocol::mover_actor::base(config),
    worker_(std::move(worker)),
    probe_(std::move(probe)),
    threads_(threads) {
  call::tell_exceptions(this);
}

const char* weight_mover::name() const {
  return "weight_mover";
}

void weight_mover::on_exit() {
  agents_.clear();
  probe_ = nullptr;
}

weight_mover::behavior_type weight_mover::make_behavior() {
  return {[this](const protocol::transfer& x) {
    auto& agent = agents_[x.program];
    if (!agent)
      agent = threads_ == worker_threads::own
                ? spawn<transfer_agent, caf::detached + caf::linked>(worker_,
                                                                     probe_)
                : spawn<transfer_agent, caf::linked>(worker_, probe_);
    return delegate(agent, x);
  }};
}

} // namespace troupe::model
