// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "troupe/apps/console/episode_row.hpp"
#include "troupe/apps/console/terminal.hpp"
#include "troupe/core/clock.hpp"

namespace troupe::console {

/// Shows a person how a run is doing. Every member is callable from any
/// thread and returns soon; nothing shown is worth failing a run, so nothing
/// fails.
class progress_view {
public:
  virtual ~progress_view() = default;

  /// Work on `name` has come to `done` of `total`; `total` 0 means unknown.
  /// Called as often as the caller likes: the view draws at its own pace.
  virtual void phase(std::string_view name, std::int64_t done,
                     std::int64_t total) = 0;

  /// An episode has ended.
  virtual void episode(const episode_row& row) = 0;

  /// One line that stays on the screen, e.g. a restart.
  virtual void note(std::string_view text) = 0;

  /// Redraws if it is time to. Called now and then, say twice a second, so that
  /// the time shown goes on while nothing else happens.
  virtual void tick() = 0;

  /// Ends the view and gives the terminal back. Later calls do nothing. The
  /// destructor does the same.
  virtual void finish() = 0;
};

/// The view that suits `out`: redrawn in place on a terminal, else plain lines
/// of less than 80 columns. `title` names the run, e.g. `grpo demo-1`. `out`
/// and `time` must outlive the view.
[[nodiscard]] std::unique_ptr<progress_view>
make_progress(terminal& out, std::string title,
              const clock& time = steady_clock());

} // namespace troupe::console
