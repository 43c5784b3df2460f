// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_schedule.hpp"

#include <map>

#include <fmt/core.h>

#include "troupe/core/units.hpp"

namespace troupe::sync {

using protocol::parameter_info;
using protocol::worker_manifest;
using protocol::worker_name;

std::uint64_t sync_schedule::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& edge : edges)
    sum += edge.bytes;
  return sum;
}

protocol::open_groups sync_schedule::seats(protocol::seat_kind end,
                                           std::uint32_t timeout_ms) const {
  auto sends = end == protocol::seat_kind::sender;
  protocol::open_groups out;
  out.timeout_ms = timeout_ms;
  for (const auto& edge : edges)
    out.items.push_back({sends ? edge.source : edge.destination, edge.link,
                         edge.backend, end, rank_id{sends ? 0 : 1}, 2});
  return out;
}

protocol::transfer sync_schedule::tasks(protocol::transfer_role role,
                                        protocol::transfer_mode mode,
                                        std::uint32_t timeout_ms) const {
  auto sends = role == protocol::transfer_role::send;
  protocol::transfer out;
  out.mode = mode;
  out.timeout_ms = timeout_ms;
  for (const auto& edge : edges)
    out.items.push_back({sends ? edge.source : edge.destination, role,
                         edge.link, sends ? edge.destination : edge.source,
                         edge.tensors});
  return out;
}

std::vector<std::string> sync_schedule::describe() const {
  std::vector<std::string> lines;
  for (const auto& edge : edges)
    lines.push_back(fmt::format("{} -> {} over {}: {} tensors, {}",
                                to_string(edge.source),
                                to_string(edge.destination), edge.backend,
                                edge.tensors.size(), format_bytes(edge.bytes)));
  return lines;
}

namespace {

std::map<worker_name, const worker_manifest*>
by_name(const protocol::manifests& xs) {
  std::map<worker_name, const worker_manifest*> out;
  for (const auto& x : xs.items)
    out.emplace(x.worker, &x);
  return out;
}

std::string describe(const parameter_info& x) {
  return fmt::format("{}{}", to_string(x.type), to_string(x.extents));
}

result<void> match(sync_edge& edge, const worker_manifest& source,
                   const worker_manifest& destination) {
  std::map<std::string_view, const parameter_info*> offered;
  for (const auto& x : source.parameters)
    offered.emplace(x.name, &x);
  for (const auto& wanted : destination.parameters) {
    auto i = offered.find(wanted.name);
    if (i == offered.end())
      return fail(errc::invalid,
                  fmt::format("{} has parameter '{}', which its source {} "
                              "does not have",
                              to_string(destination.worker), wanted.name,
                              to_string(source.worker)));
    const auto& x = *i->second;
    if (x.type != wanted.type || x.extents != wanted.extents)
      return fail(errc::invalid,
                  fmt::format("parameter '{}' is {} at {} and {} at {}",
                              wanted.name, describe(x),
                              to_string(source.worker), describe(wanted),
                              to_string(destination.worker)));
    auto count = element_count(wanted.extents);
    if (!count)
      return fail(count.error());
    edge.tensors.push_back(wanted.name);
    edge.bytes += static_cast<std::uint64_t>(*count) * size_of(wanted.type);
  }
  return {};
}

} // namespace

result<sync_schedule>
make_schedule(const std::string& name, const protocol::manifests& source,
              const protocol::manifests& destination,
              const std::vector<planner::rank_pair>& pairs) {
  if (source.items.empty() || destination.items.empty())
    return fail(errc::invalid, fmt::format("sync {} has no ranks", name));
  auto sources = by_name(source);
  auto destinations = by_name(destination);
  const auto& from = source.items.front().worker.model;
  const auto& to = destination.items.front().worker.model;
  sync_schedule out;
  std::map<worker_name, worker_name> fed;
  for (const auto& pair : pairs) {
    worker_name a{from, replica_id{0}, pair.source};
    worker_name b{to, pair.replica, pair.destination};
    auto s = sources.find(a);
    auto d = destinations.find(b);
    if (s == sources.end() || d == destinations.end())
      return fail(errc::invalid,
                  fmt::format("sync {} pairs {} with {}, but there is no {}",
                              name, to_string(a), to_string(b),
                              to_string(s == sources.end() ? a : b)));
    if (auto [i, fresh] = fed.emplace(b, a); !fresh)
      return fail(errc::invalid,
                  fmt::format("{} would be written by {} and by {}",
                              to_string(b), to_string(i->second),
                              to_string(a)));
    sync_edge edge;
    edge.source = a;
    edge.destination = b;
    edge.backend = s->second->host == d->second->host ? "inproc" : "gloo";
    edge.link = fmt::format("{}:{}>{}", name, to_string(a), to_string(b));
    if (auto matched = match(edge, *s->second, *d->second); !matched)
      return fail(matched.error().within("sync " + name));
    out.edges.push_back(std::move(edge));
  }
  for (const auto& [worker, manifest] : destinations)
    if (fed.count(worker) == 0)
      return fail(errc::invalid,
                  fmt::format("no source rank feeds {}", to_string(worker)));
  return out;
}

result<void> check_reports(const protocol::transfer_reports& sent,
                           const protocol::transfer_reports& got) {
  std::map<std::string_view, const protocol::transfer_report*> by_link;
  for (const auto& x : sent.items)
    by_link.emplace(x.link, &x);
  if (sent.items.size() != got.items.size())
    return fail(errc::corrupt,
                fmt::format("{} links were sent on, {} received on",
                            sent.items.size(), got.items.size()));
  for (const auto& x : got.items) {
    auto i = by_link.find(x.link);
    if (i == by_link.end())
      return fail(errc::corrupt, fmt::format("nobody sent on {}", x.link));
    const auto& y = *i->second;
    by_link.erase(i);
    if (x.bytes != y.bytes || x.digest_low != y.digest_low
        || x.digest_high != y.digest_high)
      return fail(errc::corrupt,
                  fmt::format("what {} received is not what {} sent ({} and "
                              "{} bytes)",
                              to_string(x.from), to_string(y.from), x.bytes,
                              y.bytes));
  }
  return {};
}

} // namespace troupe::sync
