// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/actors/model/group_table.hpp"
#include "troupe/actors/model/host_services.hpp"
#include "troupe/actors/model/memory_mark.hpp"
#include "troupe/actors/model/module.hpp"
#include "troupe/actors/model/module_failure.hpp"
#include "troupe/actors/model/operation_mark.hpp"
#include "troupe/actors/model/sync_seat.hpp"
#include "troupe/actors/protocol/model.hpp"
#include "troupe/actors/protocol/process.hpp"
#include "troupe/core/log.hpp"

namespace troupe::model {

/// The parts of a worker that others may touch while its thread is busy: its
/// host's control actor, and its mover.
struct worker_probe {
  explicit worker_probe(comm::inproc::hub& hub,
                        process::peer_mesh* mesh = nullptr,
                        const protocol::host_name& self = {},
                        const std::string& address = {},
                        const comm::device_ptr& device = {})
    : groups(hub, mesh, self, address, device),
      syncs(device) {
    // nop
  }

  operation_mark mark;
  memory_mark memory;
  /// Of the weights.
  std::atomic<std::uint64_t> version = 0;
  group_table groups;
  sync_table syncs;
};

/// Batches and where they go.
using checkpoint_files = std::vector<std::pair<std::filesystem::path, batch>>;

/// The groups of a rank inside its replica, by name and in rank order.
[[nodiscard]] std::string world_group(const protocol::worker_name& worker);
[[nodiscard]] std::string
data_parallel_group(const protocol::worker_name& worker,
                    const protocol::worker_spec& spec);

/// A rank without its actor: the module instance, its context and what can be
/// done with them. Every function is called on the worker's thread and returns
/// the module's exceptions as errors (module_failure.hpp).
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

  /// Leaves everything that a failure elsewhere has broken. A rank of several
  /// serves again once they are connected.
  [[nodiscard]] result<protocol::manifests>
  rejoin(const protocol::rejoin& request);

  [[nodiscard]] result<protocol::group_addresses>
  open(const protocol::open_groups& request);

  [[nodiscard]] result<protocol::ack>
  connect(const protocol::connect_groups& request);

  [[nodiscard]] result<protocol::ack>
  close(const protocol::close_groups& request);

  [[nodiscard]] result<protocol::invoked>
  invoke(const protocol::invoke& request);

  /// The parameters from `first` on, as many as fit a message.
  [[nodiscard]] result<protocol::manifests> manifest(std::uint64_t first) const;

  [[nodiscard]] result<protocol::ack>
  install(const protocol::install_programs& request);

  /// One step of a sync.
  [[nodiscard]] result<protocol::sync_standings>
  obey(const protocol::sync_order& request);

  /// True while a sync reads the weights: no call may run (WS-6).
  [[nodiscard]] bool pinned() const noexcept { return !pins_.empty(); }

  /// Lets the module save itself and gives the files that are still to be
  /// written: copies, so that the module may go on.
  [[nodiscard]] result<checkpoint_files>
  save(const protocol::run_checkpoint& request);

  [[nodiscard]] result<protocol::ack>
  load(const protocol::run_checkpoint& request);

  /// Destroys the module and leaves all groups.
  void close() noexcept;

private:
  class context;

  /// Makes this thread work on the host's device, if it has one.
  [[nodiscard]] result<void> enter_device() const;

  /// Brings the module's memory to its device, before anything else of the
  /// module is called.
  [[nodiscard]] result<void> bring();

  /// Gives it back if the rules say so and no sync needs it. A warning if the
  /// device does not get what the module says.
  [[nodiscard]] result<void> give_back();

  /// Looks at the device's memory, for whoever asks for the worker's status;
  /// once a warning if the module holds more than it is to. Zeros without a
  /// device.
  protocol::device_bytes measure();

  /// Of the device, held by the module.
  [[nodiscard]] std::uint64_t own_bytes() const;

  /// A sync has looked at the parameters and counts on them, or peers read them
  /// where they are.
  [[nodiscard]] bool in_sync() const;

  /// Looks at the parameters anew: the memory may have moved (true), but names,
  /// types and shapes must be those of the set-up.
  [[nodiscard]] result<bool> look_again(const std::string& program);

  [[nodiscard]] result<void> open(const protocol::sync_order& request);

  /// The rank whose files we load: our own, or that of a data-parallel peer
  /// if we have none and such a peer's will do.
  [[nodiscard]] rank_id loaded_rank(const protocol::run_checkpoint& x) const;

  /// Where we load from: what our replica saved or, if there is nothing, because
  /// it was added since, what the first one saved.
  [[nodiscard]] std::filesystem::path
  loaded_directory(const std::string& checkpoint) const;

  /// Where this replica's ranks save to, and a rank's file there.
  [[nodiscard]] std::filesystem::path
  directory_in(const std::string& checkpoint) const;
  [[nodiscard]] std::filesystem::path
  own_file(const std::filesystem::path& directory, rank_id rank) const;

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
  /// What the set-up told of them: what syncs were planned with.
  std::vector<protocol::parameter_info> told_;
  std::set<std::string> fences_;
  std::set<std::string> pins_;
  /// Syncs that bring weights here, from the look at the parameters on.
  std::set<std::string> enrolled_;
  /// Links that may have been lent the module's memory, which stays until they
  /// are closed.
  std::set<std::string> lent_;
  weight_version version_;
  /// Calls that may have changed the weights.
  std::uint64_t writes_ = 0;
  /// The scope of the last call, and the generator before the first of its
  /// calls.
  std::uint64_t scope_ = 0;
  std::mt19937_64 generator_before_;
  /// Our ranks were joined and are not any more.
  bool apart_ = false;
  /// The module's memory was given back.
  bool away_ = false;
  /// How often it came back, perhaps to another place, and at which of these a
  /// sync last looked: links that were opened before do not know it.
  std::uint64_t arrivals_ = 0;
  std::map<std::string, std::uint64_t> looked_at_;
  bool told_of_max_ = false;
};

template <class F>
auto worker_state::guarded(const std::string& operation, F f) -> decltype(f()) {
  operation_scope mark{probe_->mark, operation};
  auto failed = [&](error what) {
    log::error(to_string(spec_.name), "{} failed: {}", operation,
               what.message());
    return fail(std::move(what));
  };
  try {
    return f();
  } catch (const std::exception& x) {
    return failed(failure_of(x, services_.device.get()));
  } catch (...) {
    return failed(
      {errc::failed, "it threw something that is no std::exception"});
  }
}

} // namespace troupe::model
