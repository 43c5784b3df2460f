// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

namespace troupe {

class app;

namespace app_command {

/// The main function of a program with one or several applications: `run`,
/// `plan`, and the hidden verb of device hosts. With several applications the
/// configuration's key `app` selects one. Returns the exit code.
int run_program(const std::vector<app*>& apps, int argc, char** argv);

} // namespace app_command
} // namespace troupe
