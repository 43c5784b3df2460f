// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/loader.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "troupe/actors/config/model_section.hpp"
#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/config/problem_list.hpp"
#include "troupe/actors/config/profile_section.hpp"
#include "troupe/actors/config/runtime_section.hpp"
#include "troupe/actors/config/section.hpp"
#include "troupe/actors/config/text_file.hpp"
#include "troupe/actors/config/yaml_tree.hpp"

namespace troupe::config {

namespace {

/// Checks what the other readers take for granted of an application.
result<void> check_schema(const app_schema& schema) {
  for (const auto& pair : schema.syncs)
    for (const auto* name : {&pair.source, &pair.destination}) {
      auto known = std::any_of(schema.models.begin(), schema.models.end(),
                               [&](const auto& x) { return x.name == *name; });
      if (!known)
        return fail(errc::invalid,
                    fmt::format("application {}: a sync names the model '{}', "
                                "which is not declared",
                                schema.name, *name));
    }
  return {};
}

void read_models(const yaml_node* node, int line, const app_schema& schema,
                 problem_list& problems, job_config& job) {
  section models{node, line, "models", {}, problems};
  for (const auto& declared : schema.models) {
    const auto* own = models.raw(declared.name);
    if (own == nullptr && !declared.cpu) {
      models.complain(declared.name,
                      "is missing: the application needs this model; give it "
                      "at least num_gpu");
      job.models.emplace_back().name = declared.name;
      continue;
    }
    job.models.push_back(
      read_model(own, models.line_of(declared.name), declared, problems));
  }
  models.finish();
}

} // namespace

const model_config* job_config::find(std::string_view name) const noexcept {
  for (const auto& model : models)
    if (model.name == name)
      return &model;
  return nullptr;
}

planner::job_spec to_job_spec(const job_config& job,
                              std::vector<planner::sync_pair> syncs) {
  planner::job_spec out;
  for (const auto& model : job.models) {
    planner::model_spec spec;
    spec.name = model.name;
    spec.num_gpu = model.num_gpu;
    spec.gpu_per_process = model.gpu_per_process;
    spec.num_replica = model.num_replica;
    spec.num_cpu = model.num_cpu;
    spec.cpu_per_process = model.cpu_per_process;
    spec.trainable = model.trainable;
    spec.isolated = model.isolated;
    spec.parallel = model.parallel;
    out.models.push_back(std::move(spec));
  }
  out.colocation = job.runtime.colocation;
  out.syncs = std::move(syncs);
  out.order = job.runtime.placement;
  return out;
}

result<job_config> parse(std::string_view text, std::string_view file_name,
                         const app_schema& schema,
                         std::span<const std::string> overrides) {
  if (auto sound = check_schema(schema); !sound)
    return fail(sound.error());
  auto root = read_yaml(text, file_name);
  if (!root)
    return fail(root.error());
  for (const auto& assignment : overrides)
    if (auto done = apply_override(*root, assignment); !done)
      return fail(done.error());
  problem_list problems{std::string{file_name}};
  job_config job;
  job.app = schema.name;
  section top{&*root, 1, "", {}, problems};
  std::string app;
  if (top.text("app", app) && app != schema.name)
    top.complain("app", fmt::format("the configuration is for {}, this "
                                    "application is {}",
                                    quote(app), quote(schema.name)));
  top.elsewhere("rlhf", "unknown key; ChatLearn's old name of the section "
                        "'runtime'; rename it");
  top.elsewhere("runtime_env", "unknown key; Troupe ships its own binary and "
                               "sets up no environment; remove the section");
  top.elsewhere("includes", "unknown key; include files are not supported; "
                            "write the values here or give them with --set");
  const auto* models = top.raw("models");
  read_models(models, top.line_of("models"), schema, problems, job);
  const auto* runtime = top.raw("runtime");
  read_runtime(runtime, top.line_of("runtime"), schema, problems, job);
  const auto* workload = top.raw("workload");
  job.workload = read_workload(workload, top.line_of("workload"), problems);
  top.finish();
  if (!problems.empty())
    return fail(problems.to_error());
  return job;
}

result<job_config> load(const std::filesystem::path& file,
                        const app_schema& schema,
                        std::span<const std::string> overrides) {
  auto text = read_text_file(file, max_file_bytes);
  if (!text)
    return fail(text.error());
  return parse(*text, file.string(), schema, overrides);
}

void take_all_devices(job_config& job, std::int64_t devices) {
  for (auto& model : job.models)
    take_all_devices(model, devices);
}

result<std::string> peek_app(const std::filesystem::path& file) {
  auto text = read_text_file(file, max_file_bytes);
  if (!text)
    return fail(text.error());
  auto root = read_yaml(*text, file.string());
  if (!root)
    return fail(root.error());
  problem_list problems{file.string()};
  section top{&*root, 1, "", {}, problems};
  std::string app;
  top.text("app", app);
  if (!problems.empty())
    return fail(problems.to_error());
  return app;
}

} // namespace troupe::config
