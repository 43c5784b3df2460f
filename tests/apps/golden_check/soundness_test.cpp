// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/soundness.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe::golden;

namespace {

using verifier = problem_list (*)(const json&, const json&);

bool sound(verifier judge, const char* in, const char* out) {
  auto wrong = judge(json::parse(in), json::parse(out));
  for (const auto& line : wrong)
    BOOST_TEST_MESSAGE(line);
  return wrong.empty();
}

constexpr const char* config_in = R"({
  "models": [{"name": "a", "num_gpu": 8}],
  "runtime": {"sample_per_episode": 16, "train_micro_batch_size": 2}})";

json config_out() {
  return json::parse(R"({
    "runtime": {"train_global_batch_size": 4, "colocation": [["a"], ["b"]]},
    "models": {"a": {
      "num_replica": 4, "gpu_per_process": 1, "cpu_per_process": null,
      "generation_batch_size": 4, "tensor_model_parallel_size": 2,
      "pipeline_model_parallel_size": 1, "expert_model_parallel_size": 1,
      "zero_size": 1, "fsdp_size": 1,
      "module": {"num_replica": 4, "num_gpu_per_replica": 2}}}})");
}

} // namespace

BOOST_AUTO_TEST_SUITE(soundness)

BOOST_AUTO_TEST_CASE(a_refusal_needs_a_reason) {
  for (auto judge : {sched_problems, split_groups_problems, ports_problems,
                     lbrank_problems, config_problems, bucket_problems}) {
    BOOST_TEST(
      sound(judge, "{}", R"({"error": {"type": "KeyError", "msg": "no"}})"));
    BOOST_TEST(
      !sound(judge, "{}", R"({"error": {"type": "KeyError", "msg": ""}})"));
  }
}

BOOST_AUTO_TEST_CASE(waves_hold_every_task_once_and_no_rank_twice) {
  const auto* in = R"({"tasks": [[1, 2], [1, 3], [4, 4]]})";
  auto judge = [&](const char* out) { return sound(sched_problems, in, out); };
  BOOST_TEST(judge(R"({"waves": [[0, 2], [1]]})"));
  BOOST_TEST(judge(R"({"waves": [[1], [2], [0]]})"));
  BOOST_TEST(!judge(R"({"waves": [[0, 1], [2]]})"));
  BOOST_TEST(!judge(R"({"waves": [[0, 2]]})"));
  BOOST_TEST(!judge(R"({"waves": [[0, 2], [1], [2]]})"));
  BOOST_TEST(!judge(R"({"waves": [[0, 2], [1], [3]]})"));
  BOOST_TEST(!judge(R"({"waves": [[0, 2], [1], []]})"));
}

BOOST_AUTO_TEST_CASE(senders_go_once_and_share_no_rank) {
  const auto* in = R"({"order": [1, 0], "send_recv": [[0, [8]], [1, [8, 9]]]})";
  auto judge = [&](const char* out) {
    return sound(split_groups_problems, in, out);
  };
  BOOST_TEST(judge(R"({"groups": [[1], [0]]})"));
  BOOST_TEST(!judge(R"({"groups": [[1, 0]]})"));
  BOOST_TEST(!judge(R"({"groups": [[1]]})"));
  BOOST_TEST(!judge(R"({"groups": [[1], [0], [1]]})"));
  BOOST_TEST(!judge(R"({"groups": [[1], [2]]})"));
}

BOOST_AUTO_TEST_CASE(nodes_get_usable_ports_as_long_as_there_are_some) {
  const auto* in = R"({"custom_ports": [1, 2, 3, 4], "asks": [0, 0, 0, 5]})";
  auto judge = [&](const char* out) { return sound(ports_problems, in, out); };
  BOOST_TEST(
    judge(R"({"usable": [1, 2, 3, 4], "given": [3, 4, "assert", 3]})"));
  BOOST_TEST(!judge(R"({"usable": [1, 2, 3, 4], "given": [3, 3, 4, 3]})"));
  BOOST_TEST(
    !judge(R"({"usable": [1, 2, 3, 4], "given": [3, "assert", 4, 3]})"));
  BOOST_TEST(
    !judge(R"({"usable": [1, 2, 3, 4], "given": [3, 7, "assert", 3]})"));
  BOOST_TEST(!judge(R"({"usable": [1, 2, 3, 4], "given": [3, 4]})"));
  BOOST_TEST(!judge(R"({"usable": [2, 1, 3, 4],
                        "given": [3, 4, "assert", 3]})"));
}

BOOST_AUTO_TEST_CASE(choices_are_legal_and_balanced) {
  // Rank 1 shares its GPU with candidate 8.
  const auto* in = R"({
    "tp_map": 2, "dst_groups": [[8, 9]],
    "gpu": {"src": {"0": 0, "1": 1}, "dst": {"8": 1, "9": 2}},
    "calls": [[0, 0, 0, 0, false], [0, 0, 1, 0, true], [0, 0, 0, 0, true]]})";
  auto judge = [&](const char* out) { return sound(lbrank_problems, in, out); };
  BOOST_TEST(judge(R"({"results": [[8, false], [9, true], [null, false]]})"));
  BOOST_TEST(judge(R"({"results": [[8, false],
                       {"error": {"type": "RuntimeError", "msg": "no"}}]})"));
  BOOST_TEST(!judge(R"({"results": [[8, false], [8, true], [null, false]]})"));
  BOOST_TEST(!judge(R"({"results": [[8, false], [9, false], [null, false]]})"));
  BOOST_TEST(!judge(R"({"results": [[8, false], [9, true], [8, false]]})"));
  BOOST_TEST(!judge(R"({"results": [[7, false], [9, true], [null, false]]})"));
  BOOST_TEST(!judge(R"({"results": [[8, false], [9, true]]})"));
  const auto* twice = R"({
    "tp_map": 2, "dst_groups": [[8, 9]],
    "gpu": {"src": {"0": 0}, "dst": {"8": 1, "9": 2}},
    "calls": [[0, 0, 0, 0, false], [0, 0, 0, 0, false]]})";
  BOOST_TEST(
    sound(lbrank_problems, twice, R"({"results": [[8, false], [9, false]]})"));
  BOOST_TEST(
    !sound(lbrank_problems, twice, R"({"results": [[8, false], [8, false]]})"));
}

BOOST_AUTO_TEST_CASE(a_configuration_makes_up_its_gpus_and_batches) {
  auto in = json::parse(config_in);
  BOOST_TEST(config_problems(in, config_out()).empty());
  auto broken = [&](auto&& change) {
    auto out = config_out();
    change(out);
    return !config_problems(in, out).empty();
  };
  auto model = [](json& out) -> json& { return out["models"]["a"]; };
  BOOST_TEST(broken([&](json& out) { out["models"] = json::object(); }));
  BOOST_TEST(
    broken([&](json& out) { model(out)["module"]["num_replica"] = 3; }));
  BOOST_TEST(broken([&](json& out) { model(out)["zero_size"] = 0; }));
  BOOST_TEST(
    broken([&](json& out) { model(out)["tensor_model_parallel_size"] = 4; }));
  BOOST_TEST(broken([&](json& out) { model(out)["gpu_per_process"] = 0; }));
  BOOST_TEST(
    broken([&](json& out) { model(out)["generation_batch_size"] = 5; }));
  BOOST_TEST(
    broken([&](json& out) { out["runtime"]["train_global_batch_size"] = 3; }));
  BOOST_TEST(broken([&](json& out) {
    out["runtime"]["colocation"] = json::parse(R"([["a"], ["a", "b"]])");
  }));
}

BOOST_AUTO_TEST_CASE(buckets_hold_every_tensor_once_below_the_limit) {
  const auto* in = R"({"bucket_mb": 1, "tensors": [
    ["f32", 200000, 4, 0], ["f32", 200000, 4, 0], ["f16", 10, 2, 0],
    ["f32", 10, 4, 1]]})";
  auto judge = [&](const char* out) { return sound(bucket_problems, in, out); };
  BOOST_TEST(judge(R"({"dense": [[0], [1], [2]], "sparse": [3]})"));
  BOOST_TEST(!judge(R"({"dense": [[0, 1], [2]], "sparse": [3]})"));
  BOOST_TEST(!judge(R"({"dense": [[0], [1, 2]], "sparse": [3]})"));
  BOOST_TEST(!judge(R"({"dense": [[0], [1], [2], [3]], "sparse": []})"));
  BOOST_TEST(!judge(R"({"dense": [[0], [2]], "sparse": [3]})"));
  BOOST_TEST(!judge(R"({"dense": [[0], [1], [1], [2]], "sparse": [3]})"));
  BOOST_TEST(judge(R"({"yield": [[[0, 200000, 1]], {"sparse": 3},
                                 [[1, 400000, 2]], [[2, 10, 1]]]})"));
  BOOST_TEST(!judge(R"({"yield": [[[0, 200000, 1], [1, 200000, 1]],
                                  {"sparse": 3}, [[2, 10, 1]]]})"));
}

BOOST_AUTO_TEST_SUITE_END()
