// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/shared_loop.hpp"

#include <array>
#include <mutex>

namespace troupe::net {

result<std::shared_ptr<event_loop>> shared_loop(event_loop::priority level) {
  static std::mutex mutex;
  static std::array<std::weak_ptr<event_loop>, 2> loops;
  std::lock_guard guard{mutex};
  auto& known = loops[static_cast<std::size_t>(level)];
  if (auto loop = known.lock())
    return loop;
  auto fresh = event_loop::start(level);
  if (!fresh)
    return fail(fresh.error());
  std::shared_ptr<event_loop> loop = std::move(*fresh);
  known = loop;
  return loop;
}

} // namespace troupe::net
