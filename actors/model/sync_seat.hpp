// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/model/group_table.hpp"
#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/actors/protocol/weights.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/comm/transfer/executor.hpp"

namespace troupe::model {

/// One rank's part in one sync: its program, the executor that runs it, and
/// whether the weights that it writes are whole.
///
/// Threads: the worker's thread installs, binds, swaps and asks; one thread of
/// the mover runs; `abort` and `progress` come from anywhere, and never wait for
/// the others. A run holds the seat: what must not happen meanwhile is refused
/// with `errc::unavailable`.
class sync_seat {
public:
  /// `name` is the program's: the sync's, or one that begins with it and a
  /// slash. `device` is the process's, if it has one.
  explicit sync_seat(std::string name, comm::device_ptr device = {});

  ~sync_seat();

  sync_seat(const sync_seat&) = delete;
  sync_seat& operator=(const sync_seat&) = delete;

  /// Takes the next piece of a program; the last one replaces the program. Ends
  /// a run that is going on, and waits for that as long as the request says.
  [[nodiscard]] result<void> install(const protocol::install_programs& request,
                                     const protocol::program_chunk& piece);

  /// Says where the parameters are. True if memory has moved since a run: then
  /// both ends need new links, because peers know the old places.
  [[nodiscard]] result<bool> bind(const parameter_list& parameters);

  /// Runs the program over the links `link_name(...)` of `groups`. After an
  /// error its links are dead, so that no peer waits for this rank.
  [[nodiscard]] result<std::vector<protocol::transfer_report>>
  run(const protocol::transfer& request, const group_table& groups,
      const protocol::worker_name& self);

  /// Moves what was staged into the parameters. Without channels to this rank
  /// there is nothing to move, and that is fine.
  [[nodiscard]] result<void> swap();

  /// Drops what was staged. Fails with `errc::refused` if the parameters were
  /// written to, so that the old version is no more.
  [[nodiscard]] result<void> discard();

  /// True if all that the sync brings to this rank is in its parameters.
  [[nodiscard]] result<void> check_whole() const;

  /// The weights of this sync have been given a version: the next run begins
  /// from a clean state.
  void committed();

  /// A link is closed: if it is one of its own, gives back what was built upon
  /// it: links, mappings, staging. Not during a run, which needs them.
  void leave(const std::string& link);

  /// Ends a run in progress, soon.
  void abort() noexcept;

  /// Aborts, waits for the run to end and gives everything back.
  void close() noexcept;

  /// True while a run goes on.
  [[nodiscard]] bool is_busy() const noexcept;

  /// A line for each channel that is under way; empty if no run is.
  [[nodiscard]] std::vector<std::string> progress() const;

private:
  /// What has happened to the parameters since the last commit.
  enum class content : std::uint8_t { untouched, staged, torn, written };

  [[nodiscard]] result<std::shared_ptr<comm::transfer::executor>>
  ready(const protocol::transfer& request, const group_table& groups);

  [[nodiscard]] bool receives() const noexcept;

  /// What a run was built upon. Its end may take a while: links say goodbye,
  /// devices are waited for, memory is given back.
  struct equipment {
    std::shared_ptr<comm::transfer::executor> executor;
    std::vector<comm::link_ptr> links;
  };

  /// Destroys it here: whoever looks in from outside at this moment must not
  /// turn out to be the last who has it. Not under `mutex_`.
  void let_go(equipment x) const noexcept;

  /// Under `mutex_`.
  [[nodiscard]] equipment take_all() noexcept;
  [[nodiscard]] equipment take_executor() noexcept;

  std::string name_;
  comm::device_ptr device_;
  /// Held for the length of a run.
  std::timed_mutex running_;
  /// Shared by those who look in from outside, while they have copies of what
  /// the seat has.
  mutable std::shared_mutex visits_;
  /// Guards what follows; never held while waiting, nor while anything ends.
  mutable std::mutex mutex_;
  protocol::payload pieces_;
  std::uint32_t next_piece_ = 0;
  std::shared_ptr<const rank_program> program_;
  comm::transfer::executor_options options_;
  std::vector<comm::transfer::local_tensor> tensors_;
  std::shared_ptr<comm::transfer::executor> executor_;
  std::vector<comm::link_ptr> links_;
  std::vector<std::string> link_names_;
  std::uint32_t generation_ = 0;
  content content_ = content::untouched;
  bool busy_ = false;
  bool closed_ = false;
};

/// The seats of one worker, by program. Callable from any thread.
class sync_table {
public:
  explicit sync_table(comm::device_ptr device = {})
    : device_(std::move(device)) {
    // nop
  }

  /// Made if it is not there; null once the table is closed.
  [[nodiscard]] std::shared_ptr<sync_seat> make(const std::string& program);

  /// Null if there is none.
  [[nodiscard]] std::shared_ptr<sync_seat>
  find(const std::string& program) const;

  [[nodiscard]] std::vector<std::shared_ptr<sync_seat>> all() const;

  /// Whether another program of `sync` than `program` is still running: one
  /// that was given up and has not noticed yet.
  [[nodiscard]] bool is_busy(const std::string& sync,
                             const std::string& program) const;

  /// Whether any program of any sync is still running.
  [[nodiscard]] bool is_busy() const;

  /// The weights that any program of `sync` brought have been given a version.
  void committed(const std::string& sync);

  void abort() noexcept;

  /// Ends every run and forgets the seats.
  void clear() noexcept;

  /// `clear`, for good.
  void close() noexcept;

private:
  comm::device_ptr device_;
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<sync_seat>>> seats_;
  bool closed_ = false;
};

} // namespace troupe::model
