// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/inproc_launcher.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/sync/sync_group.hpp"

namespace troupe::test {

/// Elements of a weight_holder's tensors.
inline constexpr std::size_t weight_elements = 8;

/// What all ranks of a model are told besides their calls.
struct wishes {
  std::atomic<bool> rename = false;
  std::atomic<bool> throw_on_sync = false;
};

/// "w" trains, "f" does not; both lie on the rank's device. What depends on the
/// weights is built in `on_sync`.
class weight_holder : public module {
public:
  using values = std::array<float, weight_elements>;

  explicit weight_holder(std::shared_ptr<wishes> all)
    : wishes_(std::move(all)) {
    // nop
  }

  void setup(worker_context& ctx) override {
    ctx_ = &ctx;
    add_place();
    fill(w(), 0);
    fill(f(), 0);
  }

  parameter_list parameters() override {
    auto one = [&](const std::string& name, std::span<std::byte> where,
                   bool trains) {
      parameter out;
      out.name = name;
      out.extents = {static_cast<std::int64_t>(weight_elements)};
      out.memory = where;
      out.requires_grad = trains;
      out.arena = places_.back();
      out.device = ctx_->device();
      return out;
    };
    return {one(wishes_->rename ? "v" : "w", w(), true), one("f", f(), false)};
  }

  void on_sync(weight_version) override {
    if (wishes_->throw_on_sync)
      throw std::runtime_error("no room for the cache");
    built_ = read(w()).front();
  }

  void offload() override {
    away_w_ = read(w());
    away_f_ = read(f());
    places_.clear();
  }

  void onload() override {
    add_place();
    write(w(), away_w_);
    write(f(), away_f_);
  }

  batch set(const batch& in) {
    fill(w(), static_cast<float>(in.meta_number("w")));
    fill(f(), static_cast<float>(in.meta_number("f")));
    return {};
  }

  /// One element of "w", by the number in "at".
  batch poke(const batch& in) {
    float value = 77;
    auto at = static_cast<std::size_t>(in.meta_number("at"));
    check(ctx_->put(w().data() + at * sizeof(float),
                    std::as_bytes(std::span{&value, 1})));
    return {};
  }

  batch get(const batch&) {
    auto trained = read(w());
    auto fixed = read(f());
    batch out;
    auto same = std::ranges::count(trained, trained.front()) == weight_elements
                && std::ranges::count(fixed, fixed.front()) == weight_elements;
    out.set_meta("same", std::int64_t{same});
    out.set_meta("w", double{trained.front()});
    out.set_meta("f", double{fixed.front()});
    out.set_meta("built", double{built_});
    return out;
  }

  /// The same weights elsewhere; the old place stays until the end.
  batch move(const batch&) {
    auto trained = read(w());
    auto fixed = read(f());
    fill(w(), -1);
    add_place();
    write(w(), trained);
    write(f(), fixed);
    return {};
  }

private:
  static void check(const result<void>& x) {
    if (!x)
      throw std::runtime_error(to_string(x.error()));
  }

  void add_place() {
    auto made = ctx_->allocate_shared(2 * sizeof(values));
    if (!made)
      throw std::runtime_error(to_string(made.error()));
    places_.push_back(std::move(*made));
  }

  std::span<std::byte> w() {
    return places_.back()->memory().first(sizeof(values));
  }

  std::span<std::byte> f() {
    return places_.back()->memory().subspan(sizeof(values), sizeof(values));
  }

  values read(std::span<const std::byte> from) {
    values out{};
    check(ctx_->get(std::as_writable_bytes(std::span{out}), from.data()));
    return out;
  }

  void write(std::span<std::byte> to, const values& what) {
    check(ctx_->put(to.data(), std::as_bytes(std::span{what})));
  }

  void fill(std::span<std::byte> to, float value) {
    values all{};
    all.fill(value);
    write(to, all);
  }

  std::shared_ptr<wishes> wishes_;
  worker_context* ctx_ = nullptr;
  std::vector<std::shared_ptr<comm::shared_memory>> places_;
  float built_ = 0;
  /// While it is offloaded.
  values away_w_{};
  values away_f_{};
};

/// Models "a" (one replica of two ranks) and "b" (two of one) in this process,
/// workers and movers on threads of their own.
struct sync_run_fixture {
  static constexpr std::chrono::seconds soon{20};

  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  node::system_config config{false};
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  protocol::error_signal_actor errors = system.spawn<monitor::error_signal>();
  std::shared_ptr<node::inproc_launcher> launcher;
  protocol::node_actor machine;
  std::map<std::string, std::shared_ptr<wishes>> told;
  std::map<std::string, protocol::dist_model_actor> made;
  std::map<std::string, protocol::manifests> held;
  std::vector<protocol::sync_group_actor> groups;
  protocol::sync_options options;

  /// `device`: what all of them work on.
  explicit sync_run_fixture(const comm::device_ptr& device = nullptr) {
    for (const auto* name : {"a", "b", "c"}) {
      auto all = std::make_shared<wishes>();
      told[name] = all;
      auto& model = models.add(name, [all] {
        return std::make_unique<weight_holder>(all);
      });
      model.add_function<weight_holder>("set", &weight_holder::set);
      model.add_function<weight_holder>("poke", &weight_holder::poke);
      model.add_function<weight_holder>("get", &weight_holder::get);
      model.add_function<weight_holder>("move", &weight_holder::move);
    }
    model::host_services services{{}, &models, &store, &hub};
    services.device = device;
    launcher = std::make_shared<
      node::inproc_launcher>(system, "job", services,
                             node::worker_threads::own);
    machine = system.spawn<node::node>(node::node_settings{"job", node_id{0},
                                                           8},
                                       launcher, errors);
    launcher->report_to(machine);
    make("a", 1, 2);
    make("b", 2, 1);
  }

  ~sync_run_fixture() {
    for (const auto& x : groups)
      static_cast<void>(ask<protocol::ack>(x, protocol::close_sync{5000}));
    for (const auto& [name, x] : made)
      static_cast<void>(ask<protocol::ack>(x, protocol::close_model{5000}));
    static_cast<void>(ask<protocol::ack>(machine, protocol::close_node{5000}));
    launcher->report_to({});
    self->send_exit(errors, caf::exit_reason::kill);
  }

  template <class Reply, class Handle, class Message>
  result<Reply> ask(const Handle& whom, Message message) {
    result<Reply> out = fail(errc::internal, "nothing came");
    self->request(whom, soon, std::move(message))
      .receive([&](Reply& x) { out = std::move(x); },
               [&](caf::error& x) { out = fail(protocol::from_caf(x)); });
    return out;
  }

  void make(const std::string& name, int num_replica, int data,
            bool offload = false) {
    auto job = test::job_of(name, num_replica, data);
    job.memory.offload = offload;
    for (auto& replica : job.place.replicas)
      for (auto& rank : replica.ranks)
        rank.devices = {device_id{0}};
    made[name] = system.spawn<
      model::dist_model>(job, model::model_surroundings{{machine},
                                                        errors,
                                                        {8},
                                                        &store});
    auto all = ask<protocol::manifests>(made[name], protocol::set_up{10'000});
    BOOST_REQUIRE_MESSAGE(all, to_string(all ? error{} : all.error()));
    held[name] = std::move(*all);
  }

  result<protocol::sync_plan> prepare(const protocol::sync_group_actor& group,
                                      const std::string& from,
                                      const std::string& to) {
    return ask<protocol::sync_plan>(group,
                                    protocol::prepare_sync{held[from], held[to],
                                                           options, 5000});
  }

  protocol::sync_group_actor join(const std::string& from = "a",
                                  const std::string& to = "b") {
    // No two syncs of a job have the same name.
    auto name = fmt::format("{}2{}.{}", from, to, groups.size());
    auto group = system.spawn<sync::sync_group>(name, made[from], made[to]);
    groups.push_back(group);
    auto plan = prepare(group, from, to);
    BOOST_REQUIRE_MESSAGE(plan, to_string(plan ? error{} : plan.error()));
    return group;
  }

  result<protocol::sync_report> run(const protocol::sync_group_actor& group,
                                    bool validate = false) {
    return ask<protocol::sync_report>(group, protocol::run_sync{validate, false,
                                                                5000});
  }

  void runs(const protocol::sync_group_actor& group, bool validate = false) {
    auto got = run(group, validate);
    BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
  }

  result<batch> call(const std::string& model, const std::string& function,
                     const batch& in = {}) {
    protocol::invoke request;
    request.function = function;
    request.scope = 1;
    request.timeout_ms = 5000;
    request.input.parts.push_back(store.put(in, 1).value());
    auto got = ask<protocol::invoked>(made[model], request);
    if (!got)
      return fail(got.error());
    return store.get(got->output, deadline::after(soon));
  }

  void set(const std::string& model, double w, double f) {
    batch in;
    in.set_meta("w", w);
    in.set_meta("f", f);
    BOOST_REQUIRE(call(model, "set", in));
  }

  void holds(const std::string& model, double w, double f) {
    auto got = call(model, "get");
    BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
    BOOST_TEST(got->meta_number("same") == 1);
    BOOST_TEST(got->meta_number("w") == w);
    BOOST_TEST(got->meta_number("f") == f);
  }
};

inline constexpr const char* sync_modes[] = {"staged", "in_place"};

} // namespace troupe::test
