// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/knock.hpp"

#include <fmt/format.h>

#include "troupe/actors/net/proof.hpp"

namespace troupe::net {

namespace {

tl::unexpected<error> out_of_turn() {
  return fail(errc::corrupt, "its answer is not what a gate says here");
}

/// What the gate must say next.
template <class T>
result<T> expect(stream& from, deadline until) {
  auto message = receive_opening(from, until);
  if (!message)
    return fail(message.error());
  if (auto* x = std::get_if<preamble::refused>(&*message))
    return fail(std::move(x->reason));
  if (auto* x = std::get_if<T>(&*message))
    return std::move(*x);
  return out_of_turn();
}

result<void> open(stream& at, const preamble::hello& opening,
                  const job_key* key, deadline until) {
  if (auto sent = send_all(at, preamble::encode(opening), until); !sent)
    return sent;
  mac_bytes wanted{};
  if (opening.kind != preamble::channel::control) {
    if (!key)
      return fail(errc::invalid, "this channel needs the job's key");
    auto challenge = expect<preamble::challenge>(at, until);
    if (!challenge)
      return fail(challenge.error());
    auto nonce = random_secret();
    if (!nonce)
      return fail(nonce.error());
    preamble::answer proof{*nonce, make_proof(*key, prover::dialer, opening,
                                              challenge->nonce, *nonce)};
    if (auto sent = send_all(at, preamble::encode(proof), until); !sent)
      return sent;
    wanted = make_proof(*key, prover::gate, opening, challenge->nonce, *nonce);
  }
  auto accepted = expect<preamble::accepted>(at, until);
  if (!accepted)
    return fail(accepted.error());
  if (!same_bytes(accepted->proof, wanted))
    return fail(errc::refused,
                "who answers does not have the job's key: it is not a machine "
                "of this job");
  return {};
}

} // namespace

result<preamble::message> receive_opening(stream& from, deadline until) {
  bytes whole(preamble::header_bytes);
  if (auto got = receive_all(from, whole, until); !got)
    return fail(got.error());
  auto size = preamble::body_size(whole);
  if (!size)
    return fail(size.error());
  whole.resize(preamble::header_bytes + *size);
  auto body = std::span{whole}.subspan(preamble::header_bytes);
  if (auto got = receive_all(from, body, until); !got)
    return fail(got.error());
  return preamble::decode(whole);
}

result<void> knock(stream& at, std::string_view gate,
                   const preamble::hello& opening, const job_key* key,
                   deadline until) {
  auto opened = open(at, opening, key, until);
  if (!opened)
    return fail(opened.error().within(gate));
  return opened;
}

} // namespace troupe::net
