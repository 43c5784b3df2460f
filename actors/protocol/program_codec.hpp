// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "troupe/actors/protocol/weights.hpp"
#include "troupe/core/error.hpp"

namespace troupe::protocol {

/// Longest piece of a program in one message.
inline constexpr std::size_t program_chunk_bytes_max = 256 * 1024;

/// A rank's program as the pieces of an `install_programs`, for `to`.
[[nodiscard]] std::vector<program_chunk> encode(const rank_program& x,
                                                const worker_name& to);

/// The inverse, of all pieces joined. Fails with `errc::corrupt`. Only the form
/// is checked: `executor::make` checks what the program asks for.
[[nodiscard]] result<rank_program> decode_program(const payload& x);

} // namespace troupe::protocol
