// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/dist_model.hpp"

// How a dist_model asks its replicas: for its own translation units.
namespace troupe::model {

template <class Reply, class Message>
void dist_model::ask_these(const std::vector<replica_id>& ids,
                           milliseconds timeout, const Message& message,
                           continuation<std::vector<Reply>> done,
                           const call::device_lease& lease) {
  auto all = std::make_shared<call::gather<Reply>>(ids.size(), std::move(done));
  auto together = calls_.collect();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto found = members_.find(ids[i]);
    calls_.ask<Reply>(found == members_.end() ? protocol::replica_actor{}
                                              : found->second.actor,
                      timeout, message,
                      // The first failure is answered at once.
                      [all, i, lease](result<Reply> x) {
                        all->set(i, std::move(x));
                      });
  }
}

} // namespace troupe::model
