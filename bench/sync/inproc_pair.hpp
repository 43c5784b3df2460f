// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "troupe/bench/sync/sync_load.hpp"
#include "troupe/comm/transfer/executor.hpp"

namespace troupe::bench {

/// Both executors of a sync inside this process; the source's runs in a thread
/// of its own.
class inproc_pair {
public:
  /// The tensors' memory must outlive the pair.
  static result<std::unique_ptr<inproc_pair>>
  make(const sync_load& load, link_kind link,
       std::vector<comm::transfer::local_tensor> from,
       std::vector<comm::transfer::local_tensor> to,
       const comm::transfer::executor_options& options = {});

  ~inproc_pair();

  inproc_pair(const inproc_pair&) = delete;
  inproc_pair& operator=(const inproc_pair&) = delete;

  /// Seconds that a run takes at the destination. Both threads are awake when
  /// it begins.
  result<double> run(comm::transfer::run_mode mode);

private:
  using executor_ptr = std::unique_ptr<comm::transfer::executor>;

  inproc_pair(executor_ptr out, executor_ptr in);

  void serve();

  executor_ptr out_;
  executor_ptr in_;
  std::barrier<> begin_{2};
  std::atomic<bool> awake_{false};
  std::atomic<bool> go_{false};
  bool ends_ = false;
  std::thread thread_;
};

} // namespace troupe::bench
