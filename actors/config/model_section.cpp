// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/model_section.hpp"

#include <algorithm>
#include <variant>

#include <fmt/core.h>

#include "troupe/actors/config/profile_section.hpp"
#include "troupe/actors/config/section.hpp"

namespace troupe::config {

namespace {

constexpr std::int64_t max_processes = 1'000'000;
constexpr std::int64_t max_parallel = 65'536;

constexpr const char* device_memory_key = "device_memory_max";

/// What the file says of sizes before anything is derived.
struct asked_sizes {
  std::int64_t expert = 1;
  std::int64_t num_replica = 1;
  bool num_replica_given = false;
};

void read_sizes(section& keys, model_config& model, asked_sizes& asked) {
  model.all_gpus = keys.integer_or("num_gpu", "all", model.num_gpu, 0,
                                   max_processes);
  keys.integer("gpu_per_process", model.gpu_per_process, 1, max_processes);
  keys.integer("num_cpu", model.num_cpu, 0, max_processes);
  keys.integer("cpu_per_process", model.cpu_per_process, 0, max_processes);
  asked.num_replica_given = keys.integer("num_replica", asked.num_replica, 1,
                                         max_processes);
  auto& sizes = model.parallel;
  keys.integer("tensor_model_parallel_size", sizes.tensor, 1, max_parallel);
  keys.integer("pipeline_model_parallel_size", sizes.pipeline, 1, max_parallel);
  keys.integer("context_parallel_size", sizes.context, 1, max_parallel);
  keys.integer("expert_model_parallel_size", asked.expert, 1, max_parallel);
}

/// Hands `count` copies of one replica's ranks to replicas or, if the model is
/// trained, to data parallelism inside one replica.
void spread(model_config& model, std::int64_t count) {
  auto copies = static_cast<std::int32_t>(count);
  model.num_replica = model.trainable ? 1 : copies;
  if (model.trainable)
    model.parallel.data *= copies;
}

/// What the application's own option says.
std::uint64_t memory_max_of(const options& x) {
  auto i = x.values().find(device_memory_key);
  if (i == x.values().end())
    return 0;
  const auto* bytes = std::get_if<std::int64_t>(&i->second);
  return bytes ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, *bytes))
               : 0;
}

void check_memory(section& keys, model_config& model) {
  if (model.on_cpu() && model.offload)
    keys.complain("offload", "a model without num_gpu has no device to give "
                             "memory back to; remove the key");
  if (model.offload && model.profile)
    model.profile->settings.offload = true;
}

void derive_on_gpu(section& keys, model_config& model,
                   const asked_sizes& asked) {
  if (model.num_cpu > 0)
    keys.complain("num_cpu", "a model has either num_gpu or num_cpu; remove "
                             "one of them");
  const auto& sizes = model.parallel;
  // Four factors of at most 2^16 fit.
  auto ranks = std::int64_t{sizes.tensor} * sizes.pipeline * sizes.context;
  if (ranks > max_processes || ranks * asked.expert > max_processes) {
    keys.complain("num_gpu", fmt::format("one replica would have more than {} "
                                         "ranks; lower the parallel sizes",
                                         max_processes));
    return;
  }
  ranks *= asked.expert;
  auto devices = ranks * model.gpu_per_process;
  if (model.all_gpus) {
    if (devices > max_processes) {
      keys.complain("num_gpu", fmt::format("one replica would have more than "
                                           "{} devices; lower the parallel "
                                           "sizes or gpu_per_process",
                                           max_processes));
      return;
    }
    model.num_gpu = static_cast<std::int32_t>(devices);
  }
  if (model.num_gpu % devices != 0) {
    keys.complain(
      "num_gpu",
      fmt::format("{} devices do not divide into replicas of {}: tensor {} x "
                  "pipeline {} x context {} x expert {} ranks with {} each "
                  "(gpu_per_process); make num_gpu a multiple of {} or lower "
                  "a size",
                  model.num_gpu, devices, sizes.tensor, sizes.pipeline,
                  sizes.context, asked.expert, model.gpu_per_process, devices));
    return;
  }
  model.parallel.expert = static_cast<std::int32_t>(asked.expert);
  model.parallel.data = model.parallel.expert;
  spread(model, model.num_gpu / devices);
}

void derive_on_cpu(section& keys, const model_schema& schema,
                   model_config& model, const asked_sizes& asked) {
  if (!schema.cpu) {
    keys.complain("num_gpu", "the application needs devices for this model; "
                             "give num_gpu at least 1");
    return;
  }
  if (model.parallel.world() * asked.expert != 1) {
    keys.complain("", "a model without num_gpu has one rank a replica; remove "
                      "the parallel sizes or give num_gpu");
    return;
  }
  if (model.cpu_per_process == 0)
    model.cpu_per_process = 1;
  if (model.num_cpu == 0)
    model.num_cpu = model.cpu_per_process;
  if (model.num_cpu % model.cpu_per_process != 0) {
    keys.complain("num_cpu",
                  fmt::format("{} cores do not divide into processes of {} "
                              "(cpu_per_process); make num_cpu a multiple of "
                              "{}",
                              model.num_cpu, model.cpu_per_process,
                              model.cpu_per_process));
    return;
  }
  spread(model, model.num_cpu / model.cpu_per_process);
}

} // namespace

model_config read_model(const yaml_node* node, int line,
                        const model_schema& schema, problem_list& problems) {
  model_config model;
  model.name = schema.name;
  model.trainable = schema.trainable;
  section keys{node, line, fmt::format("models.{}", schema.name),
               schema.options, problems};
  asked_sizes asked;
  read_sizes(keys, model, asked);
  keys.flag("isolated", model.isolated);
  keys.flag("offload", model.offload);
  auto declared = std::ranges::any_of(schema.options, [](const auto& x) {
    return x.name == device_memory_key;
  });
  if (!declared)
    keys.byte_count(device_memory_key, model.device_memory_max);
  keys.integer("sync_frequency", model.sync_frequency, 0);
  if (keys.flag("trainable", model.trainable)
      && model.trainable != schema.trainable)
    keys.complain("trainable", fmt::format("the application declares this "
                                           "model as {}; remove the key",
                                           schema.trainable ? "trainable"
                                                            : "not trainable"));
  model.trainable = schema.trainable;
  keys.elsewhere("num_device", "unknown key; ChatLearn's old name of "
                               "'num_gpu'; rename it");
  keys.elsewhere("model_config_file",
                 "unknown key; write the model's options into its section");
  if (const auto* profile = keys.raw("profile"))
    model.profile = read_profile(*profile, keys.line_of("profile"), schema.name,
                                 schema.trainable, problems);
  keys.options(model.options);
  if (declared)
    model.device_memory_max = memory_max_of(model.options);
  keys.finish();
  // Numbers that were refused above have their defaults here: nothing is
  // derived from them that would be a problem of its own.
  if (!keys.sound())
    return model;
  if (model.num_gpu > 0 || model.all_gpus)
    derive_on_gpu(keys, model, asked);
  else
    derive_on_cpu(keys, schema, model, asked);
  check_memory(keys, model);
  if (model.all_gpus && asked.num_replica_given)
    keys.complain("num_replica", "follows from the devices there are, since "
                                 "num_gpu is 'all'; remove one of them");
  if (keys.sound() && asked.num_replica_given
      && asked.num_replica != model.num_replica)
    keys.complain("num_replica",
                  fmt::format("is derived and comes to {}{}, not {}; remove "
                              "the key or change the sizes",
                              model.num_replica,
                              model.trainable
                                ? " (a trained model is one replica)"
                                : "",
                              asked.num_replica));
  return model;
}

void take_all_devices(model_config& model, std::int64_t devices) {
  if (!model.all_gpus)
    return;
  auto copies = std::clamp<std::int64_t>(devices / model.num_gpu, 1,
                                         max_processes / model.num_gpu);
  model.num_gpu *= static_cast<std::int32_t>(copies);
  model.all_gpus = false;
  spread(model, copies);
}

} // namespace troupe::config
