// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/node_file.hpp"

#include <set>
#include <string>

#include <fmt/format.h>

#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/config/loader.hpp"
#include "troupe/actors/config/problem_list.hpp"
#include "troupe/actors/config/scalar.hpp"
#include "troupe/actors/config/section.hpp"
#include "troupe/actors/config/text_file.hpp"

namespace troupe::config {

namespace {

constexpr std::int64_t max_nodes = 100'000;
constexpr std::int32_t max_cores = 1'000'000;

/// The link domain of each device of a node.
std::vector<std::int32_t> read_domains(section& keys, std::int32_t devices) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(devices), 0);
  const auto* node = keys.raw("link_domains");
  if (node == nullptr)
    return out;
  if (node->kind != yaml_node::type::sequence) {
    auto count = as_integer(*node);
    if (!count)
      keys.complain("link_domains", count.error().message());
    else if (*count < 1 || *count > devices || devices % *count != 0)
      keys.complain("link_domains",
                    fmt::format("{} devices do not divide into {} equal "
                                "domains; give a number that divides them, or "
                                "a list with the domain of each",
                                devices, *count));
    else
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) * *count
                                           / devices);
    return out;
  }
  if (node->items.size() != out.size()) {
    keys.complain("link_domains", fmt::format("lists {} domains for {} devices",
                                              node->items.size(), devices));
    return out;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto domain = as_integer(node->items[i]);
    if (!domain || *domain < 0 || *domain >= max_devices) {
      keys.complain("link_domains",
                    fmt::format("domains are numbers from 0 to "
                                "{}, found {}",
                                max_devices - 1, describe(node->items[i])));
      break;
    }
    out[i] = static_cast<std::int32_t>(*domain);
  }
  return out;
}

class node_reader {
public:
  explicit node_reader(problem_list& problems) : problems_(problems) {
    // nop
  }

  planner::cluster read(const yaml_node* node, int line) {
    if (node == nullptr || node->kind != yaml_node::type::sequence
        || node->items.empty()) {
      problems_.add(line, "nodes",
                    "expected a list of nodes such as [{devices: 8}]");
      return {};
    }
    for (std::size_t i = 0; i < node->items.size(); ++i)
      read_one(node->items[i], i);
    if (machines_.num_device() == 0 && problems_.empty())
      problems_.add(line, "nodes", "have no device; give one of them devices");
    return std::move(machines_);
  }

private:
  void read_one(const yaml_node& node, std::size_t index) {
    section keys{&node,
                 node.line,
                 fmt::format("nodes[{}]", index),
                 {},
                 problems_};
    planner::node_spec spec;
    auto named = keys.text("name", spec.name);
    std::int64_t count = 1;
    keys.integer("count", count, 1, max_nodes);
    std::int32_t devices = 0;
    if (!keys.integer("devices", devices, 0, max_devices))
      keys.complain("devices", "is missing: how many devices the node has");
    std::uint64_t memory = 0;
    keys.byte_count("memory", memory);
    auto domains = read_domains(keys, devices);
    keys.integer("nics", spec.num_nic, 1, max_devices);
    keys.integer("cpus", spec.num_cpu, 0, max_cores);
    keys.byte_count("host_memory", spec.memory_bytes);
    keys.finish();
    if (named && spec.name.empty())
      keys.complain("name", "must not be empty");
    num_device_ += count * devices;
    if (num_device_ > max_file_devices
        || static_cast<std::int64_t>(machines_.nodes.size()) + count
             > max_nodes)
      keys.complain("count", fmt::format("more than {} nodes or {} devices in "
                                         "one file",
                                         max_nodes, max_file_devices));
    if (!keys.sound())
      return;
    for (auto domain : domains)
      spec.devices.push_back({memory, domain});
    auto stem = named ? spec.name : std::string{"node"};
    for (std::int64_t i = 0; i < count; ++i) {
      auto one = spec;
      if (!named)
        one.name = fmt::format("node{}", machines_.nodes.size());
      else if (count > 1)
        one.name = fmt::format("{}{}", stem, i);
      if (!names_.insert(one.name).second) {
        keys.complain("name", fmt::format("a second node has the name {}",
                                          quote(one.name)));
        return;
      }
      machines_.nodes.push_back(std::move(one));
    }
  }

  problem_list& problems_;
  planner::cluster machines_;
  std::int64_t num_device_ = 0;
  std::set<std::string> names_;
};

planner::cost_model read_costs(const yaml_node* node, int line,
                               problem_list& problems) {
  planner::cost_model out;
  section keys{node, line, "costs", {}, problems};
  // Units that people use; the planner counts in bytes, flops and seconds.
  auto scaled = [&](std::string_view key, double& target, double unit) {
    constexpr double least = 1e-6;
    constexpr double most = 1e9;
    auto value = target / unit;
    if (keys.number(key, value, least, most))
      target = value * unit;
  };
  auto share = [&](std::string_view key, double& target) {
    keys.number(key, target, 0.001, 1);
  };
  scaled("peak_tflops", out.peak_flops, 1e12);
  share("training_efficiency", out.training_efficiency);
  share("forward_efficiency", out.forward_efficiency);
  scaled("memory_gb_per_second", out.memory_bandwidth, 1e9);
  share("memory_efficiency", out.memory_efficiency);
  scaled("device_gb_per_second", out.device_bandwidth, 1e9);
  scaled("domain_gb_per_second", out.domain_bandwidth, 1e9);
  scaled("node_gb_per_second", out.node_bandwidth, 1e9);
  scaled("nic_gb_per_second", out.nic_bandwidth, 1e9);
  scaled("host_gb_per_second", out.host_bandwidth, 1e9);
  scaled("collective_us", out.collective_seconds, 1e-6);
  scaled("sync_ms", out.sync_seconds, 1e-3);
  keys.finish();
  return out;
}

} // namespace

result<node_file> parse_node_file(std::string_view text,
                                  std::string_view file_name) {
  auto root = read_yaml(text, file_name);
  if (!root)
    return fail(root.error());
  problem_list problems{std::string{file_name}};
  section top{&*root, 1, "", {}, problems};
  node_file out;
  const auto* nodes = top.raw("nodes");
  out.machines = node_reader{problems}.read(nodes, top.line_of("nodes"));
  const auto* costs = top.raw("costs");
  out.costs = read_costs(costs, top.line_of("costs"), problems);
  top.finish();
  if (!problems.empty())
    return fail(problems.to_error());
  return out;
}

result<node_file> load_node_file(const std::filesystem::path& file) {
  auto text = read_text_file(file, max_file_bytes);
  if (!text)
    return fail(text.error());
  return parse_node_file(*text, file.string());
}

} // namespace troupe::config
