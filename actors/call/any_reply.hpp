// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include <caf/behavior.hpp>
#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include "troupe/actors/protocol/errors.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/error.hpp"

// For whoever passes on requests without knowing what they ask.
namespace troupe::call {

/// Takes what comes back for a request, whatever it is: CAF wants to know the
/// types in advance, so these are all that replicas, workers and movers answer.
/// `take(result<caf::message>)` runs once.
template <class Taker>
caf::behavior any_reply(Taker take) {
  auto shared = std::make_shared<Taker>(std::move(take));
  auto handler = [&]<class T>(T*) {
    return [shared](T& x) {
      (*shared)(result<caf::message>{caf::make_message(std::move(x))});
    };
  };
  auto of = [&]<class... Ts>(Ts*... none) {
    return caf::behavior{handler(none)..., [shared](caf::error& x) {
                           (*shared)(
                             result<caf::message>{fail(protocol::from_caf(x))});
                         }};
  };
  return of(static_cast<protocol::ack*>(nullptr),
            static_cast<protocol::started_ranks*>(nullptr),
            static_cast<protocol::manifests*>(nullptr),
            static_cast<protocol::group_addresses*>(nullptr),
            static_cast<protocol::invoked*>(nullptr),
            static_cast<protocol::sync_standings*>(nullptr),
            static_cast<protocol::transfer_reports*>(nullptr),
            static_cast<protocol::operations*>(nullptr));
}

/// The answer in a message of one element.
template <class Reply>
result<Reply> unpack(result<caf::message> x) {
  if (!x)
    return fail(x.error());
  if (!x->template match_elements<Reply>())
    return fail(errc::internal, "an answer of another type");
  return std::move(x->template get_mutable_as<Reply>(0));
}

} // namespace troupe::call
