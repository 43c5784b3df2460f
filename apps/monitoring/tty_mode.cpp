// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/tty_mode.hpp"

#include <unistd.h>

namespace troupe::monitoring {

tty_mode::tty_mode(int descriptor) : fd_(descriptor) {
  // A program in the background that changed its terminal would be stopped.
  if (::isatty(fd_) != 1 || ::tcgetpgrp(fd_) != ::getpgrp()
      || ::tcgetattr(fd_, &before_) != 0)
    return;
  auto now = before_;
  now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  changed_ = ::tcsetattr(fd_, TCSANOW, &now) == 0;
}

tty_mode::~tty_mode() {
  if (changed_)
    static_cast<void>(::tcsetattr(fd_, TCSANOW, &before_));
}

} // namespace troupe::monitoring
