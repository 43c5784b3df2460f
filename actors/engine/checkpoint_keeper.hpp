// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::engine {

/// Makes the folder of a checkpoint. Sender: engine.
struct begin_checkpoint {
  std::int64_t episode = 0;
};

/// Ranks may save there.
struct checkpoint_begun {
  std::filesystem::path directory;
};

/// Every rank has saved: makes it a checkpoint, removes the oldest.
/// Sender: engine. Errors: as `checkpoint_folder::commit`.
struct commit_checkpoint {
  std::int64_t episode = 0;
  batch state;
};

using checkpoint_keeper_actor = caf::typed_actor<
  caf::replies_to<begin_checkpoint>::with<checkpoint_begun>,
  caf::replies_to<commit_checkpoint>::with<protocol::ack>>;

/// The driver's part of checkpoints that waits for disks. Spawned detached
/// outside of scheduler tests.
class checkpoint_keeper : public checkpoint_keeper_actor::base {
public:
  /// Keeps the newest `count`. Warns `errors`, once a run, of each of the
  /// models `trained` that has saved nothing.
  checkpoint_keeper(caf::actor_config& config,
                    checkpoint::checkpoint_folder folder, std::size_t count,
                    std::vector<std::string> trained = {},
                    protocol::error_signal_actor errors = {});

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  void look_for_state(std::int64_t episode);

  checkpoint::checkpoint_folder folder_;
  std::size_t count_;
  std::vector<std::string> trained_;
  protocol::error_signal_actor errors_;
};

} // namespace troupe::engine

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::begin_checkpoint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::checkpoint_begun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::commit_checkpoint)
