// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/protocol/bundle.hpp"
#include "troupe/actors/protocol/model.hpp"
#include "troupe/actors/protocol/monitor.hpp"

// What nodes and the control actors of their hosts answer.

namespace troupe::protocol {

/// Changes whenever a message changes: driver and hosts must agree.
inline constexpr std::uint32_t wire_version = 10;

/// Where a worker's process stands.
enum class host_kind : std::uint8_t { device, cpu };

/// How a rank deals with its device's memory.
struct memory_rules {
  /// Its module gives it back after each function and each sync.
  bool offload = false;
  /// Most bytes that it is to hold; 0: any number.
  std::uint64_t bytes_max = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 memory_rules& x) {
    return f(x.offload, x.bytes_max);
  }
};

/// What a host must know to make a worker.
struct worker_spec {
  worker_name name;
  std::int32_t num_replica = 1;
  std::int32_t tensor = 1;
  std::int32_t pipeline = 1;
  std::int32_t data = 1;
  std::int32_t context = 1;
  std::int32_t expert = 1;
  /// Index of the device on its node; -1 for a CPU model.
  std::int32_t device = -1;
  /// `options::encode`.
  payload config;
  std::uint64_t seed = 0;
  std::int32_t num_threads = 1;
  std::uint32_t collective_timeout_ms = 0;
  memory_rules memory;
  /// See worker_context::weights_return.
  bool weights_return = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, worker_spec& x) {
    return f(x.name, x.num_replica, x.tensor, x.pipeline, x.data, x.context,
             x.expert, x.device, x.config, x.seed, x.num_threads,
             x.collective_timeout_ms, x.memory, x.weights_return);
  }
};

/// Makes a worker actor. Sender: replica. Errors: invalid (a model that this
/// binary does not have).
struct start_worker {
  worker_spec spec;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 start_worker& x) {
    return f(x.spec);
  }
};

struct started_worker {
  worker_actor worker;
  mover_actor mover;
  /// The device that the host works on: its UUID; empty if it has none.
  std::string device = {};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 started_worker& x) {
    return f(x.worker, x.mover, x.device);
  }
};

/// Aborts every communicator and link of the host, so that no worker stays in
/// a collective. Sender: error_monitor through the node. Answer: ack.
struct abort_groups {
  std::string reason;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 abort_groups& x) {
    return f(x.reason);
  }
};

/// Frees the batches of all scopes up to and including `last`.
struct release_batches {
  std::uint64_t last = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 release_batches& x) {
    return f(x.last);
  }
};

struct get_host_status {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 get_host_status&) {
    return f();
  }
};

struct host_status {
  host_name host;
  std::vector<worker_status> workers;
  std::uint64_t store_bytes = 0;
  std::uint64_t store_peak_bytes = 0;
  std::uint64_t resident_bytes = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, host_status& x) {
    return f(x.host, x.workers, x.store_bytes, x.store_peak_bytes,
             x.resident_bytes);
  }
};

/// Ends the process in good order: destroys the modules first. Answer: ack.
struct shut_down {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, shut_down&) {
    return f();
  }
};

/// A host's own reminder to look after its workers' communicators.
struct check_groups {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, check_groups&) {
    return f();
  }
};

/// The control actor of a host: event-based, so that it answers whatever the
/// workers' threads are doing.
using host_actor = courier_actor::extend<
  caf::replies_to<start_worker>::with<started_worker>,
  caf::replies_to<abort_groups>::with<ack>, caf::reacts_to<release_batches>,
  caf::replies_to<get_host_status>::with<host_status>,
  caf::reacts_to<check_groups>, caf::replies_to<shut_down>::with<ack>>;

/// A new host reports to its node. Sender: host. Errors: refused (other job,
/// other build, or a life that is over).
struct host_hello {
  std::string job;
  std::uint32_t wire = wire_version;
  std::string build;
  host_name host;
  std::int32_t pid = 0;
  /// Where other machines of the job reach `control`, on loopback; 0 if nowhere.
  std::uint16_t port = 0;
  host_actor control;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, host_hello& x) {
    return f(x.job, x.wire, x.build, x.host, x.pid, x.port, x.control);
  }
};

/// Where the processes of a job find each other's batches.
struct job_address_book {
  /// Of nodes 0, 1, ..., as `"host:port"`; empty if there is but one machine.
  std::vector<std::string> nodes;
  std::string driver;
  /// Proves that somebody belongs to the job. A secret.
  payload key;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 job_address_book& x) {
    return f(x.nodes, x.driver, x.key);
  }
};

struct host_welcome {
  job_address_book book;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 host_welcome& x) {
    return f(x.book);
  }
};

/// Asks for the host of a device (or the CPU host), which is started if need
/// be. Sender: replica. Errors: exhausted, timed_out, lost.
struct acquire_host {
  host_kind kind = host_kind::device;
  /// Index of the device on the node.
  std::int32_t device = -1;
  /// The model, if it must not share its process.
  std::string isolated_for;
  std::uint32_t timeout_ms = 0;
  /// Who will live there: named should the process end before it has reported.
  worker_name worker;
  /// The machine of whoever asks.
  node_id from = node_id{0};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 acquire_host& x) {
    return f(x.kind, x.device, x.isolated_for, x.timeout_ms, x.worker, x.from);
  }
};

struct acquired_host {
  host_name host;
  /// Null for another machine, which has to find the host itself: handles do
  /// not travel third-hand.
  host_actor control;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 acquired_host& x) {
    return f(x.host, x.control);
  }
};

/// Tells the node which worker lives where, so that the report of a dead
/// process names its workers. Sender: replica.
struct worker_placed {
  host_name host;
  worker_name worker;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 worker_placed& x) {
    return f(x.host, x.worker);
  }
};

/// A worker was taken out of the job. Sender: dist_model.
struct worker_removed {
  worker_name worker;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 worker_removed& x) {
    return f(x.worker);
  }
};

struct get_node_status {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 get_node_status&) {
    return f();
  }
};

struct host_info {
  host_name host;
  /// `"cpu:0"`, `"cuda:1"`, `"cpu host"`.
  std::string device;
  std::int32_t pid = 0;
  bool alive = false;
  std::vector<worker_name> workers;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, host_info& x) {
    return f(x.host, x.device, x.pid, x.alive, x.workers);
  }
};

struct node_status {
  node_id node;
  std::vector<host_info> hosts;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, node_status& x) {
    return f(x.node, x.hosts);
  }
};

/// A host process ended. Sender: the guard's reader.
struct host_exited {
  host_name host;
  std::int32_t pid = 0;
  std::string how;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, host_exited& x) {
    return f(x.host, x.pid, x.how);
  }
};

/// Kills hosts at once; the node stays and starts new ones when it is asked for
/// them. Answer: ack, once they are gone. Sender: driver, before it goes on
/// after a failure. Errors: unavailable (hosts that are no processes, or the
/// node shuts down), lost (no guard).
struct end_hosts {
  /// Their slots; empty: all.
  std::vector<std::int32_t> slots;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, end_hosts& x) {
    return f(x.slots);
  }
};

/// Ends every host within the time, by force if need be, then the node.
struct close_node {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, close_node& x) {
    return f(x.timeout_ms);
  }
};

/// What a replica knows of its model from the start.
struct replica_spec {
  std::string model;
  replica_id id;
  std::int32_t num_replica = 1;
  std::int32_t tensor = 1;
  std::int32_t pipeline = 1;
  std::int32_t data = 1;
  std::int32_t context = 1;
  std::int32_t expert = 1;
  /// Its hosts are shared with no other model.
  bool isolated = false;
  std::vector<rank_seat> ranks;
  /// `options::encode` of the model's options.
  payload config;
  std::uint64_t seed = 0;
  std::int32_t num_threads = 1;
  std::uint32_t collective_timeout_ms = 0;
  /// Until it is set up its failures are warnings: the job goes on without it.
  bool on_trial = false;
  memory_rules memory;
  /// See worker_context::weights_return.
  bool weights_return = false;
  /// Of the run: what its reports carry.
  std::uint32_t attempt = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 replica_spec& x) {
    return f(x.model, x.id, x.num_replica, x.tensor, x.pipeline, x.data,
             x.context, x.expert, x.isolated, x.ranks, x.config, x.seed,
             x.num_threads, x.collective_timeout_ms, x.on_trial, x.memory,
             x.weights_return, x.attempt);
  }
};

/// Makes a replica, which lives on the node of its rank 0 and ends with
/// `owner`. Sender: dist_model. Errors: unavailable (the node shuts down).
struct make_replica {
  replica_spec spec;
  dist_model_actor owner;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 make_replica& x) {
    return f(x.spec, x.owner);
  }
};

struct made_replica {
  replica_actor replica;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 made_replica& x) {
    return f(x.replica);
  }
};

/// One machine: owns its devices, ports and hosts.
using node_actor = courier_actor::extend<
  caf::replies_to<host_hello>::with<host_welcome>,
  caf::replies_to<make_replica>::with<made_replica>,
  caf::replies_to<acquire_host>::with<acquired_host>,
  caf::reacts_to<worker_placed>, caf::reacts_to<worker_removed>,
  caf::reacts_to<host_exited>, caf::replies_to<abort_groups>::with<ack>,
  caf::reacts_to<release_batches>,
  caf::replies_to<get_node_status>::with<node_status>,
  caf::replies_to<end_hosts>::with<ack>,
  caf::replies_to<close_node>::with<ack>>;

// -- machines ------------------------------------------------------------------

/// What proves that a machine shares the driver's folder of checkpoints.
struct folder_proof {
  /// A file that the driver has just made there, absolute, and what stands in
  /// it; empty: the job has no checkpoints.
  std::string file;
  std::string token;
  /// Hosts will write there.
  bool write = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 folder_proof& x) {
    return f(x.file, x.token, x.write);
  }
};

/// A driver takes a node for its job. Its shape stays as it is from version to
/// version, so that a mismatch can be told in a sentence. Sender: driver.
/// Errors: refused (another version or build, or the job's checkpoints are out of
/// reach there), exhausted (the node works for a job).
struct join_job {
  std::uint32_t wire = wire_version;
  std::string build;
  std::string job;
  /// Which application its hosts run.
  std::string app;
  node_id node;
  job_address_book book;
  /// Errors go there; its end is the end of the job.
  error_signal_actor errors;
  std::uint64_t store_bytes_max = 0;
  std::string log_level;
  /// Of hosts and guard, and of the driver.
  std::uint32_t pulse_ms = 0;
  std::uint32_t pulse_timeout_ms = 0;
  /// How long to wait for a driver that has fallen silent.
  std::uint32_t driver_grace_ms = 0;
  /// How long a crashed host may write its core.
  std::uint32_t core_grace_ms = 0;
  /// A debugger may stop hosts: nobody takes them for frozen.
  bool debug = false;
  folder_proof checkpoints;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, join_job& x) {
    return f(x.wire, x.build, x.job, x.app, x.node, x.book, x.errors,
             x.store_bytes_max, x.log_level, x.pulse_ms, x.pulse_timeout_ms,
             x.driver_grace_ms, x.core_grace_ms, x.debug, x.checkpoints);
  }
};

struct joined {
  node_actor node;
  std::string machine;
  std::int32_t pid = 0;
  std::int32_t num_device = 0;
  /// `"cpu"`, `"cuda"`.
  std::string device_kind;
  std::int32_t num_cpu = 0;
  /// Where the job's hosts write their logs there, absolute.
  std::string log_dir;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, joined& x) {
    return f(x.node, x.machine, x.pid, x.num_device, x.device_kind, x.num_cpu,
             x.log_dir);
  }
};

/// Another machine of the job looks for the node. Errors: unavailable (it is
/// not of this job).
struct get_node {
  std::string job;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, get_node& x) {
    return f(x.job);
  }
};

struct found_node {
  node_actor node;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, found_node& x) {
    return f(x.node);
  }
};

/// What other machines reach first.
using node_door_actor = caf::typed_actor<
  caf::replies_to<join_job>::with<joined>,
  caf::replies_to<get_node>::with<found_node>>;

/// Asks for the node of another machine of the job. Errors: unavailable,
/// timed_out, lost.
struct find_node {
  node_id node;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, find_node& x) {
    return f(x.node, x.timeout_ms);
  }
};

/// Asks for a host of another machine of the job. Errors as `find_node`.
struct find_host {
  host_name host;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, find_host& x) {
    return f(x.host, x.timeout_ms);
  }
};

struct found_host {
  host_actor control;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, found_host& x) {
    return f(x.control);
  }
};

/// Finds what lives on other machines and connects to it: one a process.
using neighbours_actor = caf::typed_actor<
  caf::replies_to<find_node>::with<found_node>,
  caf::replies_to<find_host>::with<found_host>>;

// -- ports ---------------------------------------------------------------------

/// A port of the node that nobody else will be given.
struct reserve_port {
  std::string owner;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 reserve_port& x) {
    return f(x.owner);
  }
};

struct reserved_port {
  std::uint16_t port = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 reserved_port& x) {
    return f(x.port);
  }
};

/// Gives back every port of `owner`.
struct release_ports {
  std::string owner;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 release_ports& x) {
    return f(x.owner);
  }
};

using port_manager_actor = caf::typed_actor<
  caf::replies_to<reserve_port>::with<reserved_port>,
  caf::reacts_to<release_ports>>;

} // namespace troupe::protocol
