// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/protocol/errors.hpp"

// How a dist_model asks its replicas: for its own translation units.
namespace troupe::model {

template <class Reply>
void dist_model::keep_while_busy(const call::device_lease& lease,
                                 const protocol::replica_actor& whom,
                                 milliseconds timeout,
                                 const result<Reply>& answer) {
  // A failure is that of the first rank which fails. The others may wait for
  // it in a collective until their deadlines.
  if (answer || !call::any(lease))
    return;
  // It has had its time.
  if (protocol::is_silence(answer.error()))
    return;
  calls_.ask<protocol::ack>(whom, timeout, protocol::await_ranks{},
                            [lease](const result<protocol::ack>&) {});
}

template <class Reply, class Message>
void dist_model::ask_these(const std::vector<replica_id>& ids,
                           milliseconds timeout, const Message& message,
                           continuation<std::vector<Reply>> done,
                           const call::device_lease& lease) {
  auto all = std::make_shared<call::gather<Reply>>(ids.size(), std::move(done));
  auto together = calls_.collect();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto found = members_.find(ids[i]);
    auto whom = found == members_.end() ? protocol::replica_actor{}
                                        : found->second.actor;
    calls_.ask<Reply>(whom, timeout, message,
                      // The first failure is answered at once.
                      [=, this](result<Reply> x) {
                        keep_while_busy(lease, whom, timeout, x);
                        all->set(i, std::move(x));
                      });
  }
}

} // namespace troupe::model
