// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <any>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/actors/model/module.hpp"

namespace troupe {

/// One callable function of a model.
struct module_function {
  std::string name;
  std::function<batch(module&, const batch&)> call;
  /// Compares with the member pointer it was declared with.
  std::function<bool(const std::type_info&, const void*)> is;
};

/// What an application says about one model: how to make its module and what
/// can be called. Every process of a job holds the same declarations, because
/// every process runs the same binary.
class model_declaration {
public:
  model_declaration(std::string name,
                    std::function<std::unique_ptr<module>()> make)
    : name_(std::move(name)),
      make_(std::move(make)) {
    // nop
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  [[nodiscard]] std::unique_ptr<module> make() const { return make_(); }

  [[nodiscard]] bool trainable() const noexcept { return trainable_; }

  [[nodiscard]] bool on_cpu() const noexcept { return on_cpu_; }

  [[nodiscard]] const std::vector<option_spec>& options() const noexcept {
    return options_;
  }

  [[nodiscard]] const std::vector<module_function>& functions() const noexcept {
    return functions_;
  }

  /// Null if there is no such function.
  [[nodiscard]] const module_function*
  find(std::string_view function) const noexcept {
    for (const auto& x : functions_)
      if (x.name == function)
        return &x;
    return nullptr;
  }

  void set_trainable() noexcept { trainable_ = true; }

  /// Data-parallel ranks of a replica hold the same state: what one has saved
  /// another can load.
  [[nodiscard]] bool same_on_data_ranks() const noexcept {
    return same_on_data_ranks_;
  }

  void set_same_on_data_ranks() noexcept { same_on_data_ranks_ = true; }

  void set_on_cpu() noexcept { on_cpu_ = true; }

  void add_option(option_spec x) { options_.push_back(std::move(x)); }

  template <class M, class B>
  void add_function(std::string name, batch (B::*f)(const batch&)) {
    static_assert(std::is_base_of_v<B, M> && std::is_base_of_v<module, M>);
    using pointer = batch (B::*)(const batch&);
    functions_.push_back(
      {std::move(name),
       [f](module& x, const batch& in) { return (static_cast<M&>(x).*f)(in); },
       [f](const std::type_info& type, const void* other) {
         return type == typeid(pointer)
                && *static_cast<const pointer*>(other) == f;
       }});
  }

private:
  std::string name_;
  std::function<std::unique_ptr<module>()> make_;
  bool trainable_ = false;
  bool same_on_data_ranks_ = false;
  bool on_cpu_ = false;
  std::vector<option_spec> options_;
  std::vector<module_function> functions_;
};

/// All models of an application, in the order of declaration. Filled in main
/// before threads start, read-only afterwards.
class module_registry {
public:
  model_declaration& add(std::string name,
                         std::function<std::unique_ptr<module>()> make) {
    models_.push_back(
      std::make_unique<model_declaration>(std::move(name), std::move(make)));
    return *models_.back();
  }

  /// Null if there is no such model.
  [[nodiscard]] const model_declaration*
  find(std::string_view name) const noexcept {
    for (const auto& x : models_)
      if (x->name() == name)
        return x.get();
    return nullptr;
  }

  [[nodiscard]] const std::vector<std::unique_ptr<model_declaration>>&
  models() const noexcept {
    return models_;
  }

private:
  std::vector<std::unique_ptr<model_declaration>> models_;
};

} // namespace troupe
