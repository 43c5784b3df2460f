// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/progress.hpp"

#include "troupe/apps/console/live_view.hpp"
#include "troupe/apps/console/plain_view.hpp"

namespace troupe::console {

std::unique_ptr<progress_view> make_progress(terminal& out, std::string title,
                                             const clock& time) {
  if (out.live())
    return std::make_unique<live_view>(out, std::move(title), time);
  return std::make_unique<plain_view>(out, std::move(title), time);
}

} // namespace troupe::console
