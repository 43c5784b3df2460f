// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/storage.hpp"

#include <fmt/core.h>

namespace troupe::model {

storage::storage(caf::actor_config& config,
                 std::vector<protocol::node_actor> nodes,
                 process::batch_store* store)
  : protocol::storage_actor::base(config),
    nodes_(std::move(nodes)),
    store_(store) {
  // nop
}

const char* storage::name() const {
  return "storage";
}

storage::behavior_type storage::make_behavior() {
  using namespace protocol;
  return {
    [this](open_scope) { return scope_opened{next_scope_++}; },
    [this](const put_batch& x) {
      entries_.insert_or_assign(x.name, entry{x.scope, x.value});
      return ack{};
    },
    [this](const get_batch& x) -> caf::result<stored_batch> {
      auto i = entries_.find(x.name);
      if (i == entries_.end())
        return to_caf({errc::unavailable,
                       fmt::format("no batch is stored as '{}'", x.name)});
      return stored_batch{i->second.value};
    },
    [this](const release_batches& x) {
      std::erase_if(entries_, [&](const auto& entry) {
        return entry.second.scope <= x.last;
      });
      store_->release_before(x.last + 1);
      for (const auto& node : nodes_)
        send(node, x);
    },
  };
}

} // namespace troupe::model
