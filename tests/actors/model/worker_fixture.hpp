// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/test/unit_test.hpp>

#include "support/inproc_job.hpp"
#include "troupe/actors/model/worker_state.hpp"

namespace troupe::test {

/// One worker without actors around it, whose module does what the notes say.
struct worker_fixture {
  std::shared_ptr<module_notes> notes = std::make_shared<module_notes>();
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  std::shared_ptr<model::worker_probe>
    probe = std::make_shared<model::worker_probe>(hub);
  std::unique_ptr<model::worker_state> worker;

  worker_fixture() {
    declare(models, "policy", notes);
    worker = make("policy");
  }

  std::unique_ptr<model::worker_state>
  make(const std::string& model, std::int32_t replica = 0,
       comm::device_ptr device = {}, const std::string& device_failure = {}) {
    auto job = job_of(model, 1, 1);
    protocol::worker_spec spec;
    spec.name = {model, replica_id{replica}, rank_id{0}};
    spec.config = job.config;
    spec.collective_timeout_ms = 7000;
    return std::make_unique<
      model::worker_state>(spec,
                           model::host_services{{},
                                                &models,
                                                &store,
                                                &hub,
                                                nullptr,
                                                {},
                                                std::move(device),
                                                device_failure},
                           probe);
  }

  result<protocol::invoked> call(const std::string& function,
                                 std::int64_t rows = 3) {
    protocol::invoke request;
    request.function = function;
    request.scope = 5;
    request.timeout_ms = 1000;
    request.input.parts.push_back(store.put(numbered(rows), 5).value());
    return worker->invoke(request);
  }

  result<protocol::sync_standings> order(protocol::sync_action action,
                                         std::uint64_t version = 0) {
    protocol::sync_order x;
    x.sync = x.program = "t2p";
    x.action = action;
    x.version = weight_version{version};
    x.items.push_back({worker->name()});
    x.timeout_ms = 1000;
    return worker->obey(x);
  }

  result<protocol::sync_standings> fence(bool on, std::uint64_t version = 0) {
    return order(on ? protocol::sync_action::fence
                    : protocol::sync_action::open,
                 version);
  }

  static bool refused(const result<protocol::invoked>& x, errc code,
                      const std::string& words) {
    BOOST_REQUIRE(!x);
    BOOST_TEST((x.error().code() == code));
    BOOST_TEST_INFO(x.error().message());
    return x.error().message().find(words) != std::string::npos;
  }
};

} // namespace troupe::test
