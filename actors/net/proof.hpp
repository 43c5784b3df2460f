// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/net/preamble.hpp"

namespace troupe::net {

/// Which end proves itself. It stands in the proof, so that a gate's proof
/// cannot be sent back to it as a dialer's.
enum class prover : std::uint8_t { dialer = 1, gate = 2 };

/// HMAC-SHA256 under the job's key over who proves, both nonces, channel, slot
/// and job. Each end chose one of the nonces just now, so a proof that was
/// overheard is worth nothing on another connection, channel or slot.
[[nodiscard]] mac_bytes make_proof(const job_key& key, prover who,
                                   const preamble::hello& opening,
                                   const secret_bytes& gate_nonce,
                                   const secret_bytes& dialer_nonce);

} // namespace troupe::net
