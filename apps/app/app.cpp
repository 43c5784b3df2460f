// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/app.hpp"

#include <fmt/format.h>

#include "troupe/apps/app/command_line.hpp"

namespace troupe {

app::app(std::string name) {
  description_.name = std::move(name);
}

app::~app() = default;

app& app::sync(std::string source, std::string destination,
               sync_schedule_kind kind) {
  description_.syncs.push_back({std::move(source), std::move(destination)});
  description_.sync_kinds.push_back(kind);
  return *this;
}

app& app::option(std::string name, option_value otherwise, std::string help,
                 number_range range) {
  description_.options.push_back(
    {std::move(name), std::move(otherwise), std::move(help), range});
  return *this;
}

app& app::data(std::function<result<std::unique_ptr<data_source>>(
                 const config::runtime_config&)>
                 make) {
  description_.data = std::move(make);
  return *this;
}

app& app::data(std::function<result<std::unique_ptr<data_source>>()> make) {
  return data([make = std::move(make)](const config::runtime_config& runtime)
                -> result<std::unique_ptr<data_source>> {
    if (!runtime.data_path.empty())
      return fail(errc::invalid,
                  fmt::format("--data {}: this application makes its data "
                              "itself and reads no file",
                              runtime.data_path));
    return make();
  });
}

namespace {

using value_builder = std::function<flow::value(flow&, flow::value)>;
using void_builder = std::function<void(flow&, flow::value)>;

flow_graph build_graph(const module_registry& models,
                       const value_builder& build) {
  flow f{models};
  auto out = build(f, f.input());
  return std::move(f).finish(out);
}

flow_graph build_graph(const module_registry& models,
                       const void_builder& build) {
  flow f{models};
  build(f, f.input());
  return std::move(f).finish();
}

} // namespace

app& app::experience(value_builder build) {
  description_.experience = build_graph(description_.models, build);
  return *this;
}

app& app::training(void_builder build) {
  description_.training = build_graph(description_.models, build);
  return *this;
}

app& app::warm_start(void_builder build, std::string rows_option,
                     std::string rounds_option, std::string accuracy_option) {
  description_.warm_start = {build_graph(description_.models, build),
                             std::move(rows_option), std::move(rounds_option),
                             std::move(accuracy_option)};
  return *this;
}

app& app::evaluation(value_builder build,
                     std::function<double(const batch&)> accuracy) {
  description_.evaluation = build_graph(description_.models, build);
  description_.accuracy = std::move(accuracy);
  return *this;
}

app& app::stop_at(std::string accuracy_option) {
  description_.stop_accuracy_option = std::move(accuracy_option);
  return *this;
}

app& app::metric(std::string name,
                 std::function<double(const batch&)> compute) {
  description_.metrics.push_back({std::move(name), std::move(compute)});
  return *this;
}

app& app::check(std::function<result<void>(const config::job_config&)> check) {
  description_.check = std::move(check);
  return *this;
}

app& app::on_error(std::function<void(const protocol::error_report&)> hear) {
  description_.on_error = std::move(hear);
  return *this;
}

app& app::prepare_host(std::function<void(int)> prepare) {
  description_.prepare_host = std::move(prepare);
  return *this;
}

int app::main(int argc, char** argv) {
  return app_command::run_program({this}, argc, argv);
}

} // namespace troupe
