// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::engine {

/// Fetches batches and runs a plain function on them. Stays in the driver's
/// process: its messages cannot be serialized.
struct apply_request {
  std::function<batch(const std::vector<batch>&)> function;
  std::vector<process::batch_ref> inputs;
  std::uint64_t scope = 0;
  /// Store the result and answer with a reference to it.
  bool store = true;
  std::chrono::milliseconds timeout{0};
};

struct applied {
  process::batch_ref reference;
  /// The result itself if it was not stored.
  batch value;
};

using applier_actor = caf::typed_actor<
  caf::replies_to<apply_request>::with<applied>>;

/// Runs an application's plain functions, away from the engine, which must stay
/// able to answer. Spawned detached outside of scheduler tests.
class applier : public applier_actor::base {
public:
  applier(caf::actor_config& config, process::batch_store* store);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  [[nodiscard]] result<applied> run(const apply_request& request);

  process::batch_store* store_;
};

} // namespace troupe::engine

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::apply_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::applied)
