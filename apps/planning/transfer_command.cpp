// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/transfer_command.hpp"

#include <fmt/format.h>

#include "troupe/apps/planning/layout_file.hpp"
#include "troupe/planner/report/transfer_view.hpp"
#include "troupe/planner/weights/reshard.hpp"
#include "troupe/planner/weights/two_stage.hpp"

namespace troupe::planning {

namespace {

namespace report = planner::report;
namespace weights = planner::weights;

result<transfer_plan> make_plan(const weights::shared_layout& source,
                                const weights::shared_layout& destination,
                                const std::string& planner) {
  if (planner == "reshard")
    return weights::reshard(source, destination);
  auto plan = weights::two_stage(source, destination);
  if (!plan)
    return fail(plan.error().within("--planner two_stage"));
  return plan;
}

} // namespace

result<transfer_answer> render_transfer_plan(const plan_arguments& args) {
  if (args.transfer_files.size() != 2)
    return fail(errc::invalid, "--transfer needs two files: SRC.json DST.json");
  auto source = load_layout(args.transfer_files[0]);
  if (!source)
    return fail(source.error());
  auto destination = load_layout(args.transfer_files[1]);
  if (!destination)
    return fail(destination.error());
  auto plan = make_plan(*source, *destination, args.transfer_planner);
  if (!plan)
    return fail(plan.error());
  auto view = report::view_transfer(*plan, *source, *destination);
  return transfer_answer{args.json
                           ? report::render_transfer_json(view)
                           : report::render_transfer(view,
                                                     args.transfer_planner),
                         !view.problems.empty()};
}

} // namespace troupe::planning
