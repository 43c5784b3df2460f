// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "troupe/apps/console/terminal.hpp"

namespace troupe::console {

/// Lines of a terminal that are replaced in place.
///
/// Each frame is one write, so nothing flickers. The cursor is hidden inside
/// of it alone and rests below the last line between frames: however the
/// process ends, the terminal needs no repair.
class redraw {
public:
  /// `out` outlives it.
  explicit redraw(terminal& out) : out_(out) {
    // nop
  }

  /// Columns that lines may use: one stays free, because a full line would make
  /// some terminals wrap.
  [[nodiscard]] std::size_t columns() const;

  /// Replaces the last frame by `lines`. `above` is written where that was and
  /// stays there. Lines must not be wider than the terminal, nor more than it
  /// has rows.
  void show(const std::vector<std::string>& lines,
            const std::vector<std::string>& above = {});

private:
  [[nodiscard]] std::string erase() const;

  terminal& out_;
  /// Widths of the lines on the screen.
  std::vector<std::size_t> shown_;
};

} // namespace troupe::console
