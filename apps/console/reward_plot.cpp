// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/reward_plot.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "troupe/apps/console/text.hpp"
#include "troupe/apps/console/write_file.hpp"

namespace troupe::console {

namespace {

constexpr double width = 760;
constexpr double height = 400;
constexpr double left = 64;
constexpr double right = 56;
constexpr double top = 64;
constexpr double bottom = 52;

/// More points than this are averaged: nobody sees them and files grow.
constexpr std::size_t max_points = 1000;

constexpr const char* reward_hue = "#2563eb";
constexpr const char* accuracy_hue = "#d97706";

struct point {
  double episode = 0;
  double value = 0;
};

using member = std::optional<double> episode_row::*;

/// The values of one member; neighbours averaged if there are too many. A row
/// without the value is skipped, so that sparse evaluations make one line.
std::vector<point> course(std::span<const episode_row> rows, member which) {
  std::vector<point> all;
  for (const auto& row : rows)
    if (auto value = row.*which; value && std::isfinite(*value))
      all.push_back({static_cast<double>(row.episode), *value});
  auto stride = (all.size() + max_points - 1) / max_points;
  if (stride < 2)
    return all;
  std::vector<point> out;
  for (std::size_t first = 0; first < all.size(); first += stride) {
    auto last = std::min(first + stride, all.size());
    point mean;
    for (auto i = first; i < last; ++i) {
      mean.episode += all[i].episode / static_cast<double>(last - first);
      mean.value += all[i].value / static_cast<double>(last - first);
    }
    out.push_back(mean);
  }
  return out;
}

/// The mean of each point's neighbourhood, a twentieth of the course to each
/// side.
std::vector<point> smoothed(const std::vector<point>& points) {
  auto reach = static_cast<std::ptrdiff_t>(points.size() / 20);
  std::vector<point> out;
  auto count = static_cast<std::ptrdiff_t>(points.size());
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    // Equally far to both sides, so that the ends are not dragged inwards.
    auto span = std::min({reach, i, count - 1 - i});
    auto sum = 0.0;
    for (auto j = i - span; j <= i + span; ++j)
      sum += points[static_cast<std::size_t>(j)].value;
    out.push_back({points[static_cast<std::size_t>(i)].episode,
                   sum / static_cast<double>(2 * span + 1)});
  }
  return out;
}

/// A range that begins and ends at multiples of a round step.
struct axis {
  double first = 0;
  double last = 1;
  double step = 0.2;

  [[nodiscard]] double share(double value) const {
    return (value - first) / (last - first);
  }
};

axis axis_for(double least, double most, int ticks) {
  if (!(most > least)) {
    auto pad = std::max(std::abs(least), 1.0) / 2;
    least -= pad;
    most += pad;
  }
  auto rough = (most - least) / ticks;
  auto power = std::pow(10, std::floor(std::log10(rough)));
  auto step = power * 10;
  for (auto factor : {1.0, 2.0, 5.0})
    if (power * factor >= rough) {
      step = power * factor;
      break;
    }
  return {std::floor(least / step) * step, std::ceil(most / step) * step, step};
}

std::string escape(std::string_view text) {
  std::string out;
  for (auto ch : printable(text))
    switch (ch) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += ch; break;
    }
  return out;
}

/// The text of a tick, without the noise of multiplied steps.
std::string tick_text(double value, double step) {
  if (std::abs(value) < step / 1e6)
    value = 0;
  return fmt::format("{:.6g}", value);
}

class canvas {
public:
  canvas(const axis& x, const axis& y) : x_(x), y_(y) {
    // nop
  }

  [[nodiscard]] double across(double episode) const {
    return left + x_.share(episode) * (width - left - right);
  }

  static double down(const axis& y, double value) {
    return height - bottom - y.share(value) * (height - top - bottom);
  }

  void grid(std::string& out, bool has_reward) const {
    for (auto i = 0; y_.first + i * y_.step <= y_.last + y_.step / 2; ++i) {
      auto value = y_.first + i * y_.step;
      auto at = down(y_, value);
      out += fmt::format("<line x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" "
                         "y2=\"{:.1f}\" stroke=\"#e5e7eb\"/>\n",
                         left, at, width - right, at);
      if (has_reward)
        out += label(left - 10, at + 4, "end", tick_text(value, y_.step),
                     reward_hue);
    }
    for (auto i = 0; x_.first + i * x_.step <= x_.last + x_.step / 1e6; ++i) {
      auto value = x_.first + i * x_.step;
      out += label(across(value), height - bottom + 20, "middle",
                   tick_text(value, x_.step), "#6b7280");
    }
    out += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" "
                       "stroke=\"#9ca3af\"/>\n",
                       left, height - bottom, width - right, height - bottom);
    out += label((left + width - right) / 2, height - 12, "middle", "episode",
                 "#6b7280");
  }

  static std::string label(double x, double y, std::string_view anchor,
                           std::string_view text, std::string_view hue) {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" "
                       "fill=\"{}\">{}</text>\n",
                       x, y, anchor, hue, text);
  }

  void line(std::string& out, const std::vector<point>& points, const axis& y,
            std::string_view look) const {
    std::string path;
    for (const auto& point : points)
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ",
                          across(point.episode), down(y, point.value));
    out += fmt::format("<polyline fill=\"none\" stroke-linejoin=\"round\" "
                       "stroke-linecap=\"round\" {} points=\"{}\"/>\n",
                       look, path);
  }

  void dots(std::string& out, const std::vector<point>& points, const axis& y,
            std::string_view hue) const {
    for (const auto& point : points)
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" "
                         "fill=\"{}\"/>\n",
                         across(point.episode), down(y, point.value), hue);
  }

private:
  axis x_;
  axis y_;
};

std::string legend(bool has_reward, bool has_accuracy) {
  std::string out;
  auto x = left;
  auto entry = [&](std::string_view text, std::string_view hue) {
    out += fmt::format("<line x1=\"{}\" y1=\"46\" x2=\"{}\" y2=\"46\" "
                       "stroke=\"{}\" stroke-width=\"3\" "
                       "stroke-linecap=\"round\"/>\n",
                       x, x + 22, hue);
    out += canvas::label(x + 30, 50, "start", text, "#374151");
    x += 150;
  };
  if (has_reward)
    entry("mean reward", reward_hue);
  if (has_accuracy)
    entry("eval accuracy", accuracy_hue);
  return out;
}

} // namespace

std::string render_plot(std::span<const episode_row> rows,
                        std::string_view title) {
  auto reward = course(rows, &episode_row::mean_reward);
  auto accuracy = course(rows, &episode_row::eval_accuracy);
  auto out = fmt::format(
    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
    "viewBox=\"0 0 {0} {1}\" font-family=\"system-ui, sans-serif\" "
    "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" rx=\"8\" "
    "fill=\"#ffffff\"/>\n<text x=\"{2}\" y=\"28\" font-size=\"16\" "
    "font-weight=\"600\" fill=\"#111827\">{3}</text>\n",
    width, height, left, escape(title));
  if (reward.empty() && accuracy.empty()) {
    out += canvas::label(width / 2, height / 2, "middle",
                         "no values were recorded", "#6b7280");
    return out + "</svg>\n";
  }
  auto last_episode = 1.0;
  for (const auto& points : {reward, accuracy})
    if (!points.empty())
      last_episode = std::max(last_episode, points.back().episode);
  auto x = axis_for(0, last_episode, 8);
  x.last = last_episode;
  axis unit{0, 1, 0.2};
  auto y = unit;
  if (!reward.empty()) {
    auto less = [](const point& a, const point& b) {
      return a.value < b.value;
    };
    auto [least, most] = std::minmax_element(reward.begin(), reward.end(),
                                             less);
    // Rewards that are shares are read best against all of 0 to 1.
    if (least->value < 0 || most->value > 1)
      y = axis_for(least->value, most->value, 5);
  }
  canvas paper{x, y};
  paper.grid(out, !reward.empty());
  out += legend(!reward.empty(), !accuracy.empty());
  if (!reward.empty()) {
    paper.line(out, reward, y,
               fmt::format("stroke=\"{}\" stroke-width=\"1\" "
                           "stroke-opacity=\"0.3\"",
                           reward_hue));
    paper.line(out, smoothed(reward), y,
               fmt::format("stroke=\"{}\" stroke-width=\"2.5\"", reward_hue));
  }
  if (!accuracy.empty()) {
    for (auto i = 0; i <= 5; ++i)
      out += canvas::label(width - right + 10, canvas::down(unit, i * 0.2) + 4,
                           "start", fmt::format("{} %", i * 20), accuracy_hue);
    paper.line(out, accuracy, unit,
               fmt::format("stroke=\"{}\" stroke-width=\"2.5\"", accuracy_hue));
    if (accuracy.size() <= 60)
      paper.dots(out, accuracy, unit, accuracy_hue);
  }
  return out + "</svg>\n";
}

result<void> write_plot(const std::filesystem::path& file,
                        std::span<const episode_row> rows,
                        std::string_view title) {
  return write_file(file, render_plot(rows, title));
}

} // namespace troupe::console
