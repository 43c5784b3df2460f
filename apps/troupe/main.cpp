// SPDX-License-Identifier: Apache-2.0
// The `troupe` program: `app:` in the configuration selects an application.
#include "troupe/apps/app/command_line.hpp"
#include "troupe/apps/grpo/grpo_app.hpp"

int main(int argc, char** argv) {
  troupe::app grpo{"grpo"};
  troupe::grpo::declare(grpo);
  return troupe::app_command::run_program({&grpo}, argc, argv);
}
