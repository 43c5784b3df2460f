// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/svg.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/core/units.hpp"
#include "troupe/planner/report/text_layout.hpp"

namespace troupe::planner::report {

namespace {

struct tone {
  const char* fill;
  const char* edge;
};

/// Light enough for dark text, far enough apart for most colour-blind eyes.
constexpr std::array<tone, 8> tones{{
  {"#a9c8ee", "#3b6ea8"},
  {"#f6c79a", "#b4692a"},
  {"#b5dfb4", "#3f8a45"},
  {"#e3bbe4", "#8c4a91"},
  {"#f3b3b6", "#ad4148"},
  {"#f0e09a", "#98821f"},
  {"#a9e0dc", "#2b837c"},
  {"#d0cbc2", "#6d665a"},
}};

constexpr double margin = 28;
constexpr double gap = 10;
constexpr double stripe = 24;
constexpr double head = 26;
constexpr double foot = 34;

std::string escape(std::string_view text) {
  std::string out;
  for (char c : printable(text))
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c; break;
    }
  return out;
}

class drawing {
public:
  drawing(const plan_inputs& inputs, const svg_options& options)
    : in_(inputs),
      options_(options),
      view_(inputs) {
    width_ = static_cast<double>(std::max<std::size_t>(options.width, 480));
  }

  std::string draw() {
    title();
    legend();
    nodes();
    syncs();
    episode();
    auto height = y_ + margin - gap;
    return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
      "<title>Placement of {2} models on {3} devices</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fbfaf7\"/>\n{4}</svg>\n",
      width_, height, in_.plan.models.size(), view_.rows.size(), body_);
  }

private:
  void text(double x, double y, std::string_view what, double size,
            std::string_view fill = "#2b2b2b", std::string_view more = "") {
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" "
                         "fill=\"{}\"{}{}>{}</text>\n",
                         x, y, size, fill, more.empty() ? "" : " ", more,
                         escape(what));
  }

  void box(double x, double y, double w, double h, std::string_view fill,
           std::string_view edge, double radius) {
    body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
                         "height=\"{:.1f}\" rx=\"{}\" fill=\"{}\"{}/>\n",
                         x, y, w, h, radius, fill,
                         edge.empty() ? std::string{}
                                      : fmt::format(" stroke=\"{}\"", edge));
  }

  /// Cut to `room` pixels at `size`; letters are about 0.55 of it wide.
  static std::string cut(std::string_view what, double room, double size) {
    auto columns = static_cast<std::size_t>(
      std::max(1.0, room / (size * 0.56)));
    return width_of(what) <= columns ? std::string{what} : fit(what, columns);
  }

  void title() {
    y_ = margin + 14;
    text(margin, y_,
         fmt::format("{} on {}", counted(in_.plan.models.size(), "model"),
                     counted(view_.rows.size(), "device")),
         21, "#1d1d1d", "font-weight=\"bold\"");
    y_ += 20;
    auto line = fmt::format("{}, placement {}",
                            counted(in_.machines.nodes.size(), "node"),
                            in_.job.order == placement_order::reversed
                              ? "reversed"
                              : "aligned");
    if (in_.prediction != nullptr)
      line += fmt::format(", predicted episode {}",
                          format_seconds(in_.prediction->total()));
    text(margin, y_, line, 13, "#6b6862");
    y_ += 18;
  }

  void legend() {
    auto column = (width_ - 2 * margin) / 2;
    for (std::size_t i = 0; i < in_.plan.models.size(); ++i) {
      auto x = margin + (i % 2 == 0 ? 0 : column);
      if (i % 2 == 0)
        y_ += i == 0 ? 0 : 22;
      const auto& tone = tones[i % tones.size()];
      box(x, y_, 14, 14, tone.fill, tone.edge, 3);
      const auto& place = in_.plan.models[i];
      const auto* spec = find_spec(in_.job, place.name);
      auto name = cut(place.name, column * 0.35, 13);
      text(x + 21, y_ + 12, name, 13, "#2b2b2b", "font-weight=\"bold\"");
      auto used = static_cast<double>(width_of(name)) * 13 * 0.6 + 32;
      auto about = spec == nullptr ? std::string{} : describe(*spec);
      if (place.reversed)
        about += ", reversed";
      text(x + used, y_ + 12, cut(about, column - used - 8, 12), 12, "#6b6862");
    }
    y_ += 32;
  }

  void nodes() {
    auto inner = width_ - 2 * margin - 2 * gap;
    std::size_t begin = 0;
    auto shown = std::min(in_.machines.nodes.size(), options_.max_nodes);
    for (std::size_t n = 0; n < in_.machines.nodes.size(); ++n) {
      auto count = in_.machines.nodes[n].devices.size();
      if (n < shown) {
        std::size_t slots = 1;
        for (std::size_t i = begin; i < begin + count; ++i)
          slots = std::max(slots, view_.rows[i].cells.size());
        auto card = head + static_cast<double>(slots) * (stripe + 4) + foot;
        auto columns = std::clamp<std::size_t>(count, 1, 8);
        auto lines = std::max<std::size_t>(1, (count + columns - 1) / columns);
        auto height = 34 + static_cast<double>(lines) * (card + gap);
        box(margin, y_, width_ - 2 * margin, height, "#f1eee7", "#d9d4c8", 9);
        text(margin + gap + 2, y_ + 22, node_text(in_.machines.nodes[n]), 13,
             "#4d4a44", "font-weight=\"bold\"");
        // Four columns at least keep the cards of small nodes in shape.
        auto cells = std::max<std::size_t>(columns, 4);
        auto width = (inner - gap * static_cast<double>(cells - 1))
                     / static_cast<double>(cells);
        for (std::size_t i = 0; i < count; ++i)
          device(margin + gap
                   + static_cast<double>(i % columns) * (width + gap),
                 y_ + 34 + static_cast<double>(i / columns) * (card + gap),
                 width, card, view_.rows[begin + i]);
        y_ += height + gap;
      }
      begin += count;
    }
    if (shown < in_.machines.nodes.size()) {
      text(margin, y_ + 12,
           fmt::format("... and {} more nodes",
                       in_.machines.nodes.size() - shown),
           13, "#6b6862");
      y_ += 26;
    }
    y_ += 6;
  }

  static std::string node_text(const node_spec& node) {
    auto out = node.name;
    if (node.num_cpu > 0)
      out += fmt::format(", {} cores", node.num_cpu);
    if (node.num_nic > 1)
      out += fmt::format(", {} NICs", node.num_nic);
    return out;
  }

  void device(double x, double y, double w, double h, const device_row& row) {
    box(x, y, w, h, "#ffffff", "#cfc9bc", 6);
    text(x + 9, y + 18, fmt::format("{}", row.device.value()), 13, "#2b2b2b",
         "font-weight=\"bold\"");
    if (row.pack >= 0)
      text(x + w - 9, y + 18,
           fmt::format("pack {}",
                       view_.packs[static_cast<std::size_t>(row.pack)].name),
           11, "#8a867d", "text-anchor=\"end\"");
    auto top = y + head;
    for (const auto& cell : row.cells) {
      const auto& tone = tones[cell.model % tones.size()];
      box(x + 7, top, w - 14, stripe, tone.fill, tone.edge, 4);
      auto id = to_string(cell);
      auto room = w - 14 - 16 - static_cast<double>(id.size()) * 7;
      text(x + 13, top + 16, cut(in_.plan.models[cell.model].name, room, 11),
           11);
      text(x + w - 13, top + 16, id, 11, tone.edge,
           "text-anchor=\"end\" font-weight=\"bold\"");
      top += stripe + 4;
    }
    if (row.cells.empty())
      text(x + w / 2, y + h / 2, "free", 12, "#a5a197",
           "text-anchor=\"middle\"");
    memory(x + 7, y + h - foot + 8, w - 14, row);
  }

  void memory(double x, double y, double w, const device_row& row) {
    if (row.peak == 0)
      return;
    auto gibs = [](std::uint64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(gib);
    };
    if (row.limit == 0) {
      text(x, y + 18, fmt::format("{:.1f} GiB", gibs(row.peak)), 10.5,
           "#6b6862");
      return;
    }
    auto part = gibs(row.peak) / gibs(row.limit);
    auto colour = part > 1 ? "#c0392b" : (part > 0.9 ? "#d68910" : "#5b8c5a");
    box(x, y, w, 6, "#e8e4da", "", 3);
    box(x, y, std::max(3.0, w * std::min(1.0, part)), 6, colour, "", 3);
    text(x, y + 19,
         fmt::format("{:.1f} of {:.0f} GiB", gibs(row.peak), gibs(row.limit)),
         10.5, part > 1 ? "#c0392b" : "#6b6862");
  }

  void syncs() {
    if (in_.prediction == nullptr || in_.prediction->syncs.empty())
      return;
    text(margin, y_ + 14, "Weight sync", 14, "#2b2b2b", "font-weight=\"bold\"");
    y_ += 26;
    for (const auto& sync : in_.prediction->syncs) {
      auto from = tone_of(sync.source);
      auto to = tone_of(sync.destination);
      auto half = 150.0;
      box(margin, y_, half, 24, from.fill, from.edge, 5);
      text(margin + 9, y_ + 16, cut(sync.source, half - 16, 12), 12);
      auto start = margin + half + 6;
      body_ += fmt::
        format("<path d=\"M{0:.1f} {1:.1f} H{2:.1f} m-7 -5 l7 5 l-7 5\" "
               "fill=\"none\" stroke=\"#6b6862\" stroke-width=\"1.6\"/>\n",
               start, y_ + 12, start + 46);
      auto right = start + 54;
      box(right, y_, half, 24, to.fill, to.edge, 5);
      text(right + 9, y_ + 16, cut(sync.destination, half - 16, 12), 12);
      text(right + half + 14, y_ + 16,
           cut(fmt::format("{} in {} by {}", format_bytes(sync.bytes),
                           format_seconds(sync.seconds), describe_links(sync)),
               width_ - margin - right - half - 14, 12),
           12, "#4d4a44");
      y_ += 32;
    }
    y_ += 8;
  }

  tone tone_of(std::string_view name) const {
    for (std::size_t i = 0; i < in_.plan.models.size(); ++i)
      if (in_.plan.models[i].name == name)
        return tones[i % tones.size()];
    return tones.back();
  }

  void episode() {
    if (in_.prediction == nullptr || in_.prediction->total() <= 0)
      return;
    const auto& x = *in_.prediction;
    text(margin, y_ + 14, "Predicted episode", 14, "#2b2b2b",
         "font-weight=\"bold\"");
    y_ += 24;
    struct part {
      const char* name;
      double seconds;
      const char* fill;
    };
    const std::array<part, 3> parts{{
      {"generation and scoring", x.generation_seconds, "#9db8d2"},
      {"training", x.training_seconds, "#e0b48a"},
      {"weight sync", x.sync_seconds, "#b9b2c9"},
    }};
    auto left = margin;
    auto room = width_ - 2 * margin;
    for (const auto& p : parts) {
      auto w = room * p.seconds / x.total();
      box(left, y_, std::max(w, 1.0), 22, p.fill, "", 2);
      left += w;
    }
    y_ += 38;
    left = margin;
    for (const auto& p : parts) {
      auto label = fmt::format("{} {}", p.name, format_seconds(p.seconds));
      box(left, y_ - 10, 12, 12, p.fill, "", 2);
      text(left + 18, y_, label, 12, "#4d4a44");
      left += 42 + static_cast<double>(label.size()) * 6.6;
    }
    y_ += 14;
  }

  const plan_inputs& in_;
  const svg_options& options_;
  plan_view view_;
  double width_ = 0;
  double y_ = 0;
  std::string body_;
};

} // namespace

std::string render_svg(const plan_inputs& inputs, const svg_options& options) {
  return drawing{inputs, options}.draw();
}

} // namespace troupe::planner::report
