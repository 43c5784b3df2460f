// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "troupe/bench/sync/bare_gloo.hpp"
#include "troupe/bench/sync/rates.hpp"
#include "troupe/bench/sync/sync_load.hpp"
#include "troupe/bench/sync/two_processes.hpp"

// The measurements of `bench_sync`. Those between two processes are called by
// both; the destination measures, the source only takes part. What is compared
// is measured in turns, round by round.

namespace troupe::bench {

struct arena_figures {
  /// One thread's memcpy, tensor by tensor.
  seconds_list memcpy;
  /// Read in place from an arena into the tensors.
  seconds_list arena;
  /// The same without digests.
  seconds_list undigested;
  /// Gloo's broadcast to the other rank, tensor by tensor.
  seconds_list broadcast;
  /// From making the executor to the end of its first run.
  double first = 0;
  double warm_up = 0;
};

[[nodiscard]] result<arena_figures>
measure_arena(const two_processes& with, bare_gloo& bare, const sync_load& load,
              std::pair<int, int> digested, std::pair<int, int> undigested,
              std::size_t rounds);

struct packed_figures {
  /// From memory that is no arena, into the tensors.
  seconds_list in_place;
  /// The same into staging, without the commit, and the commit.
  seconds_list staged;
  seconds_list commit;
  double first = 0;
};

[[nodiscard]] result<packed_figures> measure_packed(const two_processes& with,
                                                    const sync_load& load,
                                                    std::pair<int, int> sockets,
                                                    std::size_t rounds);

struct gloo_figures {
  /// Gloo's send and recv, tensor by tensor.
  seconds_list raw;
  seconds_list link;
  double first = 0;
};

[[nodiscard]] result<gloo_figures> measure_gloo(const two_processes& with,
                                                bare_gloo& bare,
                                                const sync_load& load,
                                                std::size_t rounds);

struct inproc_figures {
  seconds_list memcpy;
  seconds_list copy;
  seconds_list share;
  /// Sharing an eighth of the load, in as many tensors.
  seconds_list share_eighth;
};

/// Two threads of this process.
[[nodiscard]] result<inproc_figures> measure_inproc(const sync_load& load,
                                                    const sync_load& eighth,
                                                    std::size_t rounds);

} // namespace troupe::bench
