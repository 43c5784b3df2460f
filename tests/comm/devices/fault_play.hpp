// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "comm/devices/device_subject.hpp"
#include "comm/devices/fault.hpp"

namespace troupe::test {

/// What goes wrong on a device that is stood in for.
class device_faults {
public:
  virtual ~device_faults();

  /// Kernels so far.
  [[nodiscard]] virtual std::uint64_t kernels() const = 0;

  /// From now on; `kernels` is how many there are in a run.
  virtual void arm(const fault& what, std::uint64_t kernels) = 0;

  /// So much memory and no more.
  virtual void limit(std::uint64_t bytes) = 0;

  /// What hangs goes on.
  virtual void resume() = 0;

  [[nodiscard]] virtual bool fired() const = 0;
};

/// Where two threads wait for each other.
class meeting {
public:
  /// False if the other one has left or does not come.
  bool wait();

  /// From now on nobody waits.
  void leave();

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t waiting_ = 0;
  std::uint64_t round_ = 0;
  bool left_ = false;
};

/// One rank of a sync with a fault, in this process.
struct play_side {
  sync_side side = sync_side::source;
  device_subject place;
  link_kind kind = link_kind::cuda;
  comm::link_ptr line;
  /// Of a source's tensors; null: any memory of the device.
  std::function<buffer(std::size_t)> source_memory;
  /// Null: a device of this machine.
  std::shared_ptr<device_faults> faults;
  /// What `fault_kind::drop` does; null: forgets the link.
  std::function<void()> vanish;
  /// Null: the other side is in another process.
  std::shared_ptr<meeting> other;
};

/// A healthy sync, and one that goes wrong. Takes the link along.
[[nodiscard]] side_report play(play_side with, const fault& what);

/// Both sides of a bed in threads of this process; what is wrong, and how many
/// sides the fault has reached.
struct play_result {
  std::string wrong;
  bool fired = false;
};

[[nodiscard]] play_result play_both(const device_bed& on,
                                    std::shared_ptr<device_faults> source,
                                    std::shared_ptr<device_faults> destination,
                                    const fault& what);

} // namespace troupe::test
