// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::model {

/// The directory of batches: hands out scopes, remembers named references, and
/// has every store of the job free what a finished scope has left.
class storage : public protocol::storage_actor::base {
public:
  /// `store` is the driver's own and outlives the actor.
  storage(caf::actor_config& config, std::vector<protocol::node_actor> nodes,
          process::batch_store* store);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  struct entry {
    std::uint64_t scope = 0;
    process::batch_ref value;
  };

  std::vector<protocol::node_actor> nodes_;
  process::batch_store* store_;
  std::uint64_t next_scope_ = 1;
  std::map<std::string, entry> entries_;
};

} // namespace troupe::model
