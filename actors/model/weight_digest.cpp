// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/weight_digest.hpp"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

namespace troupe::model {

struct weight_digest::state {
  XXH3_state_t hash;
};

weight_digest::weight_digest() : state_(std::make_unique<state>()) {
  XXH3_128bits_reset(&state_->hash);
}

weight_digest::~weight_digest() = default;

void weight_digest::update(std::span<const std::byte> data) noexcept {
  XXH3_128bits_update(&state_->hash, data.data(), data.size());
}

weight_digest::value_type weight_digest::value() const noexcept {
  auto x = XXH3_128bits_digest(&state_->hash);
  return {x.low64, x.high64};
}

} // namespace troupe::model
