// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/offload.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/adamw.hpp"
#include "troupe/apps/torch/arena.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

/// A stream whose pool holds what the test says.
class scripted_stream : public device_stream {
public:
  dlpack::device device() const noexcept override { return {}; }

  std::optional<pool_figures> pool() const override {
    return pool_figures{reserved, reserved / 2};
  }

  void release() override { reserved = left_by_release; }

  std::uint64_t reserved = 0;
  std::uint64_t left_by_release = 0;
  std::vector<std::string> calls;
  /// For the next time.
  bool refuses = false;

private:
  void enter() override {
    if (std::exchange(refuses, false))
      throw std::runtime_error{"the device failed"};
    calls.emplace_back("enter");
  }
  void leave() noexcept override { calls.emplace_back("leave"); }
  void synchronize() override { calls.emplace_back("synchronize"); }
};

/// Whether `f` throws E with a text that holds all of `parts`.
template <class E, class F>
void check_text(F f, const std::vector<std::string>& parts) {
  BOOST_CHECK_EXCEPTION(f(), E, [&](const E& e) {
    std::string text = e.what();
    BOOST_TEST_MESSAGE(text);
    return std::ranges::all_of(parts, [&](const auto& x) {
      return text.find(x) != std::string::npos;
    });
  });
}

/// Everything that belongs to a small model that trains.
struct model {
  arena parameters{{{"a", {100}}, {"b", {3, 40}}}};
  adamw optimizer{parameters, {}};
  std::unique_ptr<device_stream> stream = make_device_stream({});
  offloader memory{"trainer", *stream, 0};

  model() {
    memory.add(parameters.value_block());
    memory.add(*parameters.gradient_block());
    memory.add(optimizer.first_block());
    memory.add(optimizer.second_block());
  }

  /// One step whose gradients come from a graph over the parameters.
  void step() {
    parameters.zero_gradients();
    parameters[0].square().sum().add(parameters[1].sum()).backward();
    optimizer.step(0.1);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(torch_offload)

BOOST_AUTO_TEST_CASE(a_model_goes_on_after_a_round_trip_as_if_it_never_left) {
  model moved;
  model stayed;
  for (auto* x : {&moved, &stayed})
    for (int i = 0; i < 2; ++i)
      x->step();
  auto* identity = moved.parameters[1].unsafeGetTensorImpl();
  moved.memory.offload();
  BOOST_TEST(moved.memory.offloaded());
  moved.memory.offload();
  moved.memory.onload();
  BOOST_TEST(!moved.memory.offloaded());
  moved.memory.onload();
  BOOST_TEST(moved.parameters[1].unsafeGetTensorImpl() == identity);
  auto gradients_equal = [&] {
    return moved.parameters.flat_gradients().equal(
      stayed.parameters.flat_gradients());
  };
  auto same = [&] {
    return moved.parameters.flat_values().equal(stayed.parameters.flat_values())
           && moved.optimizer.first_moments().equal(
             stayed.optimizer.first_moments())
           && moved.optimizer.second_moments().equal(
             stayed.optimizer.second_moments());
  };
  BOOST_TEST(same());
  // Each step makes them anew: they do not travel.
  auto left = moved.parameters.flat_gradients().abs().sum().item<float>();
  BOOST_TEST(left == 0.0f);
  for (auto* x : {&moved, &stayed})
    x->step();
  BOOST_TEST(same());
  BOOST_TEST(gradients_equal());
  BOOST_TEST(moved.parameters.all_gradients()[100 + 12] == 1.0f);
}

BOOST_AUTO_TEST_CASE(figures_count_what_moves) {
  model x;
  // 100 floats and 120 floats, each from a multiple of 64 bytes on.
  auto bytes = 4u * (448 + 512);
  BOOST_TEST(x.memory.figures().blocks == bytes);
  BOOST_TEST(x.memory.figures().on_device == bytes);
  x.memory.offload();
  BOOST_TEST(x.memory.figures().on_device == 0u);
  BOOST_TEST(x.memory.figures().given_back == bytes);
  BOOST_TEST(x.memory.figures().left_behind == 0u);
  x.memory.offload();
  BOOST_TEST(x.memory.figures().offloads == 1);
  x.memory.onload();
  BOOST_TEST(x.memory.figures().on_device == bytes);
}

BOOST_AUTO_TEST_CASE(functions_of_an_offloaded_model_are_refused_by_name) {
  model x;
  x.memory.offload();
  bool ran = false;
  check_text<
    std::logic_error>([&] { x.memory.run("generate", [&] { ran = true; }); },
                      {"trainer", "generate", "offloaded"});
  BOOST_TEST(!ran);
  BOOST_CHECK_THROW(static_cast<void>(x.parameters.parameters()),
                    std::logic_error);
  x.memory.onload();
  BOOST_TEST(x.memory.run("generate", [] { return 7; }) == 7);
  BOOST_TEST(x.parameters.parameters().size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_function_runs_on_the_stream_which_is_synchronized) {
  scripted_stream stream;
  offloader memory{"policy", stream, 0};
  memory.run("outer", [&] {
    stream.calls.emplace_back("work");
    stream.run([&] { stream.calls.emplace_back("inner"); });
  });
  std::vector<std::string> expected{"enter", "work", "inner", "synchronize",
                                    "leave"};
  BOOST_TEST(stream.calls == expected, boost::test_tools::per_element());
  stream.calls.clear();
  BOOST_CHECK_THROW(memory.run("bad", [] { throw std::runtime_error{"no"}; }),
                    std::runtime_error);
  expected = {"enter", "leave"};
  BOOST_TEST(stream.calls == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_stream_that_could_not_be_entered_is_not_left) {
  scripted_stream stream;
  stream.refuses = true;
  BOOST_CHECK_THROW(stream.run([&] { stream.calls.emplace_back("work"); }),
                    std::runtime_error);
  BOOST_TEST(stream.calls.empty());
  stream.run([&] { stream.calls.emplace_back("work"); });
  std::vector<std::string> expected{"enter", "work", "synchronize", "leave"};
  BOOST_TEST(stream.calls == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(bytes_that_stay_behind_are_an_error_with_figures) {
  device_block block{64, {}, block_use::own};
  scripted_stream stream;
  offloader memory{"policy", stream, 0};
  memory.add(block);
  stream.reserved = 500'000'000;
  stream.left_by_release = 200'000'000;
  check_text<std::runtime_error>([&] { memory.offload(); },
                                 {"policy", "200000000", "500000000",
                                  "100000000"});
  // It is away all the same, and can be loaded.
  BOOST_TEST(memory.offloaded());
  BOOST_TEST(memory.figures().given_back == 300'000'000u);
  memory.onload();
  stream.reserved = 500'000'000;
  stream.left_by_release = offloader::residue_max;
  memory.offload();
  BOOST_TEST(memory.figures().left_behind == offloader::residue_max);
  BOOST_TEST(!block.present());
}

BOOST_AUTO_TEST_CASE(a_model_over_its_limit_is_an_error_with_both_numbers) {
  device_block block{640, {}, block_use::own};
  auto stream = make_device_stream({});
  offloader narrow{"reference", *stream, 639};
  check_text<std::runtime_error>([&] { narrow.add(block); },
                                 {"reference", "640", "device_memory_max",
                                  "639"});
  offloader exact{"reference", *stream, 640};
  exact.add(block);
  exact.run("score", [] {});
  scripted_stream pooled;
  offloader memory{"policy", pooled, 1000};
  memory.run("generate", [&] { pooled.reserved = 1000; });
  check_text<std::runtime_error>(
    [&] { memory.run("generate", [&] { pooled.reserved = 1001; }); },
    {"policy", "generate", "1001", "1000"});
  BOOST_TEST(memory.figures().most_on_device == 1001u);
}

BOOST_AUTO_TEST_CASE(a_cuda_device_is_refused_by_a_build_that_cannot_use_it) {
  // In every build: no machine has so many.
  check_text<std::runtime_error>(
    [] {
      static_cast<void>(make_device_stream({dlpack::device_type::cuda, 4000}));
    },
    {"CUDA"});
}

BOOST_AUTO_TEST_SUITE_END()
