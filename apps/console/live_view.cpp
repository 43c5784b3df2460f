// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/live_view.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "troupe/apps/console/row_text.hpp"
#include "troupe/apps/console/text.hpp"
#include "troupe/core/units.hpp"

namespace troupe::console {

namespace {

using namespace std::chrono_literals;

constexpr duration frame_pause = 100ms;
constexpr std::size_t label_width = 10;

constexpr const char* bold = "1";
constexpr const char* dim = "2";
constexpr const char* green = "32";
constexpr const char* cyan = "36";

/// `left`, blanks, `right`, together `columns` wide; without `right` if there
/// is no room for it.
std::string justify(std::string left, const std::string& right,
                    std::size_t columns) {
  auto used = display_width(left) + display_width(right);
  if (right.empty() || used + 2 > columns)
    return left;
  left.append(columns - used, ' ');
  return left + right;
}

} // namespace

live_view::live_view(terminal& out, std::string title, const clock& time)
  : out_(out),
    frame_(out),
    title_(printable(title)),
    time_(time),
    begin_(time.now()) {
  // nop
}

live_view::~live_view() {
  finish();
}

void live_view::phase(std::string_view name, std::int64_t done,
                      std::int64_t total) {
  std::lock_guard guard{mutex_};
  if (finished_)
    return;
  if (name != phase_)
    phase_ = name;
  done_ = done;
  total_ = total;
  draw_if_due();
}

void live_view::episode(const episode_row& row) {
  std::lock_guard guard{mutex_};
  if (finished_)
    return;
  row_ = row;
  if (!first_row_)
    first_row_ = row;
  if (row.mean_reward)
    rewards_.push(*row.mean_reward);
  if (row.eval_accuracy) {
    accuracy_ = row.eval_accuracy;
    if (!first_accuracy_)
      first_accuracy_ = row.eval_accuracy;
    accuracies_.push(*row.eval_accuracy);
  }
  draw_if_due();
}

void live_view::note(std::string_view text) {
  std::lock_guard guard{mutex_};
  if (!finished_)
    draw(printable(text));
}

void live_view::tick() {
  std::lock_guard guard{mutex_};
  if (!finished_)
    draw_if_due();
}

void live_view::finish() {
  std::lock_guard guard{mutex_};
  if (finished_)
    return;
  phase_.clear();
  draw({});
  finished_ = true;
}

void live_view::draw_if_due() {
  if (!drawn_ || time_.now() - *drawn_ >= frame_pause)
    draw({});
}

void live_view::draw(std::string_view above) {
  auto columns = frame_.columns();
  std::vector<std::string> kept;
  if (!above.empty())
    for (const auto& line : wrap(above, columns))
      kept.push_back(fit(line, columns));
  frame_.show(compose(columns), kept);
  drawn_ = time_.now();
}

std::vector<std::string> live_view::compose(std::size_t columns) const {
  std::vector<std::string> out;
  auto unicode = out_.unicode();
  auto room = columns > label_width ? columns - label_width : 0;
  auto elapsed = clock_text(time_.now() - begin_);
  auto title_room = columns - std::min(columns, elapsed.size() + 2);
  out.push_back(
    justify(dress(bold, fit(title_, title_room)), elapsed, columns));
  if (row_.num_episode > 0) {
    auto count = fmt::format("{}/{}", row_.episode, row_.num_episode);
    auto left = remaining();
    auto taken = count.size() + 2 + (left.empty() ? 0 : left.size() + 2);
    auto share = static_cast<double>(row_.episode)
                 / static_cast<double>(row_.num_episode);
    auto line = label("episode") + fit(count, room);
    if (taken + 8 <= room)
      line += "  " + dress(green, bar(share, room - taken, unicode));
    out.push_back(justify(std::move(line), left, columns));
  }
  if (!phase_.empty()) {
    auto text = printable(phase_) + phase_count(done_, total_);
    auto line = label("phase") + fit(text, room);
    auto used = display_width(text) + 2;
    // Before the first episode this is all that moves.
    if (row_.num_episode == 0 && total_ > 0 && used + 8 <= room) {
      auto share = static_cast<double>(done_) / static_cast<double>(total_);
      line += "  " + dress(green, bar(share, room - used, unicode));
    }
    out.push_back(std::move(line));
  }
  auto curve = [&](std::string text, const history& values, const char* hue) {
    auto used = display_width(text) + 2;
    auto line = fit(text, room);
    if (values.values().size() > 1 && used + 4 <= room)
      line += "  "
              + dress(hue, sparkline(values.values(),
                                     std::min<std::size_t>(room - used, 40),
                                     unicode));
    return line;
  };
  if (row_.mean_reward)
    out.push_back(label("reward")
                  + curve(number_text(*row_.mean_reward), rewards_, cyan));
  if (accuracy_) {
    auto text = number_text(*accuracy_);
    if (accuracies_.values().size() > 1)
      text += fmt::format("  from {}", number_text(*first_accuracy_));
    out.push_back(label("accuracy") + curve(text, accuracies_, green));
  }
  std::string speed;
  for (const auto& part : row_parts(row_)) {
    if (part.starts_with("reward") || part.starts_with("accuracy"))
      continue;
    auto gap = speed.empty() ? 0u : 2u;
    if (display_width(speed) + gap + display_width(part) > room)
      break;
    speed.append(gap, ' ');
    speed += part;
  }
  if (!speed.empty())
    out.push_back(label("speed") + speed);
  return out;
}

std::string live_view::label(std::string_view name) const {
  return dress(dim, fmt::format("{:<{}}", name, label_width));
}

std::string live_view::dress(const char* code, std::string text) const {
  if (!out_.colour())
    return text;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string live_view::remaining() const {
  if (!first_row_ || row_.episode <= first_row_->episode
      || row_.episode >= row_.num_episode)
    return {};
  auto each = (row_.elapsed - first_row_->elapsed)
              / (row_.episode - first_row_->episode);
  return fmt::format("{} left",
                     clock_text(each * (row_.num_episode - row_.episode)));
}

} // namespace troupe::console
