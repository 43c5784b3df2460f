// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/lifeline.hpp"

namespace troupe::comm::transfer {

error lifeline::raise(error what) {
  {
    std::unique_lock lock{mutex_};
    if (cause_)
      return *cause_;
    cause_ = what;
    dead_ = true;
  }
  for (auto& x : links_)
    x->abort();
  for (auto* x : rings_)
    x->stop();
  return what;
}

std::optional<error> lifeline::cause() {
  std::unique_lock lock{mutex_};
  return cause_;
}

} // namespace troupe::comm::transfer
