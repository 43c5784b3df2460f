// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/flow.hpp"

#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace troupe {

flow::flow(const module_registry& models) : models_(models) {
  graph_.nodes.push_back({flow_node::kind::input, "input", {}, {}, {}, {}});
}

flow::value flow::input() const {
  return value{0};
}

flow::value flow::add(flow_node node) {
  graph_.nodes.push_back(std::move(node));
  return value{graph_.nodes.size() - 1};
}

flow::value flow::call(std::string_view model, const std::type_info& type,
                       const void* pointer, value in) {
  auto* found = models_.find(model);
  if (!found) {
    std::vector<std::string> names;
    for (const auto& x : models_.models())
      names.push_back(x->name());
    throw std::invalid_argument(
      fmt::format("a flow calls model '{}', which was not declared; there are: "
                  "{}",
                  model, fmt::join(names, ", ")));
  }
  for (const auto& function : found->functions())
    if (function.is(type, pointer))
      return add({flow_node::kind::call,
                  fmt::format("{}.{}", model, function.name),
                  std::string{model},
                  function.name,
                  {},
                  {in.node_}});
  std::vector<std::string> names;
  for (const auto& function : found->functions())
    names.push_back(function.name);
  throw std::invalid_argument(
    fmt::format("a flow calls a function of model '{}' that was not declared; "
                "declared: {}",
                model, fmt::join(names, ", ")));
}

flow::value flow::apply(std::string name,
                        std::function<batch(const batch&)> function, value in) {
  return add({flow_node::kind::apply,
              std::move(name),
              {},
              {},
              [f = std::move(function)](const std::vector<batch>& xs) {
                return f(xs.front());
              },
              {in.node_}});
}

flow::value
flow::apply(std::string name,
            std::function<batch(const std::vector<batch>&)> function,
            const std::vector<value>& in) {
  std::vector<std::size_t> inputs;
  for (const auto& x : in)
    inputs.push_back(x.node_);
  return add({flow_node::kind::apply,
              std::move(name),
              {},
              {},
              std::move(function),
              std::move(inputs)});
}

flow::value flow::merge(const std::vector<value>& in) {
  return apply(
    "merge",
    [](const std::vector<batch>& xs) {
      batch all;
      for (const auto& x : xs)
        all.merge(x);
      return all;
    },
    in);
}

flow_graph flow::finish(value result) && {
  graph_.output = result.node_;
  return std::move(graph_);
}

flow_graph flow::finish() && {
  graph_.output = graph_.nodes.size() - 1;
  return std::move(graph_);
}

} // namespace troupe
