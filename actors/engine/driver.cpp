// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/driver.hpp"

#include <memory>

#include "troupe/actors/engine/run_driver.hpp"

namespace troupe::engine {

driven drive(const application& app, const config::job_config& config,
             const std::shared_ptr<data_source>& data,
             const driver_settings& settings, run_listener& listener) {
  auto x = std::make_unique<run_driver>(app, config, settings);
  driven out;
  out.outcome = x->run(data, listener);
  out.begun = x->begun();
  out.threads_left = !x->all_down();
  if (out.threads_left)
    static_cast<void>(x.release());
  return out;
}

} // namespace troupe::engine
