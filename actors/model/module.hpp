// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "troupe/actors/checkpoint/rank_files.hpp"
#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/actors/model/worker_context.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::model {

class worker_state;

} // namespace troupe::model

namespace troupe {

/// The user's model code: one instance for each rank of each replica, made in
/// the process that owns the rank's device.
///
/// Threads: every member is called on the worker's own thread, one call at a
/// time, the constructor and destructor included. Other models' modules may
/// run in the same process at the same time: set no process-wide state (torch
/// default dtype, default generator, thread counts).
///
/// Other ranks: `setup`, `on_sync`, `load_checkpoint` and the functions that an
/// application calls may talk to them (`worker_context::world`): the devices
/// between which they do are theirs meanwhile. The others may not: ranks are not
/// asked together, and other models may use the devices at the same time.
///
/// Errors: throw anything derived from std::exception. The job reports model,
/// replica, rank, function and the exception's text, and reacts by policy. An
/// error of a communicator or a batch keeps its code as a troupe::exception
/// (core/exception.hpp), or if its `value()` is asked for: so a rank that waited
/// in vain for another one is not taken for the cause.
///
/// Functions that an application calls have the form
/// `batch f(const batch&)` and are named when the model is declared (app.hpp).
/// Rows of a result are joined over replicas and data ranks; its metadata is
/// that of the first: a number that differs between ranks is reduced by the
/// module (`worker_context::data_parallel`), or the others' are never seen.
class module {
public:
  virtual ~module();

  /// Makes the model ready: build it, load it, create optimizers. Called once
  /// before anything else. `ctx` stays valid as long as the module lives.
  virtual void setup(worker_context& ctx);

  /// What this rank holds and weight syncs read or write. Called after `setup`
  /// and at the beginning of every sync, so it should be cheap. Memory may move
  /// between syncs; names, types, shapes and segments must stay, or the sync
  /// fails before anything moves. No memory may go before the module does,
  /// except in `offload`.
  [[nodiscard]] virtual parameter_list parameters();

  /// Runs after a sync has committed new weights into `parameters()`, or
  /// `load_checkpoint` as it is has (version 0): rebuild here what depends on
  /// them.
  virtual void on_sync(weight_version version);

  /// Saves everything that `setup` and the next sync would not bring back. As it
  /// is, the values of `parameters()`, as the file `parameters`, unless they
  /// come back anyway (`worker_context::weights_return`); the state of
  /// `worker_context::generator` is saved in any case. Optimizers, counters and
  /// whatever else a call changes are yours to add: override both functions,
  /// call these in them, and write to files of other names. A model whose
  /// `setup` brings everything back overrides them with nothing.
  virtual void save_checkpoint(checkpoint_writer& to);

  /// Brings back what `save_checkpoint` saved in a job of the same shape: all of
  /// it, also over what the module has become since. Called after `setup`, and
  /// again when a run goes on after a failure (`on_failure: restart`). As it is,
  /// it throws if the saved parameters are not those of the module.
  virtual void load_checkpoint(const checkpoint_reader& from);

  /// Memory hooks of models with `offload: true`: `offload` gives the device all
  /// that the model holds there, `onload` brings it back, perhaps to another
  /// place. Offloaded after `setup` and then after every function, sync and
  /// checkpoint; nothing but `onload` and the destructor is called until it is
  /// back.
  virtual void onload();
  virtual void offload();

  /// Bytes of the device that the model holds now, by its own account. None: the
  /// bytes of its parameters there count, and 0 while it is offloaded. Cheap:
  /// asked after every function.
  [[nodiscard]] virtual std::optional<std::uint64_t> device_bytes() const;

private:
  friend class model::worker_state;

  /// That of `setup`, there before it: through it the checkpoint functions reach
  /// a device. Null where no worker owns the module.
  worker_context* context_ = nullptr;
};

} // namespace troupe
