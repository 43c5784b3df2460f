// SPDX-License-Identifier: Apache-2.0
// The verb `plan` of the application `grpo` without its models, so that a build
// without libtorch tests it too.
#include <CLI/CLI.hpp>

#include "apps/plan/schema_for_plans.hpp"
#include "troupe/apps/planning/plan_command.hpp"

int main(int argc, char** argv) {
  using namespace troupe::planning;
  CLI::App cli;
  auto* verb = cli.add_subcommand("plan");
  cli.require_subcommand(1);
  plan_arguments args;
  add_plan_options(*verb, args);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::Success& x) {
    return cli.exit(x);
  } catch (const CLI::ParseError& x) {
    cli.exit(x);
    return 2;
  }
  if (!args.transfer_files.empty())
    return plan_transfer(args);
  return args.groups ? plan_groups(args) : plan(schema_for_plans(), args);
}
