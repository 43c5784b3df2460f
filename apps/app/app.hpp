// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/engine/application.hpp"

namespace troupe {

/// Declares one model of an application. `M` is its module class.
template <class M>
class model_builder {
public:
  explicit model_builder(model_declaration& model) : model_(model) {
    // nop
  }

  /// A function that flows may call.
  template <class B>
  model_builder& function(std::string name, batch (B::*f)(const batch&)) {
    model_.add_function<M>(std::move(name), f);
    return *this;
  }

  /// The same, and the model learns: one replica whose data-parallel ranks
  /// share every batch.
  template <class B>
  model_builder& trainable(std::string name, batch (B::*f)(const batch&)) {
    model_.set_trainable();
    return function(std::move(name), f);
  }

  /// The model needs no device: it runs on the CPU host.
  model_builder& on_cpu() {
    model_.set_on_cpu();
    return *this;
  }

  /// A key of the model's section in the configuration.
  model_builder& option(std::string name, option_value otherwise,
                        std::string help) {
    model_.add_option({std::move(name), std::move(otherwise), std::move(help)});
    return *this;
  }

  model_builder& options(std::vector<option_spec> xs) {
    for (auto& x : xs)
      model_.add_option(std::move(x));
    return *this;
  }

  /// Data-parallel ranks hold the same weights and optimizer state (nothing is
  /// sharded over them), so that a rank that is lost can go on from what a peer
  /// of its saves.
  model_builder& same_on_data_ranks() {
    model_.set_same_on_data_ranks();
    return *this;
  }

private:
  model_declaration& model_;
};

/// An RLHF application: which models there are, whose weights follow whose, and
/// the flows that gather experience and train on it. Declared in main, the same
/// way in every process of a job, and run by `main`:
///
///     troupe::app app{"my_rlhf"};
///     app.model<policy>("policy").function("generate", &policy::generate);
///     ...
///     return app.main(argc, argv);
///
/// The program then has the verbs `run`, `plan` and `monitor`, and starts itself
/// again as device hosts.
class app {
public:
  explicit app(std::string name);
  ~app();
  app(const app&) = delete;
  app& operator=(const app&) = delete;

  template <std::derived_from<module> M>
  model_builder<M> model(std::string name) {
    return model_builder<M>{description_.models.add(std::move(name), [] {
      return std::make_unique<M>();
    })};
  }

  /// After training, `destination` gets the weights of `source`.
  app& sync(std::string source, std::string destination,
            sync_schedule_kind kind = sync_schedule_kind::by_frequency);

  /// A key of the configuration's section `runtime`.
  app& option(std::string name, option_value otherwise, std::string help,
              number_range range = {});

  /// Where prompts come from. Called in the driver before anything starts; an
  /// error ends the program with code 2.
  app& data(std::function<
            result<std::unique_ptr<data_source>>(const config::runtime_config&)>
              make);

  /// The same for data that no file can replace: `--data` is refused.
  app& data(std::function<result<std::unique_ptr<data_source>>()> make);

  /// Turns prompts into experience.
  app& experience(std::function<flow::value(flow&, flow::value)> build);

  /// Trains on experience. What the last step returns as metadata becomes
  /// metrics.
  app& training(std::function<void(flow&, flow::value)> build);

  /// A supervised warm start before the first episode: rounds of `rows` rows
  /// until the dev accuracy reaches a bar. The three are integer, integer and
  /// number options of the application, by name.
  app& warm_start(std::function<void(flow&, flow::value)> build,
                  std::string rows_option, std::string rounds_option,
                  std::string accuracy_option);

  /// Answers held-out questions; `accuracy` is computed from the answers.
  app& evaluation(std::function<flow::value(flow&, flow::value)> build,
                  std::function<double(const batch&)> accuracy);

  /// Training ends once the dev accuracy reaches this number option of the
  /// application, by name.
  app& stop_at(std::string accuracy_option);

  /// A figure of each episode's experience. `mean_reward` and `tokens` are
  /// shown while the run goes on.
  app& metric(std::string name, std::function<double(const batch&)> compute);

  /// Refuses configurations whose keys do not fit together. Called in the driver
  /// before anything starts, once the data has decided its options; an error
  /// ends the program with code 2.
  app& check(std::function<result<void>(const config::job_config&)> check);

  /// Hears every error and warning of a run as it is recorded: `x.level`,
  /// `x.code`, `to_string(x)`. Called in the driver on a thread of its own, one
  /// report at a time; what it throws is logged. It cannot hold up the run: one
  /// that is slow misses the oldest and is told how many.
  app& on_error(std::function<void(const protocol::error_report&)> hear);

  /// Runs first in every host process, with the threads it may use.
  app& prepare_host(std::function<void(int)> prepare);

  /// The program: parses the command line and does what it says. Exit codes: 0
  /// the run finished, 1 it failed, 2 wrong input and nothing was started, 130
  /// interrupted.
  int main(int argc, char** argv);

  /// What has been declared.
  [[nodiscard]] const application& description() const noexcept {
    return description_;
  }

private:
  application description_;
};

} // namespace troupe
