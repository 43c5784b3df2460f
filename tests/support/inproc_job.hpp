// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "troupe/actors/model/model_job.hpp"
#include "troupe/actors/model/parameter_copy.hpp"
#include "troupe/actors/model/registry.hpp"
#include "troupe/actors/model/worker_context.hpp"
#include "troupe/core/batch.hpp"

namespace troupe::test {

/// What a counting_module has seen; one for all ranks of a test.
struct module_notes {
  std::mutex mutex;
  std::vector<std::string> calls;
  /// Runs in `setup`, `on_sync` and the checkpoint functions with their name;
  /// may throw.
  std::function<void(const std::string&)> before;
  /// Runs in `echo`.
  std::function<void(worker_context&)> on_call;
  /// Of the parameter; its memory stays two elements.
  shape extents{2};
};

/// A module that notes its calls and answers with what it was given. Its one
/// parameter is "weight", two float32 that start at zero.
class counting_module : public module {
public:
  explicit counting_module(std::shared_ptr<module_notes> notes)
    : notes_(std::move(notes)) {
    // nop
  }

  void setup(worker_context& ctx) override {
    ctx_ = &ctx;
    note("setup");
  }

  parameter_list parameters() override {
    return {{"weight", dtype::float32, notes_->extents,
             std::as_writable_bytes(std::span{weight_}), true}};
  }

  void on_sync(weight_version version) override {
    note(fmt::format("on_sync {}", version.value()));
  }

  void save_checkpoint(checkpoint_writer& to) override {
    note(fmt::format("save {}", to.rank_file("weight").string()));
    batch content;
    add_parameters(content, parameters());
    to.write("weight", std::move(content));
  }

  void load_checkpoint(const checkpoint_reader& from) override {
    note(fmt::format("load {}", from.rank_file("weight").string()));
    restore_parameters(from.read("weight"), parameters());
  }

  /// Its input, with who answered in "worker" (replica * 10 + rank).
  batch echo(const batch& in) {
    note("echo");
    if (notes_->on_call)
      notes_->on_call(*ctx_);
    batch out;
    for (const auto& [name, x] : in.tensors())
      out.set(name, x);
    out.set_meta("worker", std::int64_t{ctx_->replica().value() * 10
                                        + ctx_->rank().value()});
    return out;
  }

  /// A million bytes for each row of its input.
  batch grow(const batch& in) {
    batch out;
    out.set("big", tensor{dtype::uint8, {in.rows().value(), 1'000'000}});
    return out;
  }

  /// Twenty thousand bytes for each row: small alone, not together.
  batch swell(const batch& in) {
    batch out;
    out.set("some", tensor{dtype::uint8, {in.rows().value(), 20'000}});
    return out;
  }

  batch throws(const batch&) { throw std::runtime_error("out of tea"); }

  batch throws_int(const batch&) { throw 42; }

  batch starves(const batch&) { throw std::bad_alloc{}; }

  /// As libtorch says it, in a type of its own.
  batch starves_in_words(const batch&) {
    throw std::runtime_error("[enforce fail at alloc_cpu.cpp:75] err == 0. "
                             "DefaultCPUAllocator: not enough memory: you "
                             "tried to allocate 4000000000 bytes.\nframe #0");
  }

  /// Fails on the rank that holds row 0.
  batch throws_on_first(const batch& in) {
    if (in.find("x")->values<std::int64_t>().front() == 0)
      throw std::runtime_error("no first rows");
    return in;
  }

  /// Tensors that disagree on the number of rows.
  batch garbage(const batch&) {
    batch out;
    out.set("a", tensor{dtype::uint8, {2}});
    out.set("b", tensor{dtype::uint8, {3}});
    return out;
  }

private:
  void note(std::string what) {
    {
      // Ranks may have threads of their own.
      std::lock_guard guard{notes_->mutex};
      notes_->calls.push_back(what);
    }
    if (notes_->before)
      notes_->before(what);
  }

  std::shared_ptr<module_notes> notes_;
  worker_context* ctx_ = nullptr;
  float weight_[2] = {0, 0};
};

inline void declare(module_registry& models, const std::string& name,
                    const std::shared_ptr<module_notes>& notes) {
  using m = counting_module;
  auto& model = models.add(name, [notes] {
    return std::make_unique<counting_module>(notes);
  });
  model.add_function<m>("echo", &m::echo);
  model.add_function<m>("grow", &m::grow);
  model.add_function<m>("swell", &m::swell);
  model.add_function<m>("throws", &m::throws);
  model.add_function<m>("throws_int", &m::throws_int);
  model.add_function<m>("starves", &m::starves);
  model.add_function<m>("starves_in_words", &m::starves_in_words);
  model.add_function<m>("throws_on_first", &m::throws_on_first);
  model.add_function<m>("garbage", &m::garbage);
}

/// `rows` rows of one int64 column "x": first, first + 1, ...
inline batch numbered(std::int64_t rows, std::int64_t first = 0) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < rows; ++i)
    values.push_back(first + i);
  batch out;
  out.set("x", tensor::copy_of(std::span<const std::int64_t>{values}, {rows}));
  return out;
}

inline std::vector<std::int64_t> numbers_of(const batch& x) {
  auto values = x.get("x").value().values<std::int64_t>();
  return {values.begin(), values.end()};
}

/// A model of `num_replica` replicas of `data` ranks each, every rank on a
/// device of its own on node 0.
inline model::model_job job_of(const std::string& name, int num_replica,
                               int data) {
  model::model_job job;
  job.spec.name = name;
  job.spec.num_gpu = num_replica * data;
  job.spec.num_replica = num_replica;
  job.spec.parallel.data = data;
  job.place.name = name;
  for (auto i = 0; i < num_replica; ++i) {
    planner::replica_place replica;
    for (auto rank = 0; rank < data; ++rank)
      replica.ranks.push_back({node_id{0}, {device_id{i * data + rank}}});
    job.place.replicas.push_back(std::move(replica));
  }
  job.seed = 1;
  bytes options_bytes;
  options{}.encode(options_bytes);
  job.config = protocol::to_payload(options_bytes);
  return job;
}

} // namespace troupe::test
