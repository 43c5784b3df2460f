// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::console {

/// Where output for people goes. Implementations are used by one thread at a
/// time; views bring their own lock.
class terminal {
public:
  virtual ~terminal() = default;

  /// Writes all of `text` or, if the other end is gone, silently nothing.
  virtual void write(std::string_view text) = 0;

  /// 0, or the error number because of which nothing is written any more:
  /// EPIPE if the reader has gone.
  [[nodiscard]] virtual int lost() const { return 0; }

  /// Whether lines can be redrawn in place.
  [[nodiscard]] virtual bool live() const = 0;

  /// Whether colours are welcome.
  [[nodiscard]] virtual bool colour() const = 0;

  /// Whether characters beyond ASCII can be shown.
  [[nodiscard]] virtual bool unicode() const = 0;

  /// Present width in columns; asked anew before every frame.
  [[nodiscard]] virtual int columns() const = 0;

  /// Present height in rows; 24 if unknown.
  [[nodiscard]] virtual int rows() const { return 24; }
};

/// The terminal or file behind a descriptor, which must stay open. Live if it
/// is a terminal and TERM is neither unset nor `dumb`; colours too, unless
/// NO_COLOR is set and not empty; beyond ASCII if LC_ALL, LC_CTYPE or LANG
/// says UTF-8. 80 columns if the width is unknown. The program must ignore
/// SIGPIPE, or the end of a reader is the end of the program.
[[nodiscard]] std::unique_ptr<terminal> make_terminal(int descriptor);

/// Fails with `errc::exhausted` if what was written is lost, a disk is full for
/// example, but not if the reader has gone: that one has read enough.
[[nodiscard]] result<void> check_written(const terminal& x);

} // namespace troupe::console
