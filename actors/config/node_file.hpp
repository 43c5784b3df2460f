// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "troupe/core/error.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/cost_model.hpp"

namespace troupe::config {

/// Most devices that a node file may describe.
inline constexpr std::int64_t max_file_devices = 1'000'000;

/// The machines that a plan is made for: what `--nodes-spec` reads.
struct node_file {
  planner::cluster machines;
  planner::cost_model costs;

  bool operator==(const node_file&) const = default;
};

/// Reads YAML (or JSON, which is YAML too):
///
///     nodes:
///       - name: a            # default: node
///         count: 4           # this many alike: a0, a1, a2, a3
///         devices: 8
///         memory: 80 GiB     # of one device; absent: unknown
///         link_domains: 1    # equal parts, or a list: [0, 0, 1, 1, ...]
///         nics: 8
///         cpus: 96
///         host_memory: 2 TiB
///     costs:                 # what differs from the defaults
///       peak_tflops: 989
///
/// Without `link_domains` all devices of a node share one. The keys of `costs`
/// stand in docs/plan.md. Errors are those of `parse` in loader.hpp; the text
/// is untrusted.
[[nodiscard]] result<node_file> parse_node_file(std::string_view text,
                                                std::string_view file_name);

[[nodiscard]] result<node_file>
load_node_file(const std::filesystem::path& file);

} // namespace troupe::config
