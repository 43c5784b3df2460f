// SPDX-License-Identifier: Apache-2.0
// Training and inference on the same devices, in processes of their own, weights
// handed over in place: what vLLM's example rlhf_colocate shows.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "troupe/apps/app/app.hpp"
#include "troupe/comm/shared_memory.hpp"
#include "troupe/core/exception.hpp"

namespace {

using troupe::batch;
using troupe::tensor;

constexpr std::int64_t num_layers = 4;
constexpr std::int64_t width = 256;

/// What a rank tells of itself: doubles, this many.
constexpr std::int64_t num_facts = 6;

void require(bool holds, const std::string& what) {
  if (!holds)
    throw std::runtime_error(what);
}

template <class T>
T value_of(troupe::result<T> x) {
  if (!x)
    throw troupe::exception(x.error());
  if constexpr (!std::is_void_v<T>)
    return std::move(*x);
}

/// A model of a few square matrices, of which a rank holds some rows. They lie
/// in memory of its device that another process reads without a copy here;
/// nothing below asks what kind of device that is.
class matrices : public troupe::module {
public:
  troupe::parameter_list parameters() override {
    troupe::parameter_list out;
    for (std::size_t i = 0; i < num_layers; ++i) {
      auto name = fmt::format("model.layers.{}.weight", i);
      troupe::parameter x;
      x.name = name;
      x.extents = {rows_, width};
      x.memory = layer(i);
      x.segments = {
        {name,
         value_of(troupe::box::make(std::vector{first_, std::int64_t{0}},
                                    std::vector{first_ + rows_, width})),
         {0, 0}}};
      x.arena = memory_;
      x.device = ctx_->device();
      out.push_back(std::move(x));
    }
    return out;
  }

  /// A row a rank: its device, its process, its bytes and the sum of what it
  /// holds. The ranks of a replica gather theirs.
  batch describe(const batch&) {
    auto device = ctx_->device();
    auto on_gpu = device.type == troupe::dlpack::device_type::cuda;
    std::vector<double> mine{static_cast<double>(ctx_->device_index()),
                             static_cast<double>(::getpid()),
                             static_cast<double>(num_layers * layer(0).size()),
                             0,
                             on_gpu ? 1.0 : 0.0,
                             static_cast<double>(
                               on_gpu ? device.id : ctx_->device_index())};
    for (std::size_t i = 0; i < num_layers; ++i)
      mine[3] += sum_of_layer(i);
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
    out.set("ranks",
            tensor::copy_of(std::span<const double>{all}, {ranks, num_facts}));
    return out;
  }

protected:
  void make(troupe::worker_context& ctx, std::int64_t first, std::int64_t rows,
            float value) {
    ctx_ = &ctx;
    first_ = first;
    rows_ = rows;
    memory_ = value_of(ctx.allocate_shared(num_layers * layer_bytes()));
    fill(value);
  }

  void fill(float value) {
    std::vector<float> all(num_layers * layer_bytes() / sizeof(float), value);
    value_of(ctx_->put(layer(0).data(), std::as_bytes(std::span{all})));
  }

  /// Whether `describe` tells of all ranks of the replica at once.
  [[nodiscard]] virtual bool gathers() const { return true; }

  [[nodiscard]] std::size_t layer_bytes() const {
    return static_cast<std::size_t>(rows_ * width) * sizeof(float);
  }

  /// On the device: not for our own eyes.
  [[nodiscard]] std::span<std::byte> layer(std::size_t i) const {
    return memory_->memory().subspan(i * layer_bytes(), layer_bytes());
  }

  [[nodiscard]] double sum_of_layer(std::size_t i) const {
    std::vector<float> here(layer_bytes() / sizeof(float));
    value_of(
      ctx_->get(std::as_writable_bytes(std::span{here}), layer(i).data()));
    return std::accumulate(here.begin(), here.end(), 0.0);
  }

  troupe::worker_context* ctx_ = nullptr;
  std::shared_ptr<troupe::comm::shared_memory> memory_;
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
    fill(0);
    return describe({});
  }

protected:
  // Each data-parallel rank answers for itself.
  bool gathers() const override { return false; }
};

// -- the driver's side ---------------------------------------------------------

struct rank_view {
  /// Of its node's devices, and what people call it.
  std::int64_t device = 0;
  std::string name;
  std::int64_t pid = 0;
  double bytes = 0;
  double sum = 0;
};

std::vector<rank_view> ranks_of(const batch& x) {
  std::vector<rank_view> out;
  auto ranks = value_of(x.get("ranks"));
  auto values = ranks.values<double>();
  for (std::size_t i = 0; i + num_facts <= values.size(); i += num_facts)
    out.push_back({static_cast<std::int64_t>(values[i]),
                   fmt::format("{}:{:.0f}", values[i + 4] != 0 ? "cuda" : "cpu",
                               values[i + 5]),
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
    out.push_back(x.name);
  return fmt::format("{}", fmt::join(out, ", "));
}

double sum_of(const std::vector<rank_view>& ranks) {
  return std::accumulate(ranks.begin(), ranks.end(), 0.0,
                         [](double sum, const auto& x) { return sum + x.sum; });
}

/// Reports devices and processes, and asserts that they are shared and not.
batch check_colocation(const std::vector<batch>& in, std::int64_t num_ranks) {
  auto trains = ranks_of(in[0]);
  auto infers = ranks_of(in[1]);
  auto expected = static_cast<std::size_t>(num_ranks);
  require(trains.size() == expected && infers.size() == expected,
          fmt::format("{} training and {} inference ranks answered, {} each "
                      "were expected",
                      trains.size(), infers.size(), num_ranks));
  say("training workers are on " + devices_of(trains));
  // What an instance holds together is one whole model.
  auto ranks = std::max<std::size_t>(1, static_cast<std::size_t>(
                                          trains[0].bytes / infers[0].bytes));
  for (std::size_t i = 0; i < infers.size(); i += ranks)
    say(fmt::format("inference instance {} is on {}", i / ranks,
                    devices_of({infers.begin() + static_cast<std::ptrdiff_t>(i),
                                infers.begin()
                                  + static_cast<std::ptrdiff_t>(
                                    std::min(i + ranks, infers.size()))})));
  std::map<std::int64_t, std::vector<rank_view>> handles;
  for (std::size_t i = 0; i < trains.size(); ++i) {
    require(trains[i].device == infers[i].device,
            fmt::format("rank {} trains on {} and infers on {}", i,
                        trains[i].name, infers[i].name));
    require(trains[i].pid != infers[i].pid,
            fmt::format("rank {} trains and infers in process {}", i,
                        trains[i].pid));
    handles[trains[i].device].push_back(trains[i]);
  }
  say("each instance shares its devices with the training workers there, in "
      "processes of its own");
  for (const auto& [device, owners] : handles)
    for (const auto& x : owners)
      say(fmt::format("{}: {} tensors, {:.0f} KiB, shared by process {}",
                      x.name, num_layers, x.bytes / 1024, x.pid));
  batch out;
  out.set_meta("inference_sum", sum_of(infers));
  out.set("weights", tensor{troupe::dtype::uint8, {num_ranks}});
  return out;
}

/// A row for each rank: the configuration has as many samples as devices.
class episodes : public troupe::data_source {
public:
  explicit episodes(std::shared_ptr<std::atomic<std::int64_t>> num_ranks)
    : num_ranks_(std::move(num_ranks)) {
    // nop
  }

  batch draw(troupe::data_stream, std::int64_t rows) override {
    *num_ranks_ = rows;
    batch out;
    out.set("rank", tensor{troupe::dtype::uint8, {rows}});
    return out;
  }

  batch all(troupe::data_stream) override { return {}; }

private:
  std::shared_ptr<std::atomic<std::int64_t>> num_ranks_;
};

} // namespace

int main(int argc, char** argv) {
  troupe::app app{"colocate"};
  app.model<training>("training")
    .trainable("zero_weights", &training::zero_weights)
    .function("describe", &training::describe);
  app.model<inference>("inference").function("describe", &inference::describe);
  app.sync("training", "inference");
  // Devices, and ranks of each model.
  auto num_ranks = std::make_shared<std::atomic<std::int64_t>>(0);
  app.data(
    [num_ranks]() -> troupe::result<std::unique_ptr<troupe::data_source>> {
      return std::make_unique<episodes>(num_ranks);
    });
  // Before training: who is where, and what inference holds.
  app.experience([num_ranks](troupe::flow& f, troupe::flow::value in) {
    auto trains = f.call("training", &training::describe, in);
    auto infers = f.call("inference", &inference::describe, in);
    return f.apply("check",
                   [num_ranks](const std::vector<batch>& x) {
                     return check_colocation(x, *num_ranks);
                   },
                   {trains, infers});
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
        say("training weights are zeroed; inference reads them where they "
            "are");
        return batch{};
      },
      zeroed);
  });
  return app.main(argc, argv);
}
