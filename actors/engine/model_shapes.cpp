// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/model_shapes.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace troupe::engine {

namespace {

using planner::parallel_sizes;
using size_member = std::int32_t parallel_sizes::*;

constexpr std::array<std::pair<std::string_view, size_member>, 5> all_sizes{{
  {"tensor", &parallel_sizes::tensor},
  {"pipeline", &parallel_sizes::pipeline},
  {"context", &parallel_sizes::context},
  {"expert", &parallel_sizes::expert},
  {"data", &parallel_sizes::data},
}};

std::string key_of(std::string_view model, std::string_view size) {
  return fmt::format("shapes/{}/{}", model, size);
}

/// Nothing if `state` does not say.
std::optional<parallel_sizes> saved_shape(const batch& state,
                                          std::string_view model) {
  parallel_sizes out;
  for (const auto& [name, member] : all_sizes) {
    const auto* found = state.find_meta(key_of(model, name));
    const auto* value = found ? std::get_if<std::int64_t>(found) : nullptr;
    if (value == nullptr)
      return std::nullopt;
    out.*member = static_cast<std::int32_t>(*value);
  }
  return out;
}

bool fits(const parallel_sizes& saved, const parallel_sizes& wanted,
          bool same_on_data_ranks) {
  auto same = saved;
  if (same_on_data_ranks && saved.pipeline == 1 && saved.expert == 1)
    same.data = wanted.data;
  return same == wanted;
}

/// `"4 ranks (tensor 2 x data 2)"`
std::string describe(const parallel_sizes& x) {
  std::string sizes;
  for (const auto& [name, member] : all_sizes)
    if (x.*member != 1)
      sizes += fmt::format("{}{} {}", sizes.empty() ? "" : " x ", name,
                           x.*member);
  auto ranks = x.world();
  return fmt::format("{} rank{}{}", ranks, ranks == 1 ? "" : "s",
                     sizes.empty() ? "" : fmt::format(" ({})", sizes));
}

} // namespace

void add_shapes(batch& state, const config::job_config& config) {
  for (const auto& model : config.models)
    for (const auto& [name, member] : all_sizes)
      state.set_meta(key_of(model.name, name),
                     std::int64_t{model.parallel.*member});
}

result<void> check_shapes(const batch& state, const config::job_config& config,
                          const module_registry& models) {
  for (const auto& model : config.models) {
    auto saved = saved_shape(state, model.name);
    const auto* declared = models.find(model.name);
    auto same_on_data_ranks = declared != nullptr
                              && declared->same_on_data_ranks();
    if (model.all_gpus || !saved
        || fits(*saved, model.parallel, same_on_data_ranks))
      continue;
    return fail(errc::invalid,
                fmt::format("the checkpoint has replicas of {} with {}, the "
                            "configuration asks for {}: go on with the num_gpu "
                            "and parallel sizes that models.{} was saved with",
                            model.name, describe(*saved),
                            describe(model.parallel), model.name));
  }
  return {};
}

} // namespace troupe::engine
