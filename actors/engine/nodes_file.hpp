// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/protocol/process.hpp"

namespace troupe::engine {

/// Writes down which machines serve a run, and where its logs lie there:
///
///     {"job": "78e3254a22e6",
///      "nodes": [{"node": 0, "address": "10.0.0.2:4100", "machine": "m1",
///                 "pid": 4711, "log_dir": "/srv/node-logs/78e3254a22e6"}]}
///
/// Complete or not at all. Fails with `errc::refused`.
[[nodiscard]] result<void>
write_nodes_file(const std::filesystem::path& file, const std::string& job,
                 const std::vector<net::endpoint>& gates,
                 const std::vector<protocol::joined>& nodes);

/// Where the logs of a node's hosts are, for people: `"/srv/node-logs/78e on m1
/// (10.0.0.2:4100)"`. Nothing if the file does not say.
[[nodiscard]] std::optional<std::string>
find_node_logs(const std::filesystem::path& file, node_id node);

} // namespace troupe::engine
