// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/net/preamble.hpp"
#include "troupe/actors/net/stream.hpp"

namespace troupe::net {

/// The dialer's side of a connection's opening (see preamble.hpp), after the
/// handshake: says what the connection is for, proves the right to it and has
/// the gate prove itself. Blocks. `gate` is how errors name the other side;
/// `key` is needed by data and pulse channels. Fails with
///  - what the gate says;
///  - `errc::refused`: the gate has another key;
///  - `errc::corrupt`: what answers is no gate;
///  - `errc::lost`, `errc::timed_out`.
[[nodiscard]] result<void> knock(stream& at, std::string_view gate,
                                 const preamble::hello& opening,
                                 const job_key* key, deadline until);

/// Reads one message of an opening. Fails with `errc::corrupt`, and as
/// `receive_all`.
[[nodiscard]] result<preamble::message> receive_opening(stream& from,
                                                        deadline until);

} // namespace troupe::net
