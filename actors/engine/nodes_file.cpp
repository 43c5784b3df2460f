// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/nodes_file.hpp"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace troupe::engine {

namespace {

using json = nlohmann::ordered_json;

std::string text_of(const json& x, const char* key) {
  auto i = x.find(key);
  return i != x.end() && i->is_string() ? i->get<std::string>() : std::string{};
}

} // namespace

result<void> write_nodes_file(const std::filesystem::path& file,
                              const std::string& job,
                              const std::vector<net::endpoint>& gates,
                              const std::vector<protocol::joined>& nodes) {
  json out;
  out["job"] = job;
  out["nodes"] = json::array();
  for (std::size_t i = 0; i < std::min(gates.size(), nodes.size()); ++i) {
    json x;
    x["node"] = i;
    x["address"] = to_string(gates[i]);
    x["machine"] = nodes[i].machine;
    x["pid"] = nodes[i].pid;
    x["log_dir"] = nodes[i].log_dir;
    out["nodes"].push_back(std::move(x));
  }
  auto draft = file;
  draft += ".part";
  {
    std::ofstream to{draft};
    // What another machine is called need not be UTF-8.
    to << out.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
    to.close();
    if (!to)
      return fail(errc::refused,
                  fmt::format("cannot write {}", draft.string()));
  }
  std::error_code problem;
  std::filesystem::rename(draft, file, problem);
  if (problem)
    return fail(errc::refused, fmt::format("cannot write {}: {}", file.string(),
                                           problem.message()));
  return {};
}

std::optional<std::string> find_node_logs(const std::filesystem::path& file,
                                          node_id node) {
  std::ifstream in{file};
  auto all = json::parse(in, nullptr, false);
  if (!all.is_object() || !all.contains("nodes") || !all["nodes"].is_array())
    return std::nullopt;
  for (const auto& x : all["nodes"]) {
    if (!x.is_object() || !x.contains("node") || !x["node"].is_number_integer()
        || x["node"] != node.value())
      continue;
    auto where = text_of(x, "log_dir");
    if (where.empty())
      return std::nullopt;
    return fmt::format("{} on {} ({})", where, text_of(x, "machine"),
                       text_of(x, "address"));
  }
  return std::nullopt;
}

} // namespace troupe::engine
