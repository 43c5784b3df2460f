// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_route.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "troupe/core/units.hpp"
#include "troupe/planner/weights/compile.hpp"
#include "troupe/planner/weights/reshard.hpp"
#include "troupe/planner/weights/two_stage.hpp"
#include "troupe/planner/weights/unclaimed.hpp"
#include "troupe/planner/weights/verify.hpp"

namespace troupe::sync {

namespace weights = planner::weights;
using protocol::parameter_info;
using protocol::worker_manifest;

namespace {

/// A plan's problems that an error names; the log gets all.
constexpr std::size_t problems_max = 4;

result<weight_segment> segment_of(const protocol::parameter_segment& x) {
  auto where = box::make(x.begin, x.end);
  if (!where)
    return fail(where.error());
  return weight_segment{x.logical, *where, x.local_begin};
}

std::set<std::string> trainable_names(const protocol::manifests& source) {
  std::set<std::string> out;
  for (const auto& rank : source.items)
    for (const auto& x : rank.parameters)
      if (x.requires_grad) {
        if (x.segments.empty())
          out.insert(x.name);
        for (const auto& segment : x.segments)
          out.insert(segment.logical);
      }
  return out;
}

/// Null: everything is moved.
using moved_names = const std::set<std::string>*;

result<stored_tensor> tensor_of(const parameter_info& x, moved_names moved) {
  stored_tensor out{x.name, x.type, x.extents, {}};
  auto keep = [&](weight_segment segment) {
    if (!moved || moved->count(segment.logical) > 0)
      out.segments.push_back(std::move(segment));
  };
  if (x.segments.empty()) {
    auto whole = whole_segment(x.name, x.extents);
    if (!whole)
      return fail(whole.error());
    keep(std::move(*whole));
  }
  for (const auto& y : x.segments) {
    auto segment = segment_of(y);
    if (!segment)
      return fail(segment.error());
    keep(std::move(*segment));
  }
  return out;
}

/// Numbers the processes of both models: what a planner takes for devices, so
/// that equal ones share an address space.
class process_numbers {
public:
  device_id of(const worker_manifest& x) {
    std::pair key{x.host.node, x.pid};
    auto next = static_cast<std::int32_t>(known_.size());
    return device_id{known_.try_emplace(key, next).first->second};
  }

private:
  std::map<std::pair<node_id, std::int32_t>, std::int32_t> known_;
};

result<weights::shared_layout> layout_of(const protocol::manifests& xs,
                                         moved_names moved,
                                         process_numbers& processes) {
  weight_layout out;
  if (xs.items.empty())
    return fail(errc::invalid, "a model has no ranks");
  out.model = xs.items.front().worker.model;
  for (const auto& x : xs.items) {
    rank_layout rank;
    rank.rank = rank_id{static_cast<std::int32_t>(out.ranks.size())};
    rank.node = x.host.node;
    rank.device = processes.of(x);
    for (const auto& parameter : x.parameters) {
      auto tensor = tensor_of(parameter, moved);
      if (!tensor)
        return fail(tensor.error().within(fmt::format("{}, parameter '{}'",
                                                      to_string(x.worker),
                                                      parameter.name)));
      rank.tensors.push_back(std::move(*tensor));
    }
    out.ranks.push_back(std::move(rank));
  }
  return weights::shared_layout::make(std::move(out));
}

result<transfer_plan> make_plan(const std::string& planner,
                                const weights::shared_layout& source,
                                const weights::shared_layout& destination) {
  if (planner == "reshard")
    return weights::reshard(source, destination);
  if (planner == "two_stage")
    return weights::two_stage(source, destination);
  return fail(errc::invalid, fmt::format("there is no planner '{}'; known: "
                                         "reshard, two_stage",
                                         planner));
}

/// What joins two ranks of which both or none hold their tensors on a device;
/// `link` is what joins their processes.
link_kind device_link(link_kind link, const worker_manifest& from,
                      const worker_manifest& to,
                      const protocol::sync_options& options) {
  if (from.device.empty() || to.device.empty())
    return link;
  auto network = options.link != "auto";
  if (link == link_kind::inproc && !network)
    return link_kind::cuda;
  if (link == link_kind::shm && from.device == to.device && !network)
    return link_kind::cuda_ipc;
  return link_kind::nccl;
}

/// Between tensors on devices bytes go from device to device.
result<void> use_devices(transfer_plan& plan,
                         const protocol::sync_options& options,
                         const protocol::manifests& source,
                         const protocol::manifests& destination,
                         std::vector<std::string>& rejected) {
  auto at = [](const protocol::manifests& side, rank_id rank) -> const auto& {
    return side.items[static_cast<std::size_t>(rank.value())];
  };
  std::vector<planned_transfer> out;
  for (auto& x : plan.transfers) {
    const auto& from = at(source, x.source);
    std::map<link_kind, std::vector<rank_id>> by_link;
    for (auto rank : x.destinations) {
      const auto& to = at(destination, rank);
      if (from.device.empty() != to.device.empty())
        return fail(errc::invalid,
                    fmt::format("{} holds its weights {} and {} {}: let both "
                                "keep them in one kind of memory",
                                to_string(from.worker),
                                from.device.empty() ? "in the host's memory"
                                                    : "on a device",
                                to_string(to.worker),
                                to.device.empty() ? "in the host's memory"
                                                  : "on a device"));
      by_link[device_link(x.link, from, to, options)].push_back(rank);
    }
    for (auto& [link, ranks] : by_link) {
      auto part = x;
      part.link = link;
      part.destinations = std::move(ranks);
      out.push_back(std::move(part));
    }
  }
  if (options.link != "auto"
      && std::any_of(out.begin(), out.end(),
                     [](const auto& x) { return x.link == link_kind::nccl; }))
    rejected.push_back(
      fmt::format("cuda and cuda_ipc are not used: sync_link is {}",
                  options.link));
  plan.transfers = std::move(out);
  return {};
}

const std::string& model_of(const protocol::manifests& x) {
  return x.items.front().worker.model;
}

/// Nothing would be moved, and everything be called equal.
result<void> check_not_empty(const protocol::manifests& xs,
                             std::string_view what) {
  auto holds = [](const parameter_info& x) {
    return std::ranges::find(x.extents, 0) == x.extents.end();
  };
  for (const auto& x : xs.items)
    if (std::ranges::any_of(x.parameters, holds))
      return {};
  return fail(errc::invalid,
              fmt::format("no rank of {} lists parameters, so {}: let "
                          "parameters() of its module return its weights",
                          model_of(xs), what));
}

/// Replaces links that the configuration or a process rules out.
void rule_out(transfer_plan& plan, const protocol::sync_options& options,
              const protocol::manifests& source,
              const protocol::manifests& destination,
              std::vector<std::string>& rejected) {
  auto on_devices = !source.items.front().device.empty();
  if (options.link != "auto" && !on_devices) {
    rejected.emplace_back("inproc and shm are not used: sync_link is "
                          + options.link);
    for (auto& x : plan.transfers)
      x.link = link_kind::gloo;
    return;
  }
  std::set<std::string> reasons;
  auto has_shm = [&](const protocol::manifests& side, rank_id rank) {
    const auto& x = side.items[static_cast<std::size_t>(rank.value())];
    if (!x.without_shm.empty())
      reasons.insert(fmt::format("{} does not use shm: {}", to_string(x.worker),
                                 x.without_shm));
    return x.without_shm.empty();
  };
  std::vector<planned_transfer> others;
  for (auto& x : plan.transfers) {
    if (x.link != link_kind::shm)
      continue;
    if (!has_shm(source, x.source)) {
      x.link = link_kind::gloo;
      continue;
    }
    // Iterators: the ranges of this header are too new for clang 14.
    auto last = x.destinations.end();
    auto rest = std::stable_partition(x.destinations.begin(), last,
                                      [&](rank_id y) {
                                        return has_shm(destination, y);
                                      });
    if (rest == last)
      continue;
    auto other = x;
    other.link = link_kind::gloo;
    other.destinations.assign(rest, last);
    x.destinations.erase(rest, last);
    if (x.destinations.empty())
      x = std::move(other);
    else
      others.push_back(std::move(other));
  }
  std::move(others.begin(), others.end(), std::back_inserter(plan.transfers));
  rejected.insert(rejected.end(), reasons.begin(), reasons.end());
}

std::vector<sync_member> members_of(const protocol::manifests& source,
                                    const protocol::manifests& destination) {
  std::vector<sync_member> out;
  for (const auto& x : source.items)
    out.push_back({x.worker, true, false});
  for (const auto& x : destination.items)
    out.push_back({x.worker, false, false});
  return out;
}

std::uint64_t staged_bytes(const rank_program& program,
                           const worker_manifest& manifest) {
  std::uint64_t out = 0;
  for (const auto& channel : program.receives)
    for (const auto& bucket : channel.buckets)
      for (const auto& part : bucket.parts)
        out += part.wire_bytes / size_of(bucket.wire_type)
               * size_of(manifest.parameters[part.tensor].type);
  return out;
}

void add_channels(sync_route& route, std::size_t sources) {
  for (std::size_t i = 0; i < sources; ++i)
    for (const auto& x : route.programs[i].sends) {
      sync_channel channel;
      channel.source = i;
      channel.destination = sources + static_cast<std::size_t>(x.peer.value());
      channel.source_rank = route.programs[i].rank;
      channel.destination_rank = x.peer;
      channel.link = x.link;
      channel.buckets = x.buckets.size();
      for (const auto& bucket : x.buckets) {
        channel.parts += bucket.parts.size();
        for (const auto& part : bucket.parts)
          channel.bytes += part.wire_bytes;
      }
      route.bytes += channel.bytes;
      route.members[channel.source].moves = true;
      route.members[channel.destination].moves = true;
      route.channels.push_back(channel);
    }
}

} // namespace

result<sync_route> make_route(const std::string& name,
                              const protocol::manifests& source,
                              const protocol::manifests& destination,
                              const protocol::sync_options& options,
                              route_filter filter) {
  auto names = trainable_names(source);
  auto moved = filter == route_filter::trainable ? &names : nullptr;
  process_numbers processes;
  auto from = layout_of(source, moved, processes);
  if (!from)
    return fail(from.error().within("sync " + name + ", source"));
  auto to = layout_of(destination, moved, processes);
  if (!to)
    return fail(to.error().within("sync " + name + ", destination"));
  if (auto good = check_not_empty(source, "it has nothing to give"); !good)
    return fail(good.error().within("sync " + name));
  if (auto good = check_not_empty(destination, "it takes nothing"); !good)
    return fail(good.error().within("sync " + name));
  sync_route out;
  out.program = moved ? name + "/trainable" : name;
  out.members = members_of(source, destination);
  auto plan = make_plan(options.planner, *from, *to);
  if (!plan)
    return fail(plan.error().within("sync " + name));
  auto problems = weights::verify(*plan, *from, *to);
  if (!problems.empty()) {
    auto more = problems.size() > problems_max
                  ? fmt::format("; and {} more", problems.size() - problems_max)
                  : std::string{};
    problems.resize(std::min(problems.size(), problems_max));
    return fail(errc::invalid, fmt::format("sync {}: destination {}: {}{}",
                                           name, model_of(destination),
                                           fmt::join(problems, "; "), more));
  }
  // What does not train was left out on purpose.
  if (!moved)
    if (auto text = weights::unclaimed_text(*from, *to); !text.empty())
      out.warnings.push_back(std::move(text));
  rule_out(*plan, options, source, destination, out.rejected);
  if (auto good = use_devices(*plan, options, source, destination,
                              out.rejected);
      !good)
    return fail(good.error().within("sync " + name));
  weights::compile_options bounds;
  // Two buckets and their headers are under way at least.
  bounds.bucket_bytes = options.buffer_bytes_max / 4;
  auto compiled = weights::compile(*plan, *from, *to, bounds);
  if (!compiled)
    return fail(compiled.error().within("sync " + name));
  auto sources = source.items.size();
  out.programs = std::move(compiled->sources);
  std::move(compiled->destinations.begin(), compiled->destinations.end(),
            std::back_inserter(out.programs));
  add_channels(out, sources);
  if (moved && out.bytes == 0)
    out.warnings.push_back(
      fmt::format("after the first run nothing is moved, because no parameter "
                  "of {} has requires_grad and sync_requires_grad is set",
                  model_of(source)));
  std::map<device_id, std::uint64_t> staging;
  for (std::size_t i = 0; i < destination.items.size(); ++i)
    staging[processes.of(
      destination.items[i])] += staged_bytes(out.programs[sources + i],
                                             destination.items[i]);
  for (const auto& [process, bytes] : staging)
    out.staging_bytes = std::max(out.staging_bytes, bytes);
  return out;
}

std::vector<bool> sync_route::moves() const {
  std::vector<bool> out;
  for (const auto& x : members)
    out.push_back(x.moves);
  return out;
}

protocol::open_groups sync_route::seats(protocol::seat_kind end,
                                        std::uint32_t generation,
                                        std::uint32_t timeout_ms) const {
  auto sends = end == protocol::seat_kind::sender;
  protocol::open_groups out;
  out.timeout_ms = timeout_ms;
  for (const auto& x : channels)
    out.items.push_back({members[sends ? x.source : x.destination].name,
                         protocol::link_name(program, generation, x.source_rank,
                                             x.destination_rank),
                         std::string{to_string(x.link)}, end,
                         rank_id{sends ? 0 : 1}, 2});
  return out;
}

std::vector<std::string> sync_route::describe() const {
  std::vector<std::string> lines;
  for (const auto& x : channels)
    lines.push_back(
      fmt::format("{} -> {} over {}: {} tensor parts in {} buckets, {}",
                  to_string(members[x.source].name),
                  to_string(members[x.destination].name), to_string(x.link),
                  x.parts, x.buckets, format_bytes(x.bytes)));
  lines.insert(lines.end(), rejected.begin(), rejected.end());
  lines.insert(lines.end(), warnings.begin(), warnings.end());
  return lines;
}

// -- checks --------------------------------------------------------------------

result<void>
check_reports(const sync_route& route,
              const std::vector<protocol::transfer_report>& reports) {
  using key = std::pair<rank_id, rank_id>;
  std::map<key, const protocol::transfer_report*> sent;
  std::map<key, const protocol::transfer_report*> got;
  for (const auto& x : reports) {
    if (x.sends)
      sent.emplace(key{x.rank, x.peer}, &x);
    else
      got.emplace(key{x.peer, x.rank}, &x);
  }
  for (const auto& x : route.channels) {
    key at{x.source_rank, x.destination_rank};
    auto a = sent.find(at);
    auto b = got.find(at);
    auto from = to_string(route.members[x.source].name);
    auto to = to_string(route.members[x.destination].name);
    if (a == sent.end() || b == got.end())
      return fail(errc::corrupt,
                  fmt::format("{} does not report what it {} {}",
                              a == sent.end() ? from : to,
                              a == sent.end() ? "sent to" : "received from",
                              a == sent.end() ? to : from));
    const auto& s = *a->second;
    const auto& g = *b->second;
    auto differs = s.digested && g.digested
                   && (s.digest_products != g.digest_products
                       || s.digest_words != g.digest_words);
    if (differs || s.bytes != x.bytes || g.bytes != x.bytes)
      return fail(errc::corrupt,
                  fmt::format("what {} received is not what {} sent ({} and {} "
                              "bytes of {})",
                              to, from, g.bytes, s.bytes, x.bytes));
  }
  if (reports.size() != 2 * route.channels.size())
    return fail(errc::corrupt,
                fmt::format("{} ends of links report, {} were planned",
                            reports.size(), 2 * route.channels.size()));
  return {};
}

result<void>
check_sources(const std::vector<protocol::sync_standing>& standings) {
  for (const auto& x : standings) {
    const auto& first = standings.front();
    if (x.version != first.version
        || (x.from.replica == first.from.replica && x.writes != first.writes))
      return fail(errc::unavailable,
                  fmt::format("{} stands at version {} after {} calls, {} at "
                              "version {} after {}; a checkpoint loaded by all "
                              "ranks brings them together",
                              to_string(first.from), first.version.value(),
                              first.writes, to_string(x.from),
                              x.version.value(), x.writes));
  }
  return {};
}

} // namespace troupe::sync
