// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/memory_fit.hpp"

#include <algorithm>
#include <string>

#include <boost/test/unit_test.hpp>

#include "planner/sample_job.hpp"
#include "planner/simple_place.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

result<memory_report> check(const sample_job& sample, const cluster& machines,
                            const memory_fit_options& options = {}) {
  auto plan = simple_place(sample.job, machines);
  BOOST_REQUIRE_MESSAGE(plan, test::why(plan));
  return check_memory(*plan, sample.job, machines, sample.profiles,
                      simple_place, options);
}

} // namespace

BOOST_AUTO_TEST_SUITE(memory_fit)

BOOST_AUTO_TEST_CASE(a_job_that_fits_is_reported) {
  sample_job sample;
  auto report = check(sample, machines_of(1, 8, 80 * gib));
  BOOST_REQUIRE_MESSAGE(report, test::why(report));
  BOOST_TEST(report->devices.size() == 8u);
  for (const auto& device : report->devices) {
    BOOST_TEST(device.fits());
    BOOST_TEST(device.models.size() == 3u);
    BOOST_TEST(device.peak() > 30 * gib);
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_limit_is_never_exceeded) {
  sample_job sample;
  BOOST_TEST(check(sample, machines_of(1, 8, 0)).has_value());
}

BOOST_AUTO_TEST_CASE(over_commitment_names_device_models_bytes_and_remedy) {
  sample_job sample;
  auto report = check(sample, machines_of(1, 8, 48 * gib));
  BOOST_REQUIRE(!report);
  BOOST_TEST((report.error().code() == errc::exhausted));
  const auto& text = report.error().message();
  BOOST_TEST_MESSAGE(text);
  BOOST_TEST(contains(text, "device 0 on node0"));
  BOOST_TEST(contains(text, "policy_trainer "));
  BOOST_TEST(contains(text, "GiB of its 48.0 GiB in "));
  BOOST_TEST(contains(text, "the cheapest change that fits: set "
                            "distributed_optimizer: true for policy_trainer"));
}

BOOST_AUTO_TEST_CASE(a_remedy_really_fits) {
  for (auto gibs : {30u, 34u, 40u, 44u, 48u, 52u}) {
    sample_job sample;
    auto machines = machines_of(1, 8, gibs * gib);
    auto plan = simple_place(sample.job, machines);
    if (!check(sample, machines)) {
      auto remedy = find_remedy(sample.job, machines, sample.profiles,
                                simple_place);
      BOOST_REQUIRE_MESSAGE(remedy, "none with " << gibs << " GiB");
      BOOST_TEST_MESSAGE(gibs << " GiB: " << remedy->text);
      auto again = simple_place(remedy->job, machines);
      BOOST_REQUIRE(again);
      auto report = check_memory(*again, remedy->job, machines,
                                 remedy->profiles, simple_place);
      BOOST_TEST(report.has_value());
      BOOST_TEST(remedy->peak_bytes <= gibs * gib);
    }
  }
}

BOOST_AUTO_TEST_CASE(larger_tensor_sizes_keep_the_devices) {
  // A generator alone: offload cannot help it.
  sample_job sample;
  sample.job.models = {spec_of("policy", 1, 1, 8)};
  sample.job.colocation.clear();
  sample.job.syncs.clear();
  auto machines = machines_of(1, 8, 24 * gib);
  auto remedy = find_remedy(sample.job, machines, sample.profiles,
                            simple_place);
  BOOST_REQUIRE(remedy);
  BOOST_TEST(remedy->text
             == "raise tensor_model_parallel_size of policy from 1 to 2 "
                "(replicas left: 4)");
  BOOST_TEST(remedy->job.models[0].num_gpu == 8);
}

BOOST_AUTO_TEST_CASE(another_colocation_uses_devices_that_are_free) {
  sample_job sample;
  sample.job.models = {spec_of("a", 8, 1, 1), spec_of("b", 8, 1, 1)};
  sample.job.colocation = {{"a", "b"}};
  sample.job.syncs.clear();
  sample.profiles = {profile_of("a", model_role::train),
                     profile_of("b", model_role::generate)};
  // Offload is cheaper in the fixed order, the cost says otherwise.
  memory_fit_options options;
  options.cost = [](const job_spec&, const placement&,
                    std::span<const model_profile> profiles) {
    return profiles[0].offload || profiles[1].offload ? 2.0 : 1.0;
  };
  auto machines = machines_of(2, 8, 80 * gib);
  auto plan = *simple_place(sample.job, machines);
  auto peak = estimate_memory(plan, sample.job, machines, sample.profiles)
                ->devices.front()
                .peak();
  machines = machines_of(2, 8, peak - mib);
  auto first = find_remedy(sample.job, machines, sample.profiles, simple_place);
  BOOST_REQUIRE(first);
  BOOST_TEST(contains(first->text, "offload"));
  auto cheap = find_remedy(sample.job, machines, sample.profiles, simple_place,
                           options);
  BOOST_REQUIRE(cheap);
  BOOST_TEST(cheap->text == "take a out of its colocation group");
}

BOOST_AUTO_TEST_CASE(changes_that_help_only_together_are_found) {
  sample_job sample;
  auto machines = machines_of(2, 8, 80 * gib);
  // As if memory sufficed after these three changes only.
  auto picky = [](const job_spec& job,
                  const cluster& where) -> result<placement> {
    if (job.models[0].parallel.tensor == 8 && job.models[1].num_replica == 1
        && job.models[1].parallel.tensor == 2
        && job.colocation.front().size() == 2
        && job.colocation.front()[1] == "policy")
      return simple_place(job, where);
    return fail(errc::exhausted, "not enough");
  };
  auto remedy = find_remedy(sample.job, machines, sample.profiles, picky);
  BOOST_REQUIRE(remedy);
  BOOST_TEST(remedy->text
             == "raise tensor_model_parallel_size of policy_trainer from 4 to "
                "8 (data copies left: 1), and take reference out of its "
                "colocation group, and lower the replicas of policy from 4 to "
                "1 (num_gpu: 2)");
}

BOOST_AUTO_TEST_CASE(heads_that_do_not_divide_are_the_last_resort) {
  sample_job sample;
  for (auto& profile : sample.profiles)
    profile.shape->num_attention_heads = 28;
  auto machines = machines_of(1, 8, 80 * gib);
  auto needs = [](std::int32_t tensor) {
    return
      [tensor](const job_spec& job, const cluster& where) -> result<placement> {
        if (job.models[1].parallel.tensor == tensor)
          return simple_place(job, where);
        return fail(errc::exhausted, "not enough");
      };
  };
  auto remedy = find_remedy(sample.job, machines, sample.profiles, needs(4));
  BOOST_REQUIRE(remedy);
  BOOST_TEST(!contains(remedy->text, "heads"));
  remedy = find_remedy(sample.job, machines, sample.profiles, needs(8));
  BOOST_REQUIRE(remedy);
  BOOST_TEST(contains(remedy->text, "from 2 to 8"));
  BOOST_TEST(contains(remedy->text, "does not divide the 28 attention heads"));
}

BOOST_AUTO_TEST_CASE(many_models_are_offloaded_as_far_as_needed) {
  sample_job sample;
  sample.job = {};
  sample.profiles.clear();
  auto& group = sample.job.colocation.emplace_back();
  for (int i = 0; i < 16; ++i) {
    auto name = "model" + std::to_string(i);
    group.push_back(name);
    sample.job.models.push_back(spec_of(name, 2, 1, 4));
    sample.profiles.push_back(profile_of(name, model_role::score));
  }
  auto peak = [&] {
    auto machines = machines_of(1, 8, 0);
    auto plan = *simple_place(sample.job, machines);
    return estimate_memory(plan, sample.job, machines, sample.profiles)
      ->devices.front()
      .peak();
  };
  auto given = sample.profiles;
  for (std::size_t i = 0; i < 8; ++i)
    sample.profiles[i].offload = true;
  auto machines = machines_of(1, 8, peak());
  sample.profiles = given;
  BOOST_REQUIRE(peak() > machines.nodes[0].devices[0].memory_bytes);
  auto remedy = find_remedy(sample.job, machines, sample.profiles,
                            simple_place);
  BOOST_REQUIRE(remedy);
  BOOST_TEST_MESSAGE(remedy->text);
  BOOST_TEST(remedy->peak_bytes <= machines.nodes[0].devices[0].memory_bytes);
  auto offloaded = std::count_if(remedy->profiles.begin(),
                                 remedy->profiles.end(),
                                 [](const auto& x) { return x.offload; });
  BOOST_TEST(offloaded <= 8);
}

BOOST_AUTO_TEST_CASE(what_cannot_fit_says_so) {
  sample_job sample;
  auto report = check(sample, machines_of(1, 8, 2 * gib));
  BOOST_REQUIRE(!report);
  BOOST_TEST(contains(report.error().message(),
                      "use more or larger devices, or smaller models"));
}

BOOST_AUTO_TEST_CASE(models_take_turns_when_they_are_offloaded) {
  sample_job sample;
  auto machines = machines_of(1, 8, 80 * gib);
  auto plan = *simple_place(sample.job, machines);
  auto peak = [&] {
    auto report = *estimate_memory(plan, sample.job, machines, sample.profiles);
    return report.devices.front();
  };
  auto together = peak();
  for (auto& profile : sample.profiles)
    profile.offload = true;
  auto apart = peak();
  for (auto when : all_phases) {
    auto i = static_cast<std::size_t>(when);
    BOOST_TEST(apart.bytes[i] < together.bytes[i]);
    std::uint64_t fullest = 0;
    for (const auto& use : apart.models)
      fullest = std::max(fullest, use.active[i].total());
    if (when != phase::sync)
      BOOST_TEST(apart.bytes[i] == fullest + gib);
  }
}

BOOST_AUTO_TEST_CASE(a_placement_of_another_job_is_refused) {
  sample_job sample;
  auto machines = machines_of(1, 8, 80 * gib);
  auto plan = *simple_place(sample.job, machines);
  auto refused = [&](const job_spec& job, const cluster& where) {
    auto x = estimate_memory(plan, job, where, sample.profiles);
    return !x && x.error().code() == errc::invalid;
  };
  BOOST_TEST(refused({}, machines));
  BOOST_TEST(refused(sample.job, machines_of(1, 4, 0)));
  auto job = sample.job;
  job.models[0].parallel.tensor = 1;
  BOOST_TEST(refused(job, machines));
  job.models[0].parallel.tensor = 0;
  BOOST_TEST(refused(job, machines));
}

BOOST_AUTO_TEST_SUITE_END()
