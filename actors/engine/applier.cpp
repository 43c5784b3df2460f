// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/applier.hpp"

#include <caf/result.hpp>

#include "troupe/core/exception.hpp"

namespace troupe::engine {

applier::applier(caf::actor_config& config, process::batch_store* store)
  : applier_actor::base(config),
    store_(store) {
  // nop
}

const char* applier::name() const {
  return "applier";
}

result<applied> applier::run(const apply_request& request) {
  try {
    auto until = deadline::after(request.timeout);
    std::vector<batch> inputs;
    for (const auto& reference : request.inputs) {
      auto input = store_->get(reference, until);
      if (!input)
        return fail(input.error().within("fetching a batch"));
      inputs.push_back(std::move(*input));
    }
    applied out;
    out.value = request.function(inputs);
    if (request.store) {
      auto part = store_->put(out.value, request.scope);
      if (!part)
        return fail(part.error().within("storing a batch"));
      out.reference.parts.push_back(std::move(*part));
      out.value = {};
    }
    return out;
  } catch (const std::exception& x) {
    return fail(error_from(x));
  } catch (...) {
    return fail(errc::failed, "it threw something that is no std::exception");
  }
}

applier::behavior_type applier::make_behavior() {
  return {
    [this](const apply_request& request) -> caf::result<applied> {
      auto out = run(request);
      if (!out)
        return protocol::to_caf(out.error());
      return std::move(*out);
    },
  };
}

} // namespace troupe::engine
