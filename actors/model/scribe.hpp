// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::model {

/// Files of one rank's checkpoint. Stays in the process.
struct write_files {
  std::vector<std::pair<std::filesystem::path, batch>> items;
  deadline until = deadline::after(duration::zero());
};

using scribe_actor = caf::typed_actor<
  caf::replies_to<write_files>::with<protocol::ack>>;

/// Writes a worker's checkpoints beside it, so that the model goes on
/// meanwhile. Spawned detached outside of scheduler tests: disks are slow.
/// Errors: as `checkpoint::write_batch`; timed_out.
class scribe : public scribe_actor::base {
public:
  using super = scribe_actor::base;
  using super::super;

  const char* name() const override;

protected:
  behavior_type make_behavior() override;
};

} // namespace troupe::model

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::model::write_files)
