// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/memory_fit.hpp"

#include <fmt/format.h>

#include "troupe/core/units.hpp"

namespace troupe::planner {

result<memory_report> check_memory(const placement& plan, const job_spec& job,
                                   const cluster& machines,
                                   std::span<const model_profile> profiles,
                                   const place_function& place,
                                   const memory_fit_options& options) {
  auto report = estimate_memory(plan, job, machines, profiles,
                                options.settings);
  if (!report)
    return report;
  const auto* worst = report->worst();
  if (worst == nullptr)
    return report;
  auto when = worst->fullest_phase();
  // The one that works stands with all it needs, the others with what they
  // keep: their sum is what is over.
  const model_use* worker = nullptr;
  if (when != phase::sync)
    for (const auto& use : worst->models)
      if (worker == nullptr || use.extra(when) > worker->extra(when))
        worker = &use;
  std::string models;
  for (const auto& use : worst->models) {
    auto bytes = &use == worker || when == phase::sync
                   ? use.active[static_cast<std::size_t>(when)].total()
                   : use.idle.total();
    models += fmt::format("{} {}, ", plan.models[use.model].name,
                          format_bytes(bytes));
  }
  auto text = fmt::format(
    "device {} on {} needs {} of its {} in {} ({}reserve {}): {} too much",
    worst->device.value(),
    machines
      .nodes[static_cast<std::size_t>(machines.node_of(worst->device).value())]
      .name,
    format_bytes(worst->peak()), format_bytes(worst->limit), to_string(when),
    models, format_bytes(options.settings.reserve_bytes),
    format_bytes(worst->peak() - worst->limit));
  auto remedy = find_remedy(job, machines, profiles, place, options);
  if (remedy)
    text += fmt::format("; the cheapest change that fits: {} (then at most {} "
                        "on a device)",
                        remedy->text, format_bytes(remedy->peak_bytes));
  else
    text += "; neither offload, larger tensor sizes, another colocation nor "
            "fewer replicas help, alone or together: use more or larger "
            "devices, or smaller models";
  return fail(errc::exhausted, std::move(text));
}

} // namespace troupe::planner
