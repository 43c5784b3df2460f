// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/checkpoint_keeper.hpp"

#include <utility>

#include <caf/result.hpp>

#include "troupe/actors/protocol/errors.hpp"

namespace troupe::engine {

checkpoint_keeper::checkpoint_keeper(caf::actor_config& config,
                                     checkpoint::checkpoint_folder folder,
                                     std::size_t count,
                                     std::vector<std::string> trained,
                                     protocol::error_signal_actor errors)
  : checkpoint_keeper_actor::base(config),
    folder_(std::move(folder)),
    count_(count),
    trained_(std::move(trained)),
    errors_(std::move(errors)) {
  // nop
}

const char* checkpoint_keeper::name() const {
  return "checkpoint_keeper";
}

void checkpoint_keeper::on_exit() {
  errors_ = protocol::error_signal_actor{};
}

void checkpoint_keeper::look_for_state(std::int64_t episode) {
  for (const auto& model : std::exchange(trained_, {})) {
    if (folder_.holds_state(episode, model))
      continue;
    protocol::error_report report;
    report.level = protocol::severity::warning;
    report.code = errc::failed;
    report.model = model;
    report.operation = "save checkpoint";
    report
      .message = "it trains and has saved nothing: a run that goes on finds "
                 "it as its setup makes it; give it parameters(), or "
                 "override save_checkpoint and load_checkpoint";
    report.once = true;
    if (errors_)
      send(errors_, report);
  }
}

checkpoint_keeper::behavior_type checkpoint_keeper::make_behavior() {
  return {
    [this](const begin_checkpoint& x) -> caf::result<checkpoint_begun> {
      auto directory = folder_.begin(x.episode);
      if (!directory)
        return protocol::to_caf(directory.error());
      return checkpoint_begun{std::move(*directory)};
    },
    [this](const commit_checkpoint& x) -> caf::result<protocol::ack> {
      if (auto done = folder_.commit(x.episode, x.state); !done)
        return protocol::to_caf(done.error());
      look_for_state(x.episode);
      folder_.prune(x.episode, count_);
      return protocol::ack{};
    },
  };
}

} // namespace troupe::engine
