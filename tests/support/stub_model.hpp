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
/// "connect", "leave", "FUNCTION", "send", "receive", "compare", "fence on",
/// "fence off", "save", "load", "close".
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
      [this](const transfer& x) {
        transfer_reports out;
        for (const auto& task : x.items) {
          transfer_report report;
          report.from = task.to;
          report.link = task.link;
          report.role = task.role;
          report.bytes = 8;
          report.digest_low = 1;
          report.digest_high = 2;
          if (script_->on_report)
            script_->on_report(report);
          out.items.push_back(std::move(report));
        }
        auto sends = !x.items.empty()
                     && x.items.front().role == transfer_role::send;
        auto compares = x.mode == transfer_mode::compare;
        return act(compares ? "compare"
                   : sends  ? "send"
                            : "receive",
                   std::move(out));
      },
      [this](const fence& x) {
        script_->log->push_back(
          fmt::format("{}: version {}", script_->name, x.version.value()));
        return act(x.on ? "fence on" : "fence off", ack{});
      },
      [this](const checkpoint& x) {
        return act(x.load ? "load" : "save", ack{});
      },
      [this](const close_model&) { return act("close", ack{}); },
    };
  }

public:
  std::vector<protocol::connect_groups> connected;

private:
  template <class T>
  caf::typed_response_promise<T> act(const std::string& operation, T value) {
    script_->log->push_back(script_->name + ": " + operation);
    auto promise = make_response_promise<T>();
    if (script_->silent.count(operation) > 0)
      return promise;
    call::reply<T> out{promise};
    auto answer = [out, value = std::move(value), script = script_.get(),
                   operation] {
      auto failure = script->failures.find(operation);
      if (failure == script->failures.end())
        out.deliver(value);
      else
        out.deliver(fail(failure->second));
    };
    if (script_->held.count(operation) > 0)
      script_->waiting.push_back(answer);
    else
      answer();
    return promise;
  }

  std::shared_ptr<model_script> script_;
};

} // namespace troupe::test
