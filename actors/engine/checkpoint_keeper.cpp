// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/checkpoint_keeper.hpp"

#include <caf/result.hpp>

#include "troupe/actors/protocol/errors.hpp"

namespace troupe::engine {

checkpoint_keeper::checkpoint_keeper(caf::actor_config& config,
                                     checkpoint::checkpoint_folder folder,
                                     std::size_t count)
  : checkpoint_keeper_actor::base(config),
    folder_(std::move(folder)),
    count_(count) {
  // nop
}

const char* checkpoint_keeper::name() const {
  return "checkpoint_keeper";
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
      folder_.prune(x.episode, count_);
      return protocol::ack{};
    },
  };
}

} // namespace troupe::engine
