// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/unique_fd.hpp"

#include <unistd.h>

namespace troupe::process {

void unique_fd::reset(int fd) noexcept {
  auto old = std::exchange(fd_, fd);
  if (old >= 0)
    ::close(old);
}

} // namespace troupe::process
