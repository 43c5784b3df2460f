// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "troupe/actors/engine/application.hpp"
#include "troupe/apps/grpo/dataset.hpp"
#include "troupe/apps/grpo/sampler.hpp"

namespace troupe::grpo {

/// The questions of a run: two-digit addition, or a JSONL file of the user's.
/// Training draws from the train part alone; dev and test are disjoint from it
/// and from each other.
class grpo_data final : public data_source {
public:
  /// Reads `runtime.data_path`, or makes the additions if it is empty.
  [[nodiscard]] static result<std::unique_ptr<data_source>>
  make(const config::runtime_config& runtime);

  [[nodiscard]] batch draw(data_stream stream, std::int64_t rows) override;

  [[nodiscard]] batch all(data_stream stream) override;

  [[nodiscard]] batch position() const override;

  void seek(const batch& position) override;

  [[nodiscard]] std::vector<std::pair<std::string, option_value>>
  model_options() const override;

private:
  grpo_data(dataset questions, std::uint64_t seed);

  [[nodiscard]] sampler stream(std::uint64_t which,
                               std::uint64_t position) const;

  dataset questions_;
  std::uint64_t seed_;
  sampler prompts_;
  sampler supervised_;
};

} // namespace troupe::grpo
