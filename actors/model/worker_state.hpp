// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "troupe/actors/model/group_table.hpp"
#include "troupe/actors/model/host_services.hpp"
#include "troupe/actors/model/module.hpp"
#include "troupe/actors/model/operation_mark.hpp"
#include "troupe/actors/protocol/model.hpp"
#include "troupe/actors/protocol/process.hpp"

namespace troupe::model {

/// The parts of a worker that its host's control actor may touch while the
/// worker's thread is busy.
struct worker_probe {
  explicit worker_probe(comm::inproc::hub& hub) : groups(hub) {
    // nop
  }

  operation_mark mark;
  group_table groups;
};

/// The groups of a rank inside its replica, by name and in rank order.
[[nodiscard]] std::string world_group(const protocol::worker_name& worker);
[[nodiscard]] std::string
data_parallel_group(const protocol::worker_name& worker,
                    const protocol::worker_spec& spec);

/// A rank without its actor: the module instance, its context and what can be
/// done with them. Every function is called on the worker's thread and returns
/// the module's exceptions as `errc::failed`.
class worker_state {
public:
  worker_state(protocol::worker_spec spec, host_services services,
               std::shared_ptr<worker_probe> probe);
  ~worker_state();
  worker_state(const worker_state&) = delete;
  worker_state& operator=(const worker_state&) = delete;

  [[nodiscard]] const protocol::worker_name& name() const noexcept;

  /// Makes the module and runs its `setup`.
  [[nodiscard]] result<protocol::manifests> set_up();

  [[nodiscard]] result<protocol::group_addresses>
  open(const protocol::open_groups& request);

  [[nodiscard]] result<protocol::ack>
  connect(const protocol::connect_groups& request);

  [[nodiscard]] result<protocol::ack>
  close(const protocol::close_groups& request);

  [[nodiscard]] result<protocol::invoked>
  invoke(const protocol::invoke& request);

  [[nodiscard]] result<protocol::transfer_reports>
  transfer(const protocol::transfer& request);

  [[nodiscard]] result<protocol::ack> fence(const protocol::fence& request);

  [[nodiscard]] result<protocol::ack> run(const protocol::checkpoint& request);

  /// Destroys the module and leaves all groups.
  void close() noexcept;

private:
  class context;

  [[nodiscard]] result<protocol::transfer_report>
  run_task(const protocol::transfer_task& task, protocol::transfer_mode mode,
           deadline until);

  /// Runs `f`, turning what the module throws into an error.
  template <class F>
  auto guarded(const std::string& operation, F f) -> decltype(f());

  protocol::worker_spec spec_;
  host_services services_;
  std::shared_ptr<worker_probe> probe_;
  std::unique_ptr<context> context_;
  const model_declaration* model_ = nullptr;
  std::unique_ptr<module> module_;
  parameter_list parameters_;
  bool fenced_ = false;
  weight_version version_;
  /// Where compare mode receives; kept, so that a sync allocates nothing.
  buffer scratch_;
};

} // namespace troupe::model
