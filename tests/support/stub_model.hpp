// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>
#include <fmt/core.h>

#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::test {

using message_log = std::shared_ptr<std::vector<std::string>>;

/// How a stub_model behaves; the test holds it and changes it as it goes.
/// Operations have the names that stand in the log: "set up", "open",
/// "connect", "leave", "FUNCTION", "install", "warm up", "in place", "staged",
/// "compare", the steps of syncs ("pin", "enroll", ...; "commit" for open),
/// "look", "save", "load", "repair", "change", "close". What concerns one rank of several may be
/// named with it: "staged 1/0".
struct model_script {
  std::string name;
  message_log log = std::make_shared<std::vector<std::string>>();
  protocol::manifests manifests;
  /// Operations that fail.
  std::map<std::string, error> failures;
  /// Operations that are never answered.
  std::set<std::string> silent;
  /// Operations that are answered when the test says `release`.
  std::set<std::string> held;
  std::vector<std::function<void()>> waiting;
  /// What a function gives; null: its input.
  std::function<protocol::invoked(const protocol::invoke&)> on_invoke;
  /// May change what a transfer reports.
  std::function<void(protocol::transfer_report&)> on_report;
  /// Transfers: whether the model is the source, and a rank's peers.
  bool sends = false;
  std::function<std::vector<rank_id>(const protocol::worker_name&)> peers;
  std::uint64_t bytes = 8;
  weight_version version;
  bool moved = false;
  /// Those it was told, and what it answers: the manifests of new replicas.
  std::vector<protocol::change_replicas> changes;
  protocol::manifests fresh;
  /// What `get_operations` answers.
  protocol::operations operations;

  /// Counted over all replicas.
  rank_id number_of(const protocol::worker_name& x) const {
    for (std::size_t i = 0; i < manifests.items.size(); ++i)
      if (manifests.items[i].worker == x)
        return rank_id{static_cast<std::int32_t>(i)};
    return rank_id{-1};
  }

  void release() {
    for (auto& f : std::exchange(waiting, {}))
      f();
  }
};

/// A model without replicas: answers what its script says.
class stub_model : public protocol::dist_model_actor::base {
public:
  stub_model(caf::actor_config& config, std::shared_ptr<model_script> script)
    : protocol::dist_model_actor::base(config),
      script_(std::move(script)) {
    // nop
  }

  const char* name() const override { return "stub_model"; }

  void on_exit() override { script_->waiting.clear(); }

protected:
  behavior_type make_behavior() override {
    using namespace protocol; // tidy: allow using: inside one function
    return {
      [this](const set_up&) { return act("set up", script_->manifests); },
      [this](const open_groups& x) {
        group_addresses out;
        for (const auto& seat : x.items)
          out.items.push_back({seat.to,
                               seat.group,
                               seat.rank,
                               {static_cast<std::uint8_t>(seat.rank.value())}});
        return act("open", std::move(out));
      },
      [this](const connect_groups& x) {
        connected.push_back(x);
        return act("connect", ack{});
      },
      [this](const close_groups&) { return act("leave", ack{}); },
      [this](const invoke& x) {
        invoked out;
        out.output = x.input;
        if (script_->on_invoke)
          out = script_->on_invoke(x);
        return act(x.function, std::move(out));
      },
      [this](const get_parameters&) {
        return act("parameters", script_->manifests);
      },
      [this](const install_programs&) { return act("install", ack{}); },
      [this](const sync_order& x) { return obey(x); },
      [this](const transfer& x) {
        transfer_reports out;
        for (const auto& item : x.items)
          for (auto peer : script_->peers ? script_->peers(item.to)
                                          : std::vector<rank_id>{rank_id{0}}) {
            transfer_report report;
            report.from = item.to;
            report.peer = peer;
            report.rank = script_->number_of(item.to);
            report.sends = script_->sends;
            report.bytes = script_->bytes;
            report.digested = true;
            report.digest_products = 1;
            report.digest_words = 2;
            if (script_->on_report && !x.warm_up)
              script_->on_report(report);
            out.items.push_back(std::move(report));
          }
        return act(x.warm_up ? "warm up" : std::string{to_string(x.mode)},
                   std::move(out), &x.items.front().to);
      },
      [this](const get_operations&) {
        return act("look", script_->operations);
      },
      [this](const run_checkpoint& x) {
        return act(x.load ? "load" : "save", ack{});
      },
      [this](const close_model&) { return act("close", ack{}); },
      [this](const repair_model&) {
        return act("repair", repaired{script_->manifests, {}, {}});
      },
      [this](const change_replicas& x) {
        script_->changes.push_back(x);
        return act("change", script_->fresh);
      },
    };
  }

public:
  std::vector<protocol::connect_groups> connected;
  std::vector<protocol::sync_order> orders;

private:
  static std::string name_of_one(const std::string& operation,
                                 const protocol::worker_name& rank) {
    return fmt::format("{} {}/{}", operation, rank.replica.value(),
                       rank.rank.value());
  }

  /// Each rank has its own line and its own failure.
  caf::typed_response_promise<protocol::sync_standings>
  obey(const protocol::sync_order& x) {
    auto promise = make_response_promise<protocol::sync_standings>();
    orders.push_back(x);
    std::string operation{to_string(x.action)};
    if (x.action == protocol::sync_action::open) {
      operation = "commit";
      script_->log->push_back(
        fmt::format("{}: version {}", script_->name, x.version.value()));
    }
    auto silent = false;
    auto held = false;
    for (const auto& item : x.items) {
      script_->log->push_back(script_->name + ": " + operation);
      for (const auto& name : {operation, name_of_one(operation, item.to)}) {
        silent = silent || script_->silent.count(name) > 0;
        held = held || script_->held.count(name) > 0;
      }
    }
    if (silent)
      return promise;
    call::reply<protocol::sync_standings> out{promise};
    auto answer = [out, operation, items = x.items, script = script_.get()] {
      protocol::sync_standings all;
      for (const auto& item : items) {
        protocol::sync_standing y;
        y.from = item.to;
        y.version = script->version;
        y.moved = script->moved;
        for (const auto& name : {operation, name_of_one(operation, item.to)})
          if (script->failures.count(name) > 0) {
            y.failed = true;
            y.why = script->failures.at(name);
          }
        all.items.push_back(std::move(y));
      }
      out.deliver(std::move(all));
    };
    if (held)
      script_->waiting.push_back(answer);
    else
      answer();
    return promise;
  }

  template <class T>
  caf::typed_response_promise<T>
  act(const std::string& operation, T value,
      const protocol::worker_name* rank = nullptr) {
    script_->log->push_back(script_->name + ": " + operation);
    auto promise = make_response_promise<T>();
    auto one = rank ? name_of_one(operation, *rank) : operation;
    auto named = [&](const std::set<std::string>& xs) {
      return xs.count(operation) + xs.count(one) > 0;
    };
    if (named(script_->silent))
      return promise;
    call::reply<T> out{promise};
    auto answer = [out, value = std::move(value), script = script_.get(),
                   operation, one] {
      for (const auto& name : {operation, one})
        if (script->failures.count(name) > 0)
          return out.deliver(fail(script->failures.at(name)));
      out.deliver(value);
    };
    if (named(script_->held))
      script_->waiting.push_back(answer);
    else
      answer();
    return promise;
  }

  std::shared_ptr<model_script> script_;
};

} // namespace troupe::test
