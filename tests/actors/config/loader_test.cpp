// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/loader.hpp"

#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>

#include "actors/config/schema_for_tests.hpp"
#include "support/why.hpp"
#include "troupe/actors/config/dump.hpp"

using namespace troupe;
using namespace troupe::config;
using namespace std::literals;

namespace {

result<job_config> parse_with(std::string_view text,
                              std::vector<std::string> overrides = {}) {
  return parse(text, "x.yaml", schema_for_tests(), overrides);
}

/// The job of `text`, which must be right.
job_config job_of(std::string_view text,
                  std::vector<std::string> overrides = {}) {
  auto job = parse_with(text, std::move(overrides));
  BOOST_REQUIRE_MESSAGE(job.has_value(), test::why(job));
  return *job;
}

std::string complaint(std::string_view text,
                      std::vector<std::string> overrides = {}) {
  auto job = parse_with(text, std::move(overrides));
  BOOST_REQUIRE(!job.has_value());
  BOOST_TEST((job.error().code() == errc::invalid));
  return job.error().message();
}

} // namespace

BOOST_AUTO_TEST_SUITE(loader)

BOOST_AUTO_TEST_CASE(values_defaults_and_derived_numbers_are_filled_in) {
  auto job = job_of(good_yaml());
  BOOST_TEST(job.app == "grpo");
  BOOST_REQUIRE(job.models.size() == 4u);
  const auto* trainer = job.find("policy_trainer");
  BOOST_REQUIRE(trainer != nullptr);
  BOOST_TEST(trainer->trainable);
  BOOST_TEST(trainer->num_replica == 1);
  BOOST_TEST(trainer->parallel.data == 2);
  BOOST_TEST(trainer->options.number("learning_rate") == 4e-4);
  const auto* policy = job.find("policy");
  BOOST_TEST(policy->num_replica == 2);
  BOOST_TEST(policy->parallel.data == 1);
  BOOST_TEST(policy->sync_frequency == 1);
  BOOST_TEST(policy->options.number("temperature") == 1.0);
  BOOST_TEST(policy->options.string("stop") == "\n");
  const auto* reward = job.find("reward");
  BOOST_TEST(reward->on_cpu());
  BOOST_TEST(reward->num_cpu == 1);
  BOOST_TEST(reward->num_replica == 1);
  BOOST_TEST(job.runtime.seed == 3);
  BOOST_TEST(job.runtime.options.integer("group_size") == 8);
  BOOST_TEST(job.runtime.colocation.size() == 1u);
  BOOST_TEST((job.runtime.call_timeout == 60s));
  BOOST_TEST(job.find("nobody") == nullptr);
}

BOOST_AUTO_TEST_CASE(an_application_changes_defaults_of_the_runtime) {
  auto job = job_of(good_yaml());
  BOOST_TEST(job.runtime.num_episode == 10);
  BOOST_TEST(!job.runtime.options.contains("num_episode"));
  BOOST_TEST(job_of(good_yaml(), {"runtime.num_episode=7"}).runtime.num_episode
             == 7);
}

BOOST_AUTO_TEST_CASE(a_runtime_section_is_not_required) {
  std::string text = good_yaml();
  auto job = job_of(text.substr(0, text.find("runtime:")));
  BOOST_TEST(job.runtime.seed == 1);
  BOOST_TEST(job.runtime.colocation.empty());
}

BOOST_AUTO_TEST_CASE(overrides_replace_and_add) {
  auto job = job_of(good_yaml(),
                    {"runtime.seed=4", "runtime.seed=5",
                     "models.policy.temperature=0.7", "models.policy.stop=",
                     "models.reward.num_cpu=3", "runtime.colocation=all",
                     "runtime.store_bytes_max=2 MiB"});
  BOOST_TEST(job.runtime.seed == 5);
  BOOST_TEST(job.find("policy")->options.number("temperature") == 0.7);
  BOOST_TEST(job.find("policy")->options.string("stop").empty());
  BOOST_TEST(job.find("reward")->num_replica == 3);
  BOOST_TEST(job.runtime.store_bytes_max == 2u * 1024 * 1024);
  std::vector<std::string> all{"policy_trainer", "policy", "reference"};
  BOOST_TEST_REQUIRE(job.runtime.colocation.size() == 1u);
  BOOST_TEST(job.runtime.colocation[0] == all);
}

BOOST_AUTO_TEST_CASE(a_job_may_come_from_overrides_alone) {
  auto job = job_of("", {"models.policy_trainer.num_gpu=1",
                         "models.policy={num_gpu: 1, greedy: True}",
                         "models.reference.num_gpu=1"});
  BOOST_TEST(job.find("policy")->options.boolean("greedy"));
}

BOOST_AUTO_TEST_CASE(groups_are_written_in_both_ways) {
  auto lists = job_of(good_yaml());
  auto words = job_of(good_yaml(), {"runtime.colocation=[\"policy_trainer, "
                                    "policy,reference\"]"});
  BOOST_TEST((lists == words));
}

BOOST_AUTO_TEST_CASE(parallel_sizes_divide_devices_into_replicas) {
  auto job = job_of(good_yaml(),
                    {"models.policy.num_gpu=16",
                     "models.policy.tensor_model_parallel_size=2",
                     "models.policy.pipeline_model_parallel_size=2",
                     "models.policy.gpu_per_process=2",
                     "models.policy.num_replica=2",
                     "models.policy_trainer.num_gpu=16",
                     "models.policy_trainer.tensor_model_parallel_size=2",
                     "models.policy_trainer.expert_model_parallel_size=4"});
  const auto* policy = job.find("policy");
  BOOST_TEST(policy->num_replica == 2);
  BOOST_TEST(policy->parallel.world() == 4);
  const auto* trainer = job.find("policy_trainer");
  BOOST_TEST(trainer->num_replica == 1);
  BOOST_TEST(trainer->parallel.data == 8);
  BOOST_TEST(trainer->parallel.world() == 16);
  BOOST_TEST(trainer->parallel.expert == 4);
}

BOOST_AUTO_TEST_CASE(models_may_take_all_devices_there_are) {
  std::vector<std::string> all{"models.policy_trainer.num_gpu=all",
                               "models.policy.num_gpu=all",
                               "models.policy.tensor_model_parallel_size=2"};
  // The sizes of one replica until the devices are known.
  auto job = job_of(good_yaml(), all);
  BOOST_TEST(job.find("policy_trainer")->num_gpu == 1);
  BOOST_TEST(job.find("policy")->num_gpu == 2);
  auto again = parse(dump_yaml(job, schema_for_tests()), "dump.yaml",
                     schema_for_tests());
  BOOST_REQUIRE_MESSAGE(again.has_value(), test::why(again));
  BOOST_TEST((*again == job));
  struct row {
    std::int64_t devices;
    std::int32_t trainer_ranks;
    std::int32_t policy_replicas;
  };
  // Half a replica is none; a job that does not fit is refused by its plan.
  for (const auto& row : std::vector<row>{{1, 1, 1}, {2, 2, 1}, {7, 7, 3}}) {
    BOOST_TEST_CONTEXT("devices " << row.devices) {
      auto settled = job;
      take_all_devices(settled, row.devices);
      const auto& trainer = *settled.find("policy_trainer");
      BOOST_TEST(trainer.num_gpu == row.trainer_ranks);
      BOOST_TEST(trainer.num_replica == 1);
      BOOST_TEST(trainer.parallel.data == row.trainer_ranks);
      const auto& policy = *settled.find("policy");
      BOOST_TEST(policy.num_gpu == 2 * row.policy_replicas);
      BOOST_TEST(policy.num_replica == row.policy_replicas);
      BOOST_TEST(settled.find("reference")->num_gpu == 2);
      // They say what they have from now on, whatever is there later.
      auto later = settled;
      take_all_devices(later, 16);
      BOOST_TEST((later == settled));
      auto dumped = parse(dump_yaml(settled, schema_for_tests()), "dump.yaml",
                          schema_for_tests());
      BOOST_REQUIRE_MESSAGE(dumped.has_value(), test::why(dumped));
      BOOST_TEST((*dumped == settled));
    }
  }
  BOOST_TEST(
    complaint(good_yaml(), {"models.policy.num_gpu=al"})
    == "--set: models.policy.num_gpu: expected an integer, found 'al'; "
       "allowed besides: all");
  BOOST_TEST(
    complaint(good_yaml(), {"models.policy.num_gpu=all",
                            "models.policy.gpu_per_process=1000000",
                            "models.policy."
                            "tensor_model_parallel_size=2"})
    == "--set: models.policy.num_gpu: one replica would have more than "
       "1000000 devices; lower the parallel sizes or "
       "gpu_per_process");
  all.emplace_back("models.policy.num_replica=1");
  BOOST_TEST(complaint(good_yaml(), all)
             == "--set: models.policy.num_replica: follows from the devices "
                "there are, since num_gpu is 'all'; remove one of them");
}

BOOST_AUTO_TEST_CASE(models_say_what_they_do_with_their_devices_memory) {
  auto job = job_of(good_yaml(), {"models.policy.offload=true",
                                  "models.policy.device_memory_max=2 GiB",
                                  "models.policy.profile={num_parameters: 8, "
                                  "num_layers: 1}"});
  BOOST_TEST(job.find("policy")->offload);
  BOOST_TEST(job.find("policy")->device_memory_max == std::uint64_t{2} << 30);
  // The plan counts on it.
  BOOST_TEST(job.find("policy")->profile->settings.offload);
  BOOST_TEST(!job.find("reference")->offload);
  BOOST_TEST(job.find("reference")->device_memory_max == 0u);
}

BOOST_AUTO_TEST_CASE(an_application_may_bound_memory_by_an_option_of_its_own) {
  auto schema = schema_for_tests();
  schema.models[1].options.push_back(
    {"device_memory_max", std::int64_t{0}, "bytes"});
  auto job = parse(good_yaml(), "x.yaml", schema,
                   std::vector<std::string>{"models.policy.device_memory_max=7",
                                            "models.reference."
                                            "device_memory_max=8"});
  BOOST_REQUIRE_MESSAGE(job.has_value(), test::why(job));
  BOOST_TEST(job->find("policy")->options.integer("device_memory_max") == 7);
  BOOST_TEST(job->find("policy")->device_memory_max == 7u);
  BOOST_TEST(job->find("reference")->device_memory_max == 8u);
  auto none = parse(good_yaml(), "x.yaml", schema);
  BOOST_REQUIRE(none.has_value());
  BOOST_TEST(none->find("policy")->device_memory_max == 0u);
}

BOOST_AUTO_TEST_CASE(the_planner_gets_what_it_must_know) {
  auto job = job_of(good_yaml(), {"runtime.placement=aligned"});
  auto spec = to_job_spec(job, schema_for_tests().syncs);
  BOOST_REQUIRE(spec.models.size() == 4u);
  BOOST_TEST(spec.models[0].trainable);
  BOOST_TEST(spec.models[0].parallel.data == 2);
  BOOST_TEST(spec.models[1].num_replica == 2);
  BOOST_TEST(spec.models[3].on_cpu());
  BOOST_TEST(spec.models[3].num_cpu == 1);
  BOOST_TEST((spec.colocation == job.runtime.colocation));
  BOOST_TEST(spec.syncs.size() == 1u);
  BOOST_TEST((spec.order == planner::placement_order::aligned));
}

BOOST_AUTO_TEST_CASE(files_are_read_and_select_their_application) {
  auto dir = std::filesystem::temp_directory_path();
  auto file = dir / ("troupe-loader-" + std::to_string(::getpid()) + ".yaml");
  std::ofstream{file} << good_yaml();
  auto job = load(file, schema_for_tests());
  BOOST_REQUIRE_MESSAGE(job.has_value(), test::why(job));
  BOOST_TEST((*job == job_of(good_yaml())));
  auto app = peek_app(file);
  BOOST_REQUIRE(app.has_value());
  BOOST_TEST(*app == "grpo");
  std::filesystem::remove(file);
  job = load(file, schema_for_tests());
  BOOST_REQUIRE(!job.has_value());
  BOOST_TEST(job.error().message()
             == file.string() + ": cannot be read: No such file or directory");
  job = load(dir, schema_for_tests());
  BOOST_REQUIRE(!job.has_value());
  BOOST_TEST(job.error().message()
             == dir.string() + ": cannot be read: is a directory");
}

// -- bad input ----------------------------------------------------------------

BOOST_AUTO_TEST_CASE(wrong_values_name_file_line_key_and_remedy) {
  struct row {
    const char* what;
    const char* where;
    const char* instead;
    const char* message;
  };
  std::vector<row> rows{
    {"misspelt key", "    num_gpu: 2\n    temperature: 1\n",
     "    num_gpus: 2\n    temperature: 1\n",
     "x.yaml:6: models.policy.num_gpus: unknown key; did you mean "
     "'num_gpu'? allowed here: "
     "context_parallel_size, cpu_per_process, device_memory_max, "
     "expert_model_parallel_size, gpu_per_process, greedy, isolated, "
     "max_tokens, num_cpu, num_gpu, num_replica, offload, "
     "pipeline_model_parallel_size, profile, stop, sync_frequency, "
     "temperature, tensor_model_parallel_size, trainable"},
    {"offload without a device", "  reference:\n",
     "  reward:\n    offload: true\n  reference:\n",
     "x.yaml:9: models.reward.offload: a model without num_gpu has no device "
     "to "
     "give memory back to; remove the key"},
    {"misspelt section", "runtime:", "runtme:",
     "x.yaml:10: runtme: unknown key; did you mean 'runtime'? allowed here: "
     "app, models, runtime, workload"},
    {"unknown model", "  reference:\n",
     "  referense:\n    num_gpu: 1\n"
     "  reference:\n",
     "x.yaml:8: models.referense: unknown key; did you mean "
     "'reference'? allowed here: policy, policy_trainer, reference, reward"},
    {"missing model", "  reference:\n    num_gpu: 2\n", "",
     "x.yaml:2: models.reference: is missing: the application needs this "
     "model; give it at least num_gpu"},
    {"text for an integer", "seed: 3", "seed: three",
     "x.yaml:12: runtime.seed: expected an integer, found 'three'"},
    {"number for an integer", "seed: 3", "seed: 3.5",
     "x.yaml:12: runtime.seed: expected an integer, found '3.5'"},
    {"list for an integer", "seed: 3", "seed: [3]",
     "x.yaml:12: runtime.seed: expected an integer, found a list"},
    {"nothing for an integer", "seed: 3",
     "seed:", "x.yaml:12: runtime.seed: expected an integer, found nothing"},
    {"huge integer", "seed: 3", "seed: 99999999999999999999",
     "x.yaml:12: runtime.seed: '99999999999999999999' is too large"},
    {"huge count", "num_gpu: 2\n    temp", "num_gpu: 2000000000\n    temp",
     "x.yaml:6: models.policy.num_gpu: must be at most 1000000, is "
     "2000000000"},
    {"negative", "seed: 3", "seed: -1",
     "x.yaml:12: runtime.seed: must be at least 0, is -1"},
    {"word for a number", "temperature: 1", "temperature: hot",
     "x.yaml:7: models.policy.temperature: expected a number, found 'hot'"},
    {"huge number", "temperature: 1", "temperature: 1e999",
     "x.yaml:7: models.policy.temperature: '1e999' does not fit a 64-bit "
     "floating-point number"},
    {"word for a flag", "temperature: 1", "greedy: 1",
     "x.yaml:7: models.policy.greedy: expected true or false, found '1'"},
    {"unknown word", "seed: 3", "placement: reverse",
     "x.yaml:12: runtime.placement: unknown value 'reverse'; allowed: "
     "reversed, aligned; did you mean 'reversed'?"},
    {"wrong unit", "seed: 3", "store_bytes_max: 3 GB",
     "x.yaml:12: runtime.store_bytes_max: expected bytes, for example 512 "
     "MiB, found '3 GB'"},
    {"too many bytes", "seed: 3", "store_bytes_max: 99999999999 TiB",
     "x.yaml:12: runtime.store_bytes_max: '99999999999 TiB' is too large"},
    {"no time", "seed: 3", "call_timeout_ms: 0",
     "x.yaml:12: runtime.call_timeout_ms: must be at least 1, is 0"},
    {"restart from nothing", "seed: 3", "on_failure: restart",
     "x.yaml:12: runtime.on_failure: restart needs checkpoints to go on from; "
     "set save_episode_interval to 1 or more"},
    {"pulses too slow", "seed: 3", "pulse_ms: 6000",
     "x.yaml:10: runtime.pulse_timeout_ms: must be greater than pulse_ms: "
     "800 is not greater than 6000"},
    {"duplicate key", "seed: 3\n", "seed: 3\n  seed: 4\n",
     "x.yaml:12: runtime.seed: stands here twice, on line 12 and on line 13; "
     "remove one"},
    {"section as a list", "runtime:\n", "runtime: [1]\nrest:\n",
     "x.yaml:10: runtime: expected a section with keys, found a list\n"
     "x.yaml:11: rest: unknown key; allowed here: app, models, runtime, "
     "workload"},
    {"other application", "app: grpo", "app: ppo",
     "x.yaml:1: app: the configuration is for 'ppo', this application is "
     "'grpo'"},
    {"unknown colocated model", "policy, reference]]", "polcy, reference]]",
     "x.yaml:11: runtime.colocation: unknown model 'polcy'; the application "
     "has: policy_trainer, policy, reference, reward; did you mean "
     "'policy'?"},
    {"model in two groups", "policy, reference]]",
     "policy], [policy, reference]]",
     "x.yaml:11: runtime.colocation: model 'policy' stands in group 1 and in "
     "group 2; a model shares devices with one group"},
    {"model twice in a group", "policy, reference]]", "policy, policy]]",
     "x.yaml:11: runtime.colocation: model 'policy' stands twice in group 1"},
    {"CPU model in a group", "policy, reference]]", "policy, reward]]",
     "x.yaml:11: runtime.colocation: model 'reward' runs on the CPU host and "
     "shares no device; remove it from the group or give it num_gpu"},
    {"colocation as a word", "[[policy_trainer, policy, reference]]", "every",
     "x.yaml:11: runtime.colocation: expected 'all' or a list of groups such "
     "as [[policy, reference]], found 'every'"},
    {"sizes that do not divide", "temperature: 1",
     "tensor_model_parallel_size: 4",
     "x.yaml:6: models.policy.num_gpu: 2 devices do not divide into replicas "
     "of 4: tensor 4 x pipeline 1 x context 1 x expert 1 ranks with 1 each "
     "(gpu_per_process); make num_gpu a multiple of 4 or lower a size"},
    {"overflowing sizes", "temperature: 1",
     "tensor_model_parallel_size: 65536\n    pipeline_model_parallel_size: "
     "65536\n    context_parallel_size: 65536\n    "
     "expert_model_parallel_size: 65536",
     "x.yaml:6: models.policy.num_gpu: one replica would have more than "
     "1000000 ranks; lower the parallel sizes"},
    {"replicas that disagree", "temperature: 1", "num_replica: 1",
     "x.yaml:7: models.policy.num_replica: is derived and comes to 2, not 1; "
     "remove the key or change the sizes"},
    {"no devices", "num_gpu: 2\n    temp", "num_gpu: 0\n    temp",
     "x.yaml:6: models.policy.num_gpu: the application needs devices for this "
     "model; give num_gpu at least 1"},
    {"both kinds", "temperature: 1", "num_cpu: 1",
     "x.yaml:7: models.policy.num_cpu: a model has either num_gpu or num_cpu; "
     "remove one of them"},
    {"trained after all", "temperature: 1", "trainable: true",
     "x.yaml:7: models.policy.trainable: the application declares this model "
     "as not trainable; remove the key"},
    {"ChatLearn's old name", "temperature: 1", "num_device: 1",
     "x.yaml:7: models.policy.num_device: unknown key; ChatLearn's old name "
     "of 'num_gpu'; rename it"},
    {"an alias", "seed: 3", "seed: &a 3\n  debug: *a",
     "x.yaml:13: aliases (*name) are not supported; write the value out"},
    {"a tag", "seed: 3", "seed: !!python/object:os.system 3",
     "x.yaml:12: tags ('tag:yaml.org,2002:python/object:os.system') are not "
     "supported"},
    {"a tab", "  seed: 3", "\tseed: 3",
     "x.yaml:12: is indented with a tab; YAML takes blanks alone"},
    {"an open bracket", "seed: 3", "seed: [3",
     "x.yaml:13: not YAML: end of sequence flow not found"},
    {"two documents", "  seed: 3\n", "---\na: 1\n",
     "x.yaml: holds more than one YAML document (---)"},
    {"a list as a key", "seed: 3", "? [1, 2]\n  : 3",
     "x.yaml:12: a key must be a word, not a list"},
    {"escape sequences", "seed: 3", "\"\\e[2J\\u009b\": 3",
     "x.yaml:12: runtime.?[2J?: unknown key; allowed here: "
     "call_timeout_ms, certs, checkpoint_timeout_ms, checkpoints_max, "
     "collective_timeout_ms, colocation, concurrent_comm, "
     "data_path, debug, deterministic, devices, driver_grace_ms, "
     "eval_data_path, "
     "eval_episode_interval, free_sync_collective_group, group_size, "
     "log_level, max_restarts, monitor, monitor_port, node_lag_ms, "
     "node_return_ms, nodes, num_episode, "
     "on_failure, on_non_finite, output_dir, placement, pulse_ms, "
     "pulse_timeout_ms, rejoin_timeout_ms, restart_backoff_ms, run_name, "
     "sample_per_episode, "
     "save_episode_interval, "
     "seed, setup_timeout_ms, shutdown_timeout_ms, store_bytes_max, "
     "straggler_factor, straggler_min_ms, "
     "sync_buffer_bytes_max, sync_dry_run, sync_link, sync_mode, "
     "sync_planner, sync_requires_grad, sync_staging_bytes_max, "
     "sync_timeout_ms, sync_warm_up, validate_every"},
  };
  for (const auto& row : rows) {
    std::string text = good_yaml();
    auto at = text.find(row.where);
    BOOST_REQUIRE_MESSAGE(at != std::string::npos, row.what);
    text.replace(at, std::string{row.where}.size(), row.instead);
    auto job = parse_with(text);
    BOOST_REQUIRE_MESSAGE(!job.has_value(), row.what);
    BOOST_TEST(job.error().message() == row.message,
               row.what << ":\n"
                        << job.error().message() << "\n is not \n"
                        << row.message);
  }
}

BOOST_AUTO_TEST_CASE(wrong_overrides_are_named_as_such) {
  struct row {
    const char* assignment;
    const char* message;
  };
  std::vector<row> rows{
    {"runtime.sed=3",
     "--set: runtime.sed: unknown key; did you mean 'seed'? allowed here: "
     "call_timeout_ms, certs, checkpoint_timeout_ms, checkpoints_max, "
     "collective_timeout_ms, colocation, concurrent_comm, data_path, debug, "
     "deterministic, devices, driver_grace_ms, eval_data_path, "
     "eval_episode_interval, "
     "free_sync_collective_group, group_size, log_level, max_restarts, "
     "monitor, monitor_port, node_lag_ms, node_return_ms, nodes, num_episode, "
     "on_failure, on_non_finite, "
     "output_dir, placement, pulse_ms, pulse_timeout_ms, rejoin_timeout_ms, "
     "restart_backoff_ms, "
     "run_name, "
     "sample_per_episode, save_episode_interval, seed, setup_timeout_ms, "
     "shutdown_timeout_ms, store_bytes_max, straggler_factor, "
     "straggler_min_ms, sync_buffer_bytes_max, "
     "sync_dry_run, sync_link, sync_mode, sync_planner, sync_requires_grad, "
     "sync_staging_bytes_max, sync_timeout_ms, sync_warm_up, validate_every"},
    {"runtime.debug=maybe",
     "--set: runtime.debug: expected true or false, found 'maybe'"},
    {"seed", "--set 'seed': expected KEY=VALUE, for example runtime.seed=3"},
    {"=3", "--set '=3': expected KEY=VALUE, for example runtime.seed=3"},
    {"runtime..seed=3",
     "--set 'runtime..seed=3': expected a key like runtime.seed"},
    {"app.x=3", "--set 'app.x=3': 'grpo' stands where 'x' would need a "
                "section"},
    {"runtime.seed=[", "--set 'runtime.seed=[': value: not YAML: end of "
                       "sequence flow not found"},
  };
  for (const auto& row : rows)
    BOOST_TEST(complaint(good_yaml(), {row.assignment}) == row.message);
}

BOOST_AUTO_TEST_CASE(all_problems_are_reported_at_once_and_by_line) {
  std::string text = good_yaml();
  text.replace(text.find("num_gpu: 2"), 10, "num_gpu: x");
  text.replace(text.find("seed: 3"), 7, "seed: y");
  BOOST_TEST(complaint(text, {"models.policy.num_gpu=-2", "app=dpo"})
             == "x.yaml:4: models.policy_trainer.num_gpu: expected an integer, "
                "found 'x'; allowed besides: all\n"
                "x.yaml:12: runtime.seed: expected an integer, found 'y'\n"
                "--set: app: the configuration is for 'dpo', this "
                "application is 'grpo'\n"
                "--set: models.policy.num_gpu: must be at least 0, is -2");
}

BOOST_AUTO_TEST_CASE(more_than_ten_problems_are_counted) {
  std::string text = good_yaml();
  for (auto i = 0; i < 5000; ++i)
    text += "  key" + std::to_string(i) + ": 1\n";
  auto message = complaint(text);
  BOOST_TEST(message.ends_with("\n... and 4990 more"));
  BOOST_TEST(std::count(message.begin(), message.end(), '\n') == 10);
}

BOOST_AUTO_TEST_CASE(what_is_no_configuration_is_refused_unread) {
  BOOST_TEST(complaint(std::string(max_file_bytes + 1, ' '))
             == "x.yaml: is larger than 256 KiB: not a configuration");
  BOOST_TEST(complaint("a: 1\nb: \0"sv)
             == "x.yaml:2: holds a NUL byte: not a text file");
  BOOST_TEST(complaint("a: \"\\0\"") == "x.yaml:1: a NUL character in a value");
  BOOST_TEST(complaint(std::string(100000, '['))
             == "x.yaml:1: nested more than 16 deep");
  BOOST_TEST(complaint("just words")
             == "x.yaml:1: expected a section with keys, found 'just words'\n"
                "x.yaml:1: models.policy_trainer: is missing: the application "
                "needs this model; give it at least num_gpu\n"
                "x.yaml:1: models.policy: is missing: the application needs "
                "this model; give it at least num_gpu\n"
                "x.yaml:1: models.reference: is missing: the application needs "
                "this model; give it at least num_gpu");
  std::string deep;
  for (auto i = 0; i < 1000; ++i)
    deep += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  BOOST_TEST(complaint(deep.substr(0, max_file_bytes))
             == "x.yaml:17: nested more than 16 deep");
}

BOOST_AUTO_TEST_CASE(a_sync_of_undeclared_models_is_a_bug_of_the_application) {
  auto schema = schema_for_tests();
  schema.syncs.push_back({"policy", "critic"});
  auto job = parse(good_yaml(), "x.yaml", schema);
  BOOST_REQUIRE(!job.has_value());
  BOOST_TEST(job.error().message()
             == "application grpo: a sync names the model 'critic', which is "
                "not declared");
}

BOOST_AUTO_TEST_CASE(an_override_is_blamed_for_its_own_value) {
  auto text = complaint(good_yaml(), {"models.policy.num_gpu=many"});
  BOOST_TEST(text.find("--set") != std::string::npos, text);
  BOOST_TEST(text.find("x.yaml:") == std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(an_option_outside_of_its_range_is_refused) {
  auto schema = schema_for_tests();
  schema.models[1].options[0].range = above_zero;
  std::vector<std::string> overrides{"models.policy.temperature=-1"};
  auto job = parse(good_yaml(), "x.yaml", schema, overrides);
  BOOST_REQUIRE(!job);
  BOOST_TEST(job.error().message()
             == "--set: models.policy.temperature: must be above 0, is -1.0");
}

BOOST_AUTO_TEST_SUITE_END()
