// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <termios.h>

namespace troupe::monitoring {

/// While it lives, keys arrive as they are pressed and are not shown. Signals
/// (Ctrl-C, Ctrl-Z) work as ever. On something that is no terminal it does
/// nothing.
class tty_mode {
public:
  explicit tty_mode(int descriptor);
  ~tty_mode();
  tty_mode(const tty_mode&) = delete;
  tty_mode& operator=(const tty_mode&) = delete;

  [[nodiscard]] bool changed() const noexcept { return changed_; }

private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

} // namespace troupe::monitoring
