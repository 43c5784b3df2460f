// SPDX-License-Identifier: Apache-2.0
// An application that breaks where a test wants it to: two data-parallel ranks
// train, two replicas generate on the same devices, a reward is computed on the
// CPU host.
#include <cmath>
#include <cstdlib>
#include <random>

#include "apps/faulty/fault.hpp"
#include "troupe/actors/model/parameter_copy.hpp"
#include "troupe/apps/app/app.hpp"
#include "troupe/core/exception.hpp"

namespace {

using troupe::batch;
using troupe::tensor;
using troupe::test::fault;

class generator : public troupe::module {
public:
  void setup(troupe::worker_context& ctx) override {
    ctx_ = &ctx;
    fault_ = fault{ctx};
    fault_.reach("setup");
  }

  troupe::parameter_list parameters() override {
    return {{ctx_->config().string("parameter"),
             troupe::dtype::float32,
             {1},
             std::as_writable_bytes(std::span{&mean_, 1})}};
  }

  void save_checkpoint(troupe::checkpoint_writer& to) override {
    fault_.reach("saving");
    batch content;
    troupe::add_parameters(content, parameters());
    to.write("weights", std::move(content));
  }

  void load_checkpoint(const troupe::checkpoint_reader& from) override {
    fault_.reach("loading");
    troupe::restore_parameters(from.read("weights"), parameters());
  }

  void on_sync(troupe::weight_version) override { fault_.reach("on_sync"); }

  batch generate(const batch& prompts) {
    fault_.reach("generation");
    tensor guesses{troupe::dtype::float32, {prompts.rows().value()}};
    std::normal_distribution<float> noise{0, 1};
    for (auto& x : guesses.values<float>())
      x = mean_ + noise(ctx_->generator());
    auto out = prompts;
    out.set("guess", guesses);
    return out;
  }

protected:
  float mean_ = 0;
  troupe::worker_context* ctx_ = nullptr;
  fault fault_;
};

class trainer : public generator {
public:
  batch train_step(const batch& experience) {
    fault_.reach("training");
    auto guesses = experience.get("guess").value();
    auto rewards = experience.get("reward").value();
    // Sum of weighted guesses, sum of weights: added over the ranks.
    float sums[] = {0, 0};
    for (std::size_t i = 0; i < guesses.values<float>().size(); ++i) {
      auto weight = std::exp(rewards.values<float>()[i]);
      sums[0] += weight * guesses.values<float>()[i];
      sums[1] += weight;
    }
    if (auto* group = ctx_->data_parallel()) {
      auto added = group->all_reduce(std::as_writable_bytes(std::span{sums}),
                                     troupe::dtype::float32,
                                     troupe::comm::reduce_op::sum,
                                     ctx_->collective_deadline());
      if (!added)
        throw troupe::exception(added.error().within("all_reduce"));
    }
    mean_ = sums[0] / sums[1];
    batch metrics;
    metrics.set_meta("mean", double{mean_});
    if (fault_.wanted("training", "nan"))
      metrics.set_meta("mean", std::nan(""));
    return metrics;
  }
};

class reward : public troupe::module {
public:
  void setup(troupe::worker_context& ctx) override {
    fault_ = fault{ctx};
    fault_.reach("setup");
  }

  batch score(const batch& guesses) {
    fault_.reach("reward");
    auto x = guesses.get("guess").value();
    tensor out{troupe::dtype::float32, x.extents()};
    for (std::size_t i = 0; i < x.values<float>().size(); ++i)
      out.values<float>()[i] = -std::abs(x.values<float>()[i] - 7);
    auto scored = guesses;
    scored.set("reward", out);
    return scored;
  }

private:
  fault fault_;
};

/// Of the driver. Plain functions and data run one after the other, if not in
/// one thread.
fault& driver_fault() {
  static auto out = fault::of_driver();
  return out;
}

class prompts : public troupe::data_source {
public:
  batch draw(troupe::data_stream, std::int64_t rows) override {
    driver_fault().reach("generation");
    tensor numbers{troupe::dtype::int64, {rows}};
    for (auto& x : numbers.values<std::int64_t>())
      x = next_++;
    batch out;
    out.set("prompt", numbers);
    return out;
  }

  batch position() const override {
    // A run asks once before it begins.
    driver_fault().reach(asked_ ? "saving" : "setup");
    asked_ = true;
    batch out;
    out.set_meta("next", next_);
    return out;
  }

  void seek(const batch& position) override {
    next_ = static_cast<std::int64_t>(position.meta_number("next"));
  }

  batch all(troupe::data_stream stream) override { return draw(stream, 0); }

private:
  std::int64_t next_ = 0;
  mutable bool asked_ = false;
};

/// The engine asks for it when training begins.
double mean_reward(const batch& experience) {
  driver_fault().reach("training");
  auto rewards = experience.get("reward").value();
  double sum = 0;
  for (auto x : rewards.values<float>())
    sum += x;
  return sum / static_cast<double>(rewards.size());
}

std::vector<troupe::option_spec> options() {
  auto out = fault::options();
  out.push_back({"parameter", std::string{"mean"}, "the parameter's name"});
  return out;
}

/// A host that never reports: nothing but its process exists.
void hold_start(int) {
  if (const auto* fifo = std::getenv("FAULTY_HOLD_START"))
    troupe::test::hold(fifo, "host", "start");
}

} // namespace

int main(int argc, char** argv) {
  troupe::app app{"faulty"};
  app.model<trainer>("trainer")
    .trainable("train_step", &trainer::train_step)
    .same_on_data_ranks()
    .options(options());
  app.model<generator>("policy")
    .function("generate", &generator::generate)
    .options(options());
  app.model<reward>("reward")
    .on_cpu()
    .function("score", &reward::score)
    .options(fault::options());
  app.sync("trainer", "policy");
  app.data([]() -> troupe::result<std::unique_ptr<troupe::data_source>> {
    driver_fault().reach("data");
    return std::make_unique<prompts>();
  });
  app.experience([](troupe::flow& f, troupe::flow::value in) {
    auto guesses = f.call("policy", &generator::generate, in);
    return f.call("reward", &reward::score, guesses);
  });
  app.training([](troupe::flow& f, troupe::flow::value experience) {
    f.call("trainer", &trainer::train_step, experience);
  });
  app.metric("mean_reward", mean_reward);
  app.prepare_host(hold_start);
  return app.main(argc, argv);
}
