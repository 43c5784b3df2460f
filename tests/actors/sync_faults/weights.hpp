// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "actors/sync_faults/shared_page.hpp"
#include "troupe/actors/model/module.hpp"
#include "troupe/actors/model/registry.hpp"

namespace sync_faults {

/// A model of one tensor whose elements are all equal to the version of the
/// run that filled it, with a trap: a page of it that nobody may touch without
/// a signal being sent.
class weights : public troupe::module {
public:
  ~weights() override;

  void setup(troupe::worker_context& ctx) override;
  troupe::parameter_list parameters() override;
  void on_sync(troupe::weight_version version) override;

  /// Source: fills the tensor with the number in "value".
  troupe::batch fill(const troupe::batch& in);

  /// Destination: looks whether its tensor is of one version, the one that was
  /// committed last.
  troupe::batch look(const troupe::batch& in);

  /// Sets the trap that the shared page asks for.
  troupe::batch arm(const troupe::batch& in);

private:
  [[nodiscard]] std::span<float> values() const;

  rank_page* page_ = nullptr;
  std::byte* memory_ = nullptr;
  float committed_ = 0;
};

/// The models "trainer" and "policy".
void declare(troupe::module_registry& models);

} // namespace sync_faults
