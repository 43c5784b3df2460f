// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/cuda/stand_in_memory.hpp"
#include "troupe/comm/cuda/copy_launch.hpp"
#include "troupe/comm/cuda/runtime.hpp"

namespace troupe::test {

struct stand_in_options {
  /// One entry a device: its number on the imagined machine, of which its UUID
  /// is made. Runtimes of one test that name the same number share a device.
  std::vector<std::uint32_t> devices = {0};
  /// Whom each of them lets in, as it says; empty: everybody. Nobody is kept
  /// out.
  std::vector<comm::cuda::compute_mode> modes = {};
  /// Work is done by `step` and `run_all` alone, in the calling thread, instead
  /// of by a thread a stream.
  bool stepped = false;
  /// If stepped: operations that each `query` does first, as if time passed.
  std::uint32_t steps_per_query = 0;
};

/// Stands in for the CUDA runtime on machines without a device: enough to drive
/// the wrappers' ordering, error and abort logic. It measures nothing.
///
/// Device memory is host memory that it tracks. Streams are queues of closures,
/// done in order, by a thread each or in steps. What a program does wrong is
/// noted as a sentence in `hazards`:
///   use after free      of memory, streams and events, by the host's calls and
///                       by queued work; a release while the host does not know
///                       that the work on it is done; a second release
///   missing sync        two operations on the same bytes, one of which writes,
///                       with no event between them: found by vector clocks, so
///                       also where they happened to run one after the other
///   wrong place         beyond an allocation, pageable memory in a kernel,
///                       launches to another device's stream, the default stream
///   waits without end   copies with pageable memory
/// Threads of the host count as one: what one thread knows, all know.
///
/// Safe to call from any thread.
class stand_in_runtime final : public comm::cuda::runtime {
public:
  using status = comm::cuda::status;
  using stream_handle = comm::cuda::stream_handle;
  using event_handle = comm::cuda::event_handle;

  /// Work on a stream. Must end soon after `cancelled` is set. A status other
  /// than success is sticky: the device is dead from then on.
  using stream_work = std::function<status(const std::atomic<bool>& cancelled)>;

  explicit stand_in_runtime(stand_in_options options = {});

  /// Ends what is under way; notes what was not released.
  ~stand_in_runtime() override;

  /// Of a device with that number on the machine.
  [[nodiscard]] static comm::cuda::device_uuid uuid_of(std::uint32_t number);

  // -- what went wrong ---------------------------------------------------------

  [[nodiscard]] std::vector<std::string> hazards() const;

  /// Where hazards go; outlives the runtime.
  [[nodiscard]] std::shared_ptr<hazard_log> log() const { return log_; }

  /// Streams, events and memory that are not released.
  [[nodiscard]] std::vector<std::string> leaks() const;

  /// Waits until all work is done; hazards and leaks. What a test checks last.
  [[nodiscard]] std::vector<std::string>
  finish(std::chrono::milliseconds limit = std::chrono::seconds{10});

  // -- what shall go wrong -----------------------------------------------------

  /// The next call of that function (`"allocate"`, `"copy"`, ...) fails so and
  /// does nothing else; called twice: the next two.
  void fail_next(std::string_view function, status code);

  /// The next operation on `stream` (null: on any) ends so instead of being
  /// done, and every call fails so from then on.
  void fail_async(status code, stream_handle stream = nullptr);

  /// Work of `stream` does not begin until `resume`. Null: of all streams, also
  /// those that are made later.
  void hang(stream_handle stream = nullptr);

  void resume(stream_handle stream = nullptr);

  /// What a device has; more is `codes::out_of_memory`.
  void out_of_memory_above(std::uint64_t bytes);

  // -- work --------------------------------------------------------------------

  /// Does what `launch` is given, in the stream's thread. Without one, `launch`
  /// fails with `codes::invalid_value`.
  void execute_with(std::function<void(const comm::cuda::copy_launch&)> kernel);

  /// Work of other libraries (NCCL). It may wait for other threads unless the
  /// runtime is stepped. `touches` is what it reads and writes.
  status enqueue(stream_handle stream, std::string what, stream_work work,
                 std::vector<memory_touch> touches = {});

  /// The host reads or writes by itself: a hazard if work that it has not
  /// waited for does so as well.
  void touch(const void* where, std::uint64_t bytes, bool writes);

  /// Does one operation that can be done; false if there is none. The streams
  /// take turns. Only if stepped.
  bool step();

  /// Of that stream.
  bool step(stream_handle stream);

  /// As many as there are; the number of them.
  std::size_t run_all();

  /// Memory of a kind that `allocate` does not make: of pools (`device`, cannot
  /// be exported) and managed. Ended by `release`.
  std::byte* make_memory(comm::cuda::memory_kind kind, std::uint64_t bytes);

  // -- what happened -----------------------------------------------------------

  /// Streams that exist, in the order of their making.
  [[nodiscard]] std::vector<stream_handle> streams() const;

  /// Calls of a function so far.
  [[nodiscard]] std::uint64_t calls(std::string_view function) const;

  /// The longest block that was ever pinned.
  [[nodiscard]] std::uint64_t largest_pinned() const {
    std::lock_guard guard{mutex_};
    return largest_pinned_;
  }

  /// Devices on which anything was done in a thread that stood there.
  [[nodiscard]] std::set<std::int32_t> contexts() const {
    std::lock_guard guard{mutex_};
    return contexts_;
  }

  /// How often the kernel came to a device, with `load_kernels` or a launch.
  [[nodiscard]] std::uint64_t kernel_loads() const {
    std::lock_guard guard{mutex_};
    return loaded_.size();
  }

  /// Operations that were done, in order: `stream 1: copy 64 bytes`.
  [[nodiscard]] std::vector<std::string> done() const;

  // -- implementation of runtime -----------------------------------------------

  [[nodiscard]] std::string version() const override;
  [[nodiscard]] std::string name_of(status x) const override;
  [[nodiscard]] std::string text_of(status x) const override;
  status take_last_error() noexcept override;

  status device_count(std::int32_t& out) noexcept override;
  status figures(std::int32_t device,
                 comm::cuda::device_figures& out) noexcept override;
  status current_device(std::int32_t& out) noexcept override;
  status set_device(std::int32_t device) noexcept override;

  bool has_context(std::int32_t device) noexcept override {
    std::lock_guard guard{mutex_};
    return contexts_.count(device) > 0;
  }

  /// Gives up after 10 s.
  status synchronize_device() noexcept override;
  status memory_bytes(std::uint64_t& free,
                      std::uint64_t& total) noexcept override;

  status allocate(std::byte*& out, std::uint64_t bytes) noexcept override;
  status release(std::byte* memory) noexcept override;
  status allocate_pinned(std::byte*& out,
                         std::uint64_t bytes) noexcept override;
  status release_pinned(std::byte* memory) noexcept override;
  status facts(const void* where,
               comm::cuda::pointer_facts& out) noexcept override;
  status copy(void* to, const void* from, std::uint64_t bytes,
              stream_handle stream) noexcept override;
  status fill(void* to, std::uint8_t value, std::uint64_t bytes,
              stream_handle stream) noexcept override;
  status export_memory(std::byte* memory,
                       comm::cuda::ipc_handle& out) noexcept override;
  /// Between the runtimes of one process; not into the one that exported, as
  /// CUDA refuses within a process.
  status import_memory(const comm::cuda::ipc_handle& handle,
                       std::byte*& out) noexcept override;
  status close_imported(std::byte* memory) noexcept override;

  status create_stream(stream_handle& out) noexcept override;
  status destroy_stream(stream_handle stream) noexcept override;
  status create_event(event_handle& out, bool timed) noexcept override;
  status destroy_event(event_handle event) noexcept override;
  status record(event_handle event, stream_handle stream) noexcept override;
  status query(event_handle event) noexcept override;
  status wait(stream_handle stream, event_handle event) noexcept override;
  status elapsed_ms(event_handle begin, event_handle end,
                    float& out) noexcept override;

  status load_kernels() noexcept override;
  status launch(const comm::cuda::copy_launch& what,
                stream_handle stream) noexcept override;

private:
  struct event_state {
    std::size_t number = 0;
    std::int32_t device = 0;
    bool timed = false;
    /// How often it was recorded, and the last of them that has happened.
    std::uint64_t recorded = 0;
    std::uint64_t completed = 0;
    /// What is done once the last record has happened.
    happened known;
    std::chrono::steady_clock::time_point when;
  };

  using event_ptr = std::shared_ptr<event_state>;

  /// Nothing: it must not run.
  using planned_touches = std::optional<std::vector<memory_touch>>;

  struct operation {
    std::string what;
    std::uint64_t time = 0;
    happened known;
    /// Empty for records and waits.
    stream_work work;
    /// Called when the operation begins: what a kernel reads it is told by
    /// tables that may be written by work before it.
    std::function<planned_touches()> touches;
    event_ptr records;
    event_ptr waits_for;
    std::uint64_t generation = 0;
  };

  struct stream_state {
    std::size_t line = 0;
    std::int32_t device = 0;
    happened known;
    std::uint64_t time = 0;
    /// Of the last operation that is done.
    std::uint64_t done = 0;
    std::deque<operation> queue;
    bool busy = false;
    bool held = false;
    bool destroyed = false;
    std::optional<status> fails;
    std::thread worker;
  };

  using stream_ptr = std::shared_ptr<stream_state>;
  using lock = std::unique_lock<std::mutex>;

  /// What every call begins with: nothing if it shall go on.
  std::optional<status> begin(std::string_view function);

  /// Remembers what a call ends with.
  status end(status code);

  std::int32_t device_here() const;
  stream_ptr find_stream(stream_handle stream, std::string_view function);
  event_ptr find_event(event_handle event, std::string_view function);

  status push(const stream_ptr& to, operation what);
  bool runnable(const stream_state& x) const;
  bool idle() const;
  void run_head(lock& guard, stream_state& x);
  void run_stream(const stream_ptr& x);
  bool step_one(lock& guard);
  void die(status code);
  void learn(const happened& what);
  bool wait_until(lock& guard, std::chrono::milliseconds limit,
                  const std::function<bool()>& condition);
  std::vector<std::string> leaks_locked() const;

  stand_in_options options_;
  std::shared_ptr<hazard_log> log_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  stand_in_memory memory_;
  std::map<stream_handle, stream_ptr> streams_;
  /// Destroyed, but with work left.
  std::vector<stream_ptr> old_streams_;
  std::map<event_handle, event_ptr> events_;
  std::size_t lines_ = 0;
  std::size_t events_made_ = 0;
  std::size_t next_turn_ = 0;
  /// What the host knows to be done; itself is line 0.
  happened host_;
  std::uint64_t host_time_ = 0;

  std::uint64_t largest_pinned_ = 0;
  std::set<std::int32_t> contexts_;
  /// Devices that the kernel stands on.
  std::set<std::int32_t> loaded_;
  /// Of this thread and that runtime. Numbers of threads come back, and so do
  /// addresses of runtimes.
  static std::map<std::uint64_t, std::int32_t>& chosen_devices();
  std::uint64_t serial_ = 0;
  std::map<std::thread::id, status> last_;
  std::map<std::string, std::deque<status>, std::less<>> failing_;
  std::map<std::string, std::uint64_t, std::less<>> calls_;
  std::vector<std::string> done_;
  std::optional<status> fails_;
  bool all_held_ = false;
  std::uint64_t memory_limit_;
  status sticky_ = 0;
  bool closing_ = false;
  std::atomic<bool> cancelled_ = false;
  std::function<void(const comm::cuda::copy_launch&)> kernel_;
};

} // namespace troupe::test
