// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/proof.hpp"

namespace troupe::net {

mac_bytes make_proof(const job_key& key, prover who,
                     const preamble::hello& opening,
                     const secret_bytes& gate_nonce,
                     const secret_bytes& dialer_nonce) {
  // Lengths are fixed or written down, so no two openings give the same bytes.
  bytes text;
  encoder out{text};
  out.put(std::string_view{"troupe proof"});
  out.put(preamble::version);
  out.put(static_cast<std::uint8_t>(who));
  out.append(gate_nonce.data(), gate_nonce.size());
  out.append(dialer_nonce.data(), dialer_nonce.size());
  out.put(static_cast<std::uint8_t>(opening.kind));
  out.put(opening.slot);
  out.put(std::string_view{opening.job});
  return key.mac(text);
}

} // namespace troupe::net
