// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/text.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/core/units.hpp"
#include "troupe/planner/report/text_layout.hpp"

namespace troupe::planner::report {

namespace {

constexpr std::size_t pack_width = 5;
constexpr std::size_t memory_width = 24;
constexpr std::size_t name_width = 11;

class text_report {
public:
  text_report(const plan_inputs& inputs, const text_options& options)
    : in_(inputs),
      options_(options),
      view_(inputs) {
    options_.width = std::max<std::size_t>(options_.width, 60);
    collapse_ = view_.rows.size() > options_.max_rows;
    // Room for a range of the largest numbers.
    auto digits = fmt::format("{}", view_.rows.size()).size();
    device_width_ = std::max<std::size_t>(7, 2 * digits + 2);
  }

  std::string whole() {
    summary();
    table();
    packs();
    cpu_models();
    why();
    syncs();
    prediction();
    memory();
    warnings();
    return std::move(out_);
  }

  std::string one(std::size_t model) {
    const auto& place = in_.plan.models[model];
    model_lines(model);
    if (!place.colocated.empty())
      item(fmt::format("shares devices with {}",
                       fmt::join(place.colocated, ", ")));
    if (place.reversed)
      item("its order inside a node is reversed: its rank i does not share a "
           "device with rank i of the model whose weights it follows");
    where(place);
    model_memory(model);
    if (in_.prediction != nullptr) {
      for (const auto& time : in_.prediction->models)
        if (time.name == place.name)
          item(fmt::format("busy for {} in an episode{}; slowest link of its "
                           "tensor groups: {}",
                           format_seconds(time.total()),
                           time.offload_seconds > 0
                             ? fmt::format(" ({} of it for offload)",
                                           format_seconds(time.offload_seconds))
                             : "",
                           planner::to_string(time.links.tensor)));
      for (const auto& sync : in_.prediction->syncs)
        if (sync.source == place.name || sync.destination == place.name)
          sync_lines(sync);
    }
    return std::move(out_);
  }

private:
  // -- lines -----------------------------------------------------------------

  void line(std::string_view text = {}) {
    out_ += text;
    out_ += '\n';
  }

  void heading(std::string_view text) {
    line();
    line(paint(text, style::title, options_.colour));
  }

  /// Wrapped, `- ` before the first line.
  void item(std::string_view text, style how = style::plain,
            std::string_view mark = "  - ") {
    // Wrapping would drop the mark's spaces: it works on what follows them.
    auto lines = wrap(printable(text), options_.width - mark.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      auto head = i == 0 ? std::string{mark} : std::string(mark.size(), ' ');
      line(paint(fmt::format("{}{}", head, lines[i]), how, options_.colour));
    }
  }

  std::string name_of(std::size_t model) const {
    return printable(in_.plan.models[model].name);
  }

  // -- the table -------------------------------------------------------------

  void summary() {
    auto text = fmt::format("Plan: {} on {} of {}, placement {}",
                            counted(in_.plan.models.size(), "model"),
                            counted(view_.rows.size(), "device"),
                            counted(in_.machines.nodes.size(), "node"),
                            in_.job.order == placement_order::reversed
                              ? "reversed"
                              : "aligned");
    for (const auto& part : wrap(text, options_.width, 2))
      line(paint(part, style::title, options_.colour));
  }

  bool shows_memory() const { return in_.memory != nullptr; }

  std::size_t cell_width(std::size_t model) const {
    std::size_t width = 5;
    for (const auto& row : view_.rows)
      width = std::max(width, width_of(cell_text(row, model)));
    return std::min(std::max(width,
                             std::min(name_width, width_of(name_of(model)))),
                    options_.width - device_width_ - pack_width - 2);
  }

  static std::string cell_text(const device_row& row, std::size_t model) {
    std::string text;
    for (const auto& x : row.cells)
      if (x.model == model) {
        if (!text.empty())
          text += ',';
        text += to_string(x);
      }
    return text.empty() ? "." : text;
  }

  /// Columns that fit side by side; the last block also holds the memory.
  std::vector<std::vector<std::size_t>> blocks() const {
    std::vector<std::vector<std::size_t>> all(1);
    auto room = options_.width - device_width_ - pack_width;
    std::size_t used = 0;
    for (auto model : view_.device_models) {
      auto width = cell_width(model) + 2;
      if (used + width > room && !all.back().empty()) {
        all.emplace_back();
        used = 0;
      }
      all.back().push_back(model);
      used += width;
    }
    if (shows_memory() && used + memory_width > room)
      all.emplace_back();
    return all;
  }

  void table() {
    if (view_.rows.empty())
      return;
    auto all = blocks();
    for (std::size_t i = 0; i < all.size(); ++i) {
      line();
      block(all[i], shows_memory() && i + 1 == all.size());
    }
  }

  void block(const std::vector<std::size_t>& models, bool with_memory) {
    std::vector<std::size_t> widths;
    std::vector<std::vector<std::string>> heads;
    std::size_t height = 1;
    for (auto model : models) {
      widths.push_back(cell_width(model));
      heads.push_back(wrap_name(name_of(model), widths.back()));
      if (in_.plan.models[model].reversed)
        heads.back().push_back("<rev>");
      height = std::max(height, heads.back().size());
    }
    for (std::size_t i = 0; i < height; ++i) {
      auto last = i + 1 == height;
      auto text = fit_right(last ? "device" : "", device_width_ - 1) + ' '
                  + fit(last ? "pack" : "", pack_width);
      for (std::size_t m = 0; m < models.size(); ++m) {
        auto skip = height - heads[m].size();
        auto part = fit(i >= skip ? heads[m][i - skip] : "", widths[m]);
        text += paint(part, style::model, options_.colour, models[m]) + "  ";
      }
      if (with_memory && last)
        text += "memory, fullest phase";
      trimmed(std::move(text));
    }
    body(models, widths, with_memory);
  }

  /// Rows that would print alike are folded: equal ones always, ones of the
  /// same pack in the middle of a long run on large clusters.
  void body(const std::vector<std::size_t>& models,
            const std::vector<std::size_t>& widths, bool with_memory) {
    auto nodes = in_.machines.nodes.size();
    std::size_t begin = 0;
    std::size_t folded = 0;
    for (std::size_t node = 0; node < nodes; ++node) {
      auto end = begin + in_.machines.nodes[node].devices.size();
      if (collapse_ && node > 0 && node + 1 < nodes
          && alike(begin, end - begin)) {
        ++folded;
      } else {
        end_fold(folded);
        node_head(node);
        rows(begin, end, models, widths, with_memory);
      }
      begin = end;
    }
    end_fold(folded);
  }

  void end_fold(std::size_t& folded) {
    if (folded > 0)
      line(paint(fmt::format("  ... {} with the same packs",
                             counted(folded, "node")),
                 style::faint, options_.colour));
    folded = 0;
  }

  /// The node that begins at row `begin` has the packs of the one before it.
  bool alike(std::size_t begin, std::size_t count) const {
    if (count == 0 || begin < count)
      return false;
    for (std::size_t i = begin; i < begin + count; ++i) {
      const auto& a = view_.rows[i];
      const auto& b = view_.rows[i - count];
      if (a.pack != b.pack || a.peak != b.peak || a.limit != b.limit)
        return false;
    }
    return true;
  }

  void node_head(std::size_t node) {
    const auto& spec = in_.machines.nodes[node];
    auto text = fmt::format("{}{}", printable(spec.name),
                            spec.num_cpu > 0
                              ? fmt::format(" ({} cores)", spec.num_cpu)
                              : "");
    line(
      paint(wrap(text, options_.width).front(), style::faint, options_.colour));
  }

  void rows(std::size_t begin, std::size_t end,
            const std::vector<std::size_t>& models,
            const std::vector<std::size_t>& widths, bool with_memory) {
    for (auto i = begin; i < end;) {
      const auto& row = view_.rows[i];
      auto last = i + 1;
      while (last < end && same_row(row, view_.rows[last], models.empty()))
        ++last;
      auto run = last;
      if (collapse_)
        while (run < end && view_.rows[run].pack == row.pack
               && view_.rows[run].peak == row.peak)
          ++run;
      one_row(i, last - 1, models, widths, with_memory);
      constexpr std::size_t long_run = 16;
      if (run - last > long_run) {
        line(paint(fmt::format("  ... {} devices with the same pack",
                               run - last - 1),
                   style::faint, options_.colour));
        last = run - 1;
      }
      i = last;
    }
  }

  static bool same_row(const device_row& a, const device_row& b,
                       bool memory_only) {
    return (memory_only ? a.pack == b.pack : a.cells == b.cells)
           && a.peak == b.peak && a.limit == b.limit;
  }

  void one_row(std::size_t from, std::size_t to,
               const std::vector<std::size_t>& models,
               const std::vector<std::size_t>& widths, bool with_memory) {
    const auto& row = view_.rows[from];
    auto id = from == to ? fmt::format("{}", from)
                         : fmt::format("{}-{}", from, to);
    auto pack = row.pack < 0
                  ? std::string{"-"}
                  : view_.packs[static_cast<std::size_t>(row.pack)].name;
    auto text = fit_right(id, device_width_ - 1) + ' ' + fit(pack, pack_width);
    for (std::size_t m = 0; m < models.size(); ++m) {
      auto cell = cell_text(row, models[m]);
      auto how = cell == "." ? style::faint : style::model;
      text += paint(fit(cell, widths[m]), how, options_.colour, models[m])
              + "  ";
    }
    if (with_memory)
      text += memory_text(row);
    trimmed(std::move(text));
  }

  std::string memory_text(const device_row& row) const {
    auto gibs = [](std::uint64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(gib);
    };
    if (row.limit == 0)
      return row.peak == 0 ? "" : fmt::format("{:.1f} GiB", gibs(row.peak));
    auto part = gibs(row.peak) / gibs(row.limit);
    auto text = fmt::format("{} {:.1f}/{:.0f}G", bar(part, 10), gibs(row.peak),
                            gibs(row.limit));
    auto how = part > 1 ? style::bad
                        : (part > 0.9 ? style::warning : style::good);
    return paint(fit(text, memory_width), how, options_.colour);
  }

  void trimmed(std::string text) {
    text.erase(text.find_last_not_of(' ') + 1);
    line(text);
  }

  // -- sections ---------------------------------------------------------------

  void packs() {
    if (view_.packs.empty())
      return;
    heading("Packs (models that share devices)");
    for (const auto& x : view_.packs) {
      std::vector<std::string> names;
      for (auto model : x.models)
        names.push_back(name_of(model));
      item(fmt::format("{} on {}", fmt::join(names, ", "),
                       counted(static_cast<std::uint64_t>(x.num_device),
                               "device")),
           style::plain, fmt::format("  {}: ", x.name));
    }
    auto idle = std::count_if(view_.rows.begin(), view_.rows.end(),
                              [](const auto& x) { return x.pack < 0; });
    if (idle > 0)
      item(fmt::format("nobody on {}",
                       counted(static_cast<std::uint64_t>(idle), "device")),
           style::plain, "  -: ");
  }

  void cpu_models() {
    if (view_.cpu_models.empty())
      return;
    heading("On CPU");
    for (auto model : view_.cpu_models) {
      const auto& place = in_.plan.models[model];
      std::vector<std::int32_t> count(in_.machines.nodes.size());
      for (const auto& replica : place.replicas)
        for (const auto& rank : replica.ranks)
          if (auto node = static_cast<std::size_t>(rank.node.value());
              node < count.size())
            ++count[node];
      std::vector<std::string> parts;
      for (std::size_t i = 0; i < count.size() && parts.size() < 8; ++i)
        if (count[i] > 0)
          parts.push_back(
            fmt::format("{} on {}", count[i], in_.machines.nodes[i].name));
      item(fmt::format("{}: {}: {}", place.name,
                       counted(place.replicas.size(), "replica"),
                       fmt::join(parts, ", ")));
    }
  }

  void model_lines(std::size_t model) {
    const auto& place = in_.plan.models[model];
    const auto* spec = find_spec(in_.job, place.name);
    auto lines = wrap(fmt::format("{} ({})", printable(place.name),
                                  spec != nullptr ? describe(*spec) : ""),
                      options_.width - 2, 2);
    for (const auto& text : lines)
      line(
        fmt::format("  {}", paint(text, style::model, options_.colour, model)));
    for (const auto& reason : place.reasons)
      item(reason, style::plain, "    - ");
  }

  void why() {
    if (in_.plan.models.empty())
      return;
    heading("Why each model is where it is");
    for (std::size_t i = 0; i < in_.plan.models.size(); ++i)
      model_lines(i);
  }

  void where(const model_place& place) {
    constexpr std::size_t most = 16;
    for (std::size_t i = 0; i < place.replicas.size() && i < most; ++i) {
      std::vector<std::string> parts;
      for (const auto& rank : place.replicas[i].ranks) {
        std::vector<std::int32_t> ids;
        for (auto device : rank.devices)
          ids.push_back(device.value());
        parts.push_back(ids.empty() ? fmt::format("node {}", rank.node.value())
                                    : fmt::format("{}", fmt::join(ids, "+")));
        if (parts.size() == 64) {
          parts.push_back("...");
          break;
        }
      }
      item(fmt::format("replica {}: {} {}", i,
                       parts.size() == 1 ? "device" : "devices of its ranks:",
                       fmt::join(parts, " ")));
    }
    if (place.replicas.size() > most)
      item(fmt::format("... {} more replicas", place.replicas.size() - most));
  }

  void model_memory(std::size_t model) {
    if (in_.memory == nullptr)
      return;
    for (const auto& device : in_.memory->devices)
      for (const auto& use : device.models)
        if (use.model == model) {
          auto most = std::max_element(use.active.begin(), use.active.end(),
                                       [](const auto& a, const auto& b) {
                                         return a.total() < b.total();
                                       });
          item(fmt::format("on device {}: at most {} (in {}), at rest {}: {}",
                           device.device.value(), format_bytes(most->total()),
                           planner::to_string(
                             static_cast<phase>(most - use.active.begin())),
                           format_bytes(use.idle.total()), parts_text(*most)));
          return;
        }
  }

  static std::string parts_text(const memory_parts& x) {
    std::vector<std::string> parts;
    auto add = [&parts](std::string_view name, std::uint64_t bytes) {
      if (bytes > 0)
        parts.push_back(fmt::format("{} {}", name, format_bytes(bytes)));
    };
    add("weights", x.weights);
    add("gradients", x.gradients);
    add("optimizer", x.optimizer);
    add("activations", x.activations);
    add("KV cache", x.kv_cache);
    add("staging", x.staging);
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  void sync_lines(const sync_prediction& sync) {
    item(fmt::format("{} -> {}: {} in {}, by {}; the {} link takes the longest",
                     sync.source, sync.destination, format_bytes(sync.bytes),
                     format_seconds(sync.seconds), describe_links(sync),
                     planner::to_string(sync.slowest)));
  }

  void syncs() {
    if (in_.job.syncs.empty())
      return;
    heading("Weight sync");
    for (const auto& pair : in_.job.syncs) {
      const sync_prediction* known = nullptr;
      if (in_.prediction != nullptr)
        for (const auto& x : in_.prediction->syncs)
          if (x.source == pair.source && x.destination == pair.destination)
            known = &x;
      if (known != nullptr)
        sync_lines(*known);
      else
        item(fmt::format("{} -> {}: bytes unknown (no parameter counts)",
                         pair.source, pair.destination));
    }
  }

  void prediction() {
    if (in_.prediction == nullptr)
      return;
    const auto& x = *in_.prediction;
    heading("Predicted episode");
    auto row = [this, &x](std::string_view name, double seconds) {
      auto part = x.total() > 0 ? seconds / x.total() : 0;
      line(fmt::format("  {} {} {}", fit(name, 24),
                       fit_right(format_seconds(seconds), 12), bar(part, 18)));
    };
    row("generation and scoring", x.generation_seconds);
    row("training", x.training_seconds);
    row("weight sync", x.sync_seconds);
    row("together", x.total());
    for (const auto& time : x.models)
      item(fmt::format("{}: busy for {}{}", time.name,
                       format_seconds(time.total()),
                       time.offload_seconds > 0
                         ? fmt::format(", {} of it for offload",
                                       format_seconds(time.offload_seconds))
                         : ""));
  }

  void memory() {
    if (in_.memory == nullptr || in_.memory->devices.empty())
      return;
    heading("Memory of the fullest device");
    for (auto when : all_phases) {
      auto i = static_cast<std::size_t>(when);
      auto most = std::max_element(in_.memory->devices.begin(),
                                   in_.memory->devices.end(),
                                   [i](const auto& a, const auto& b) {
                                     return a.bytes[i] < b.bytes[i];
                                   });
      item(fmt::format("{}: {}{} on device {}", planner::to_string(when),
                       format_bytes(most->bytes[i]),
                       most->limit > 0
                         ? fmt::format(" of {}", format_bytes(most->limit))
                         : "",
                       most->device.value()),
           most->fits() ? style::plain : style::bad);
    }
    if (!in_.memory->unknown.empty())
      item(fmt::format("not counted, for want of parameter counts: {}",
                       fmt::join(in_.memory->unknown, ", ")),
           style::warning);
  }

  void warnings() {
    if (in_.plan.warnings.empty())
      return;
    heading("Warnings");
    for (const auto& x : in_.plan.warnings)
      item(x, style::warning, "  ! ");
  }

  const plan_inputs& in_;
  text_options options_;
  plan_view view_;
  bool collapse_ = false;
  std::size_t device_width_ = 7;
  std::string out_;
};

} // namespace

std::string render_text(const plan_inputs& inputs,
                        const text_options& options) {
  return text_report{inputs, options}.whole();
}

result<std::string> explain(const plan_inputs& inputs, std::string_view model,
                            const text_options& options) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < inputs.plan.models.size(); ++i) {
    if (inputs.plan.models[i].name == model)
      return text_report{inputs, options}.one(i);
    names.push_back(inputs.plan.models[i].name);
  }
  return fail(errc::invalid,
              fmt::format("there is no model {}; the plan has {}", model,
                          fmt::join(names, ", ")));
}

} // namespace troupe::planner::report
