// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "actors/sync_faults/shared_page.hpp"
#include "troupe/actors/model/module.hpp"
#include "troupe/actors/model/registry.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/core/dtype.hpp"

namespace sync_faults {

/// A model whose elements are all equal to the version of the run that filled
/// it, with a trap: a page of it that nobody may touch without a signal being
/// sent. Its options say where they lie, of which type they are, and in how
/// many tensors.
class weights : public troupe::module {
public:
  ~weights() override;

  void setup(troupe::worker_context& ctx) override;
  troupe::parameter_list parameters() override;
  void on_sync(troupe::weight_version version) override;

  /// Source: fills the tensors with the number in "value".
  troupe::batch fill(const troupe::batch& in);

  /// Destination: looks whether its weights are of one version, the one that
  /// was committed last. "value" is the call's number.
  troupe::batch look(const troupe::batch& in);

  /// Sets the trap that the shared page asks for.
  troupe::batch arm(const troupe::batch& in);

private:
  [[nodiscard]] std::size_t num_bytes() const noexcept;
  [[nodiscard]] float first() const;

  rank_page* page_ = nullptr;
  troupe::dtype type_ = troupe::dtype::float32;
  std::int64_t num_tensors_ = 1;
  /// Holds the memory; null: it is ours alone.
  std::shared_ptr<troupe::comm::shm::arena> arena_;
  std::byte* memory_ = nullptr;
  float committed_ = 0;
};

/// The models "trainer" and "policy".
void declare(troupe::module_registry& models);

} // namespace sync_faults
