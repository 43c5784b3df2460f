// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/plain_view.hpp"

#include <fmt/core.h>

#include "troupe/apps/console/row_text.hpp"
#include "troupe/apps/console/text.hpp"

namespace troupe::console {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t columns = 79;
constexpr duration phase_pause = 10s;
constexpr duration episode_pause = 1s;

/// Phases remembered as seen; names are few unless something is wrong.
constexpr std::size_t max_seen = 64;

} // namespace

plain_view::plain_view(terminal& out, std::string title, const clock& time)
  : out_(out),
    time_(time),
    begin_(time.now()) {
  put(printable(title));
}

void plain_view::phase(std::string_view name, std::int64_t done,
                       std::int64_t total) {
  std::lock_guard guard{mutex_};
  if (finished_)
    return;
  auto now = time_.now();
  auto fresh = seen_.size() < max_seen && seen_.emplace(name).second;
  auto due = !last_phase_ || now - *last_phase_ >= phase_pause;
  if (!fresh && !due)
    return;
  last_phase_ = now;
  put(fmt::format("{}{}", printable(name), phase_count(done, total)));
}

void plain_view::episode(const episode_row& row) {
  std::lock_guard guard{mutex_};
  if (finished_)
    return;
  auto now = time_.now();
  auto due = !last_episode_ || now - *last_episode_ >= episode_pause;
  auto last = row.episode == row.num_episode;
  if (!due && !last && !row.eval_accuracy)
    return;
  last_episode_ = now;
  last_phase_ = now;
  auto text = fmt::format("{}  episode {}/{}", clock_text(now - begin_),
                          row.episode, row.num_episode);
  // What does not fit is in metrics.jsonl.
  for (const auto& part : row_parts(row)) {
    if (display_width(text) + 2 + display_width(part) > columns)
      break;
    text += "  ";
    text += part;
  }
  text += '\n';
  out_.write(text);
}

void plain_view::note(std::string_view text) {
  std::lock_guard guard{mutex_};
  if (finished_)
    return;
  put(printable(text));
}

void plain_view::tick() {
  // nop: lines do not age
}

void plain_view::finish() {
  std::lock_guard guard{mutex_};
  finished_ = true;
}

void plain_view::put(std::string_view text) {
  auto prefix = fmt::format("{}  ", clock_text(time_.now() - begin_));
  std::string out;
  for (const auto& line : wrap(text, columns - prefix.size())) {
    out += prefix;
    out += fit(line, columns - prefix.size());
    out += '\n';
    prefix.assign(prefix.size(), ' ');
  }
  out_.write(out);
}

} // namespace troupe::console
