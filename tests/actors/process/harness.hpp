// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "actors/process/support.hpp"
#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/actors/process/peer_mesh.hpp"

namespace process_test {

/// Orders to a host of test_process_host, one byte each, then arguments.
enum class order : std::uint8_t {
  /// rows, scope -> part
  put = 1,
  /// part -> 0 and whether it is numbered from 0, or an error's code
  get = 2,
  /// scope -> nothing
  release = 3,
  /// -> the pidfd of a grandchild that has left its session and its parent
  make_orphan = 4,
  /// code
  exit = 5,
  /// -> number of open descriptors
  count_descriptors = 6,
};

/// The program the hosts run.
[[nodiscard]] std::string host_program();

/// A job id nobody else uses.
[[nodiscard]] std::string fresh_job_id();

/// A node with its guard, its mesh, and a socket to each of its hosts. Made
/// before any thread.
class node_harness {
public:
  /// What else a test wants of its guard.
  using guard_change = std::function<void(troupe::process::guard_settings&)>;

  /// With a `pulse_timeout` everybody gives ten signs of life in that time; the
  /// node may be silent three times as long. If `told_later` the guard hears of
  /// job and pulses after it was started.
  explicit node_harness(std::string job_id = fresh_job_id(),
                        troupe::duration pulse_timeout = {},
                        bool told_later = false,
                        const guard_change& change = {});

  ~node_harness();

  /// Starts test_process_host as host and connects to it.
  [[nodiscard]] troupe::result<troupe::process::host_process>
  start(std::int32_t slot, std::uint32_t life = 1);

  /// Sends an order and waits for the answer; an empty one if the host is
  /// gone.
  troupe::process::incoming call(std::int32_t slot, const troupe::bytes& x);

  /// Sends an order that has no answer.
  void tell(std::int32_t slot, const troupe::bytes& x);

  /// Waits for the next exit of a host.
  [[nodiscard]] std::optional<troupe::process::host_exit>
  next_exit(troupe::deadline until);

  [[nodiscard]] bool guard_lost(troupe::deadline until);

  [[nodiscard]] const std::string& job_id() const { return job_id_; }

  // The client ends first, then what its thread calls.
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<troupe::process::host_exit> exits;
  bool lost = false;
  troupe::process::peer_mesh* mesh = nullptr;
  std::unique_ptr<troupe::process::peer_mesh> mesh_owner;
  std::unique_ptr<troupe::process::guard_client> guard;

private:
  std::string job_id_;
  std::map<std::int32_t, troupe::process::unique_fd> controls_;
};

/// Stops a process and waits until each of its threads stands still.
[[nodiscard]] bool freeze(int pid);

[[nodiscard]] troupe::bytes put_order(std::int64_t rows, std::uint64_t scope);

[[nodiscard]] troupe::bytes get_order(const troupe::process::batch_part& x);

[[nodiscard]] troupe::bytes simple_order(order x, std::uint64_t argument = 0);

} // namespace process_test
