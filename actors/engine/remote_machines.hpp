// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/tls_identity.hpp"
#include "troupe/actors/node/remote_batches.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::engine {

struct remote_settings {
  /// Where `troupe node` listens on each machine.
  std::vector<net::endpoint> gates;
  /// Absent: no TLS, and then nothing but loopback.
  std::optional<net::tls_identity> identity;
  std::string job;
  /// Which application the hosts run.
  std::string app;
  std::uint64_t store_bytes_max = 0;
  std::string log_level;
  std::chrono::milliseconds pulse{100};
  std::chrono::milliseconds pulse_timeout{800};
  /// How long nodes wait for a driver that has fallen silent.
  std::chrono::milliseconds driver_grace{30'000};
  /// How long a crashed host may write its core.
  std::chrono::milliseconds core_grace{10'000};
  /// A node's sign of life that comes so much later than it should is a warning;
  /// 0: never.
  std::chrono::milliseconds node_lag{0};
  /// A debugger may stop hosts.
  bool debug = false;
  /// The folder of checkpoints, which all machines must share, and whether they
  /// write there; empty: the job has none.
  std::filesystem::path checkpoint_dir;
  bool writes_checkpoints = false;
  /// How long a node may take to come free, for one that still cleans up after
  /// another job.
  duration join_max = std::chrono::seconds{10};
};

/// The machines of a job on which nodes run: taken for the job one by one side
/// by side, reached through tunnels, and watched by pulses. What a machine
/// says, or that it has fallen silent or ended, goes to the error_signal.
///
/// Threads: those of net. The job's batches that lie in the driver are served
/// meanwhile.
class remote_machines {
public:
  /// Takes all nodes. Blocks for `join_max` and a little more. If one cannot be
  /// had, none is kept, and the error says which and why, a line each:
  /// `errc::unavailable`, `errc::timed_out`, `errc::refused`. `store` and
  /// `batches` outlive the object; `batches` learns the addresses.
  [[nodiscard]] static result<std::unique_ptr<remote_machines>>
  join(caf::actor_system& system, const remote_settings& settings,
       const protocol::error_signal_actor& errors, process::batch_store& store,
       node::remote_batches& batches);

  remote_machines(const remote_machines&) = delete;
  remote_machines& operator=(const remote_machines&) = delete;

  /// Closes all connections: nodes that have not been closed end the job.
  ~remote_machines();

  /// Of nodes 0, 1, ...
  [[nodiscard]] const std::vector<protocol::joined>& all() const noexcept;

  /// For people: `"node 1 (10.0.0.2:4100, m2)"`.
  [[nodiscard]] std::string name_of(std::size_t node) const;

  /// The machine has ended or fallen silent.
  [[nodiscard]] bool lost(std::size_t node) const noexcept;

  /// Tries once to take one that was lost anew; its node is another actor then.
  /// Blocks for half a second if nobody is there, for a few if somebody is who
  /// does not answer. Errors as `join`, `errc::exhausted` for a node that works
  /// for another job, or still for this one.
  [[nodiscard]] result<void> join_again(std::size_t node);

  /// From now on nobody's end is an error.
  void stop_watching();

private:
  struct impl;

  explicit remote_machines(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::engine
