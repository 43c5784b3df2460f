// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/packing.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace troupe::planner::chatlearn {

outcome<std::vector<pack>>
pack_models(const std::vector<const local_model*>& models, std::int64_t total) {
  if (models.empty())
    return refuse(refusal_kind::index, "there are no models to pack");
  auto first = *std::max_element(models.begin(), models.end(),
                                 [](const auto* a, const auto* b) {
                                   return std::pair{a->trainable, a->total_gpu}
                                          < std::pair{b->trainable,
                                                      b->total_gpu};
                                 });
  auto too_large = [&](const local_model& x) {
    return fmt::format("{} needs {} GPUs but the group has {}", x.name,
                       x.total_gpu, total);
  };
  if (first->total_gpu > total)
    return refuse(refusal_kind::assertion, too_large(*first));
  std::vector<pack_item> items;
  for (const auto* x : models) {
    if (x->total_gpu > total)
      return refuse(refusal_kind::unsound, too_large(*x));
    if (x->total_gpu < 1)
      return refuse(refusal_kind::unsound,
                    fmt::format("{} has no GPUs to pack", x->name));
    items.push_back({x->total_gpu, x->trainable});
  }
  return find_packs(items, total);
}

outcome<named_packs> pack_models(const std::vector<local_model>& models,
                                 std::int64_t total) {
  std::vector<const local_model*> list;
  for (const auto& x : models)
    list.push_back(&x);
  auto packs = pack_models(list, total);
  if (!packs)
    return refuse(packs.error());
  named_packs out;
  for (const auto& side_by_side : *packs) {
    auto& names = out.emplace_back();
    for (auto i : side_by_side)
      names.push_back(models[static_cast<std::size_t>(i)].name);
  }
  return out;
}

} // namespace troupe::planner::chatlearn
