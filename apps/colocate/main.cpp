// SPDX-License-Identifier: Apache-2.0
// Training and inference on the same devices, in processes of their own, weights
// handed over by shared memory: what vLLM's example rlhf_colocate shows.
#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "troupe/apps/app/app.hpp"
#include "troupe/comm/shm/arena.hpp"

namespace {

using troupe::batch;
using troupe::tensor;

constexpr std::int64_t num_layers = 4;
constexpr std::int64_t width = 256;

/// Devices, and ranks of each model.
constexpr std::int64_t num_ranks = 4;

void require(bool holds, const std::string& what) {
  if (!holds)
    throw std::runtime_error(what);
}

template <class T>
T value_of(troupe::result<T> x) {
  if (!x)
    throw std::runtime_error(to_string(x.error()));
  return std::move(*x);
}

/// A model of a few square matrices, of which a rank holds some rows. They lie
/// in an arena, so that another process reads them without a copy here.
class matrices : public troupe::module {
public:
  troupe::parameter_list parameters() override {
    troupe::parameter_list out;
    for (std::int64_t i = 0; i < num_layers; ++i) {
      auto name = fmt::format("model.layers.{}.weight", i);
      troupe::parameter x;
      x.name = name;
      x.extents = {rows_, width};
      x.memory = layers_[static_cast<std::size_t>(i)].bytes();
      x.segments = {
        {name,
         value_of(troupe::box::make(std::vector{first_, std::int64_t{0}},
                                    std::vector{first_ + rows_, width})),
         {0, 0}}};
      x.arena = arena_;
      out.push_back(std::move(x));
    }
    return out;
  }

  /// A row a rank: its device, its process, its bytes and the sum of what it
  /// holds. The ranks of a replica gather theirs.
  batch describe(const batch&) {
    std::vector<double> mine{static_cast<double>(ctx_->device_index()),
                             static_cast<double>(::getpid()), 0, 0};
    for (auto& layer : layers_) {
      mine[2] += static_cast<double>(layer.bytes().size());
      for (auto x : floats(layer))
        mine[3] += x;
    }
    auto* world = ctx_->world();
    auto ranks = gathers() && world ? world->size() : 1;
    std::vector<double> all(mine.size() * static_cast<std::size_t>(ranks));
    if (ranks == 1) {
      all = mine;
    } else {
      auto done = world->all_gather(std::as_bytes(std::span{mine}),
                                    std::as_writable_bytes(std::span{all}),
                                    ctx_->collective_deadline());
      require(done.has_value(), "the ranks could not gather");
    }
    batch out;
    out.set("ranks", tensor::copy_of(std::span<const double>{all}, {ranks, 4}));
    return out;
  }

protected:
  void make(troupe::worker_context& ctx, std::int64_t first, std::int64_t rows,
            float value) {
    ctx_ = &ctx;
    first_ = first;
    rows_ = rows;
    auto bytes = static_cast<std::size_t>(rows * width) * sizeof(float);
    arena_ = value_of(
      troupe::comm::shm::arena::create(num_layers * (bytes + 4096)));
    for (std::int64_t i = 0; i < num_layers; ++i) {
      layers_.push_back(value_of(arena_->allocate(bytes)));
      std::ranges::fill(floats(layers_.back()), value);
    }
  }

  /// Whether `describe` tells of all ranks of the replica at once.
  [[nodiscard]] virtual bool gathers() const { return true; }

  static std::span<float> floats(troupe::buffer& x) {
    auto bytes = x.bytes();
    return {reinterpret_cast<float*>(bytes.data()),
            bytes.size() / sizeof(float)};
  }

  troupe::worker_context* ctx_ = nullptr;
  std::shared_ptr<troupe::comm::shm::arena> arena_;
  std::vector<troupe::buffer> layers_;
  std::int64_t first_ = 0;
  std::int64_t rows_ = 0;
};

/// One of two ranks of an inference engine: half of the rows.
class inference : public matrices {
public:
  void setup(troupe::worker_context& ctx) override {
    auto rows = width / ctx.world_size();
    make(ctx, rows * ctx.rank().value(), rows, 1);
  }
};

/// A training worker: all of the model.
class training : public matrices {
public:
  void setup(troupe::worker_context& ctx) override { make(ctx, 0, width, 2); }

  batch zero_weights(const batch&) {
    for (auto& layer : layers_)
      std::ranges::fill(floats(layer), 0.0F);
    return describe({});
  }

protected:
  // Each data-parallel rank answers for itself.
  bool gathers() const override { return false; }
};

// -- the driver's side ---------------------------------------------------------

struct rank_view {
  std::int64_t device = 0;
  std::int64_t pid = 0;
  double bytes = 0;
  double sum = 0;
};

std::vector<rank_view> ranks_of(const batch& x) {
  std::vector<rank_view> out;
  auto ranks = value_of(x.get("ranks"));
  auto values = ranks.values<double>();
  for (std::size_t i = 0; i + 3 < values.size(); i += 4)
    out.push_back({static_cast<std::int64_t>(values[i]),
                   static_cast<std::int64_t>(values[i + 1]), values[i + 2],
                   values[i + 3]});
  return out;
}

void say(const std::string& text) {
  fmt::print("colocate: {}\n", text);
  std::fflush(stdout);
}

std::string devices_of(const std::vector<rank_view>& ranks) {
  std::vector<std::string> out;
  for (const auto& x : ranks)
    out.push_back(fmt::format("cpu:{}", x.device));
  return fmt::format("{}", fmt::join(out, ", "));
}

double sum_of(const std::vector<rank_view>& ranks) {
  return std::accumulate(ranks.begin(), ranks.end(), 0.0,
                         [](double sum, const auto& x) { return sum + x.sum; });
}

/// Reports devices and processes, and asserts that they are shared and not.
batch check_colocation(const std::vector<batch>& in) {
  auto trains = ranks_of(in[0]);
  auto infers = ranks_of(in[1]);
  require(trains.size() == num_ranks && infers.size() == num_ranks,
          fmt::format("{} training and {} inference ranks answered, {} each "
                      "were expected",
                      trains.size(), infers.size(), num_ranks));
  say("training workers are on " + devices_of(trains));
  for (std::size_t i = 0; i < infers.size(); i += 2)
    say(fmt::format("inference instance {} is on {}", i / 2,
                    devices_of({infers[i], infers[i + 1]})));
  std::map<std::int64_t, std::vector<rank_view>> handles;
  for (std::size_t i = 0; i < trains.size(); ++i) {
    require(trains[i].device == infers[i].device,
            fmt::format("rank {} trains on cpu:{} and infers on cpu:{}", i,
                        trains[i].device, infers[i].device));
    require(trains[i].pid != infers[i].pid,
            fmt::format("rank {} trains and infers in process {}", i,
                        trains[i].pid));
    handles[trains[i].device].push_back(trains[i]);
  }
  say("each instance shares its devices with the training workers there, in "
      "processes of its own");
  for (const auto& [device, owners] : handles)
    for (const auto& x : owners)
      say(fmt::format("cpu:{}: {} tensors, {:.0f} KiB, shared by process {}",
                      device, num_layers, x.bytes / 1024, x.pid));
  batch out;
  out.set_meta("inference_sum", sum_of(infers));
  out.set("weights", tensor{troupe::dtype::uint8, {num_ranks}});
  return out;
}

class episodes : public troupe::data_source {
public:
  batch draw(troupe::data_stream, std::int64_t) override {
    batch out;
    out.set("rank", tensor{troupe::dtype::uint8, {num_ranks}});
    return out;
  }

  batch all(troupe::data_stream) override { return {}; }
};

} // namespace

int main(int argc, char** argv) {
  troupe::app app{"colocate"};
  app.model<training>("training")
    .trainable("zero_weights", &training::zero_weights)
    .function("describe", &training::describe);
  app.model<inference>("inference").function("describe", &inference::describe);
  app.sync("training", "inference");
  app.data([]() -> troupe::result<std::unique_ptr<troupe::data_source>> {
    return std::make_unique<episodes>();
  });
  // Before training: who is where, and what inference holds.
  app.experience([](troupe::flow& f, troupe::flow::value in) {
    auto trains = f.call("training", &training::describe, in);
    auto infers = f.call("inference", &inference::describe, in);
    return f.apply("check", check_colocation, {trains, infers});
  });
  // One counter, however often the function is copied.
  auto step = std::make_shared<int>(0);
  app.metric("inference_sum", [step](const batch& x) {
    auto sum = x.meta_number("inference_sum");
    if ((*step)++ == 0) {
      say(fmt::format("inference weights add up to {:.0f}", sum));
      require(sum != 0, "inference has no weights to change");
    } else {
      say(fmt::format("inference weights add up to {:.0f} after the update",
                      sum));
      require(sum == 0, "the update did not reach inference");
      say("the change is verified");
    }
    return sum;
  });
  app.training([](troupe::flow& f, troupe::flow::value experience) {
    auto zeroed = f.call("training", &training::zero_weights, experience);
    f.apply(
      "zeroed",
      [](const batch& x) {
        require(sum_of(ranks_of(x)) == 0, "training weights are not zero");
        say("training weights are zeroed; inference gets them through shared "
            "memory");
        return batch{};
      },
      zeroed);
  });
  return app.main(argc, argv);
}
