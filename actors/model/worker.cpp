// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/worker.hpp"

#include <caf/result.hpp>

namespace troupe::model {

namespace {

template <class T>
caf::result<T> answer(result<T> x) {
  if (x)
    return std::move(*x);
  return protocol::to_caf(x.error());
}

} // namespace

worker::worker(caf::actor_config& config, protocol::worker_spec spec,
               host_services services, std::shared_ptr<worker_probe> probe)
  : protocol::worker_actor::base(config),
    state_(std::make_unique<worker_state>(std::move(spec), services,
                                          std::move(probe))) {
  // nop
}

const char* worker::name() const {
  return "worker";
}

void worker::on_exit() {
  state_.reset();
}

worker::behavior_type worker::make_behavior() {
  using namespace protocol;
  return {
    [this](const protocol::set_up&) { return answer(state_->set_up()); },
    [this](const open_groups& x) { return answer(state_->open(x)); },
    [this](const connect_groups& x) { return answer(state_->connect(x)); },
    [this](const close_groups& x) { return answer(state_->close(x)); },
    [this](const protocol::invoke& x) { return answer(state_->invoke(x)); },
    [this](const protocol::transfer& x) { return answer(state_->transfer(x)); },
    [this](const protocol::fence& x) { return answer(state_->fence(x)); },
    [this](const protocol::checkpoint& x) { return answer(state_->run(x)); },
    [this](const close_model&) -> caf::result<ack> {
      state_->close();
      quit();
      return ack{};
    },
  };
}

} // namespace troupe::model
