// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "troupe/actors/process/batch_ref.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/deadline.hpp"

/// What the tests of this room share.
namespace process_test {

/// Long enough for a busy machine; a test that gets here has failed.
[[nodiscard]] troupe::deadline soon();

/// Descriptors this process has open.
[[nodiscard]] std::size_t open_descriptors();

/// Counts until there are `count` of them, or too long; says how many there
/// are. For those that a thread closes a moment later: nobody tells of that.
[[nodiscard]] std::size_t await_descriptors(std::size_t count);

/// Polls until `fd` is readable.
[[nodiscard]] bool readable(int fd, troupe::deadline until);

/// True once the process behind a pidfd has ended.
[[nodiscard]] inline bool ended(const troupe::process::unique_fd& pidfd,
                                troupe::deadline until) {
  return readable(pidfd.get(), until);
}

[[nodiscard]] troupe::process::unique_fd open_pidfd(int pid);

/// Waits for one message; an empty one if none came or the other side is gone.
[[nodiscard]] troupe::process::incoming
receive(const troupe::process::unique_fd& socket, troupe::deadline until);

/// Rows of two columns: row r of tensor "x" holds 2r and 2r + 1 as int64.
[[nodiscard]] troupe::batch numbered_batch(std::int64_t rows,
                                           std::int64_t first = 0);

/// True if `x` is `numbered_batch(rows, first)`.
[[nodiscard]] bool is_numbered(const troupe::batch& x, std::int64_t rows,
                               std::int64_t first = 0);

void put(troupe::encoder& out, const troupe::process::batch_part& x);

[[nodiscard]] bool get(troupe::decoder& in, troupe::process::batch_part& x);

/// A generator whose seed is printed, or taken from TROUPE_SEED.
[[nodiscard]] std::mt19937_64 seeded_generator();

/// Random bytes, or a mutation of `seed`: cut, extended or with bytes changed.
[[nodiscard]] troupe::bytes mutate(const troupe::bytes& seed,
                                   std::mt19937_64& random);

} // namespace process_test
