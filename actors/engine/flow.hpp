// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "troupe/actors/model/registry.hpp"
#include "troupe/core/batch.hpp"

namespace troupe {

/// One step of a flow.
struct flow_node {
  enum class kind : std::uint8_t {
    /// What the flow is given.
    input,
    /// A function of a model, on its replicas.
    call,
    /// A plain function, in the driver, on gathered samples.
    apply,
  };

  kind what = kind::input;
  /// `"policy.generate"`, or the name given to `apply`.
  std::string name;
  std::string model;
  std::string function;
  std::function<batch(const std::vector<batch>&)> plain;
  /// Indices of the nodes whose results it takes.
  std::vector<std::size_t> inputs;
};

/// The graph of module calls and plain functions that turns a batch into
/// another. Built once when the program starts; nodes stand in an order in
/// which each comes after its inputs, so there are no cycles.
struct flow_graph {
  std::vector<flow_node> nodes;
  /// The node whose result is the flow's.
  std::size_t output = 0;

  [[nodiscard]] bool empty() const noexcept { return nodes.empty(); }
};

/// Builds a flow_graph: what an application's flow functions are handed.
/// Errors of the programmer (an unknown model, a function that was not
/// declared) throw std::invalid_argument with the names there are.
class flow {
public:
  /// A batch that will exist when the flow runs.
  class value {
  public:
    value() = default;

  private:
    friend class flow;

    explicit value(std::size_t node) : node_(node) {
      // nop
    }

    std::size_t node_ = 0;
  };

  explicit flow(const module_registry& models);

  /// What the flow is given.
  [[nodiscard]] value input() const;

  /// Calls a declared function of a model: rows are split over its replicas
  /// and come back in order.
  template <class M>
  value call(std::string_view model, batch (M::*function)(const batch&),
             value in) {
    return call(model, typeid(function), &function, in);
  }

  /// Runs `function` in the driver on all rows of `in`.
  value apply(std::string name, std::function<batch(const batch&)> function,
              value in);

  /// The same with several inputs.
  value apply(std::string name,
              std::function<batch(const std::vector<batch>&)> function,
              const std::vector<value>& in);

  /// The tensors of all inputs side by side; a later input's tensor replaces
  /// an earlier one's of the same name.
  value merge(const std::vector<value>& in);

  /// Ends building. `result` is the flow's own result.
  [[nodiscard]] flow_graph finish(value result) &&;

  /// The result is that of the last node.
  [[nodiscard]] flow_graph finish() &&;

private:
  value call(std::string_view model, const std::type_info& type,
             const void* pointer, value in);

  value add(flow_node node);

  const module_registry& models_;
  flow_graph graph_;
};

} // namespace troupe
