// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/inproc_launcher.hpp"
#include "troupe/actors/node/node.hpp"

// A node of this process, for tests of models.
namespace troupe::model_test {

/// A node with eight devices whose hosts live in this process.
struct dist_model_fixture : test::actor_fixture {
  std::shared_ptr<test::module_notes>
    notes = std::make_shared<test::module_notes>();
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  protocol::error_signal_actor errors = spawn<monitor::error_signal>();
  std::shared_ptr<node::inproc_launcher> launcher;
  protocol::node_actor machine;

  dist_model_fixture() {
    test::declare(models, "policy", notes);
    launcher = std::make_shared<
      node::inproc_launcher>(system(), "job",
                             model::host_services{{}, &models, &store, &hub},
                             node::worker_threads::shared);
    machine = spawn<node::node>(node::node_settings{"job", node_id{0}, 8},
                                launcher, errors);
    launcher->report_to(machine);
  }

  ~dist_model_fixture() override { launcher->report_to({}); }

  protocol::dist_model_actor make(model::model_job job) {
    return spawn<model::dist_model>(std::move(job),
                                    model::model_surroundings{{machine},
                                                              errors,
                                                              {8},
                                                              &store});
  }

  protocol::dist_model_actor ready(int num_replica) {
    auto x = make(test::job_of("policy", num_replica, 1));
    ask_and_run<protocol::manifests>(x, protocol::set_up{1000}).value();
    notes->calls.clear();
    return x;
  }

  test::answer<protocol::invoked> call(const protocol::dist_model_actor& whom,
                                       const std::string& function,
                                       const batch& in,
                                       std::uint64_t scope = 1) {
    protocol::invoke request;
    request.function = function;
    request.scope = scope;
    request.timeout_ms = 1000;
    request.input.parts.push_back(store.put(in, scope).value());
    return ask_and_run<protocol::invoked>(whom, request);
  }

  batch fetch(const process::batch_ref& x) {
    auto out = store.get(x, deadline::after(std::chrono::seconds{1}));
    if (!out)
      BOOST_FAIL(to_string(out.error()));
    return std::move(*out);
  }

  std::vector<protocol::error_report> reported() {
    return ask_and_run<protocol::error_history>(errors, protocol::get_errors{})
      .value()
      .items;
  }

  /// Ends the host of a device, as if its process had been killed.
  void lose_host(std::int32_t device) {
    auto host = ask_and_run<protocol::acquired_host>(
                  machine, protocol::acquire_host{protocol::host_kind::device,
                                                  device,
                                                  "",
                                                  1000,
                                                  {}})
                  .value();
    kill(host.control);
    tell(machine, protocol::host_exited{host.host, 1, "was killed"});
    run_jobs();
  }

  std::size_t calls_of(const std::string& what) const {
    return static_cast<std::size_t>(
      std::count(notes->calls.begin(), notes->calls.end(), what));
  }
};

} // namespace troupe::model_test
