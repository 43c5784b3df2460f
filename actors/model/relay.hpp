// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iterator>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/protocol/model.hpp"

namespace troupe::model {

/// Cuts a request made of addressed items (`item.to`) into one request for each
/// key, in key order; everything but the items is copied.
template <class Key, class Request, class KeyOf>
std::map<Key, Request> cut(const Request& request, KeyOf key_of) {
  // Copied for each key, without the items: there may be thousands of both.
  auto empty = request;
  empty.items.clear();
  empty.items.shrink_to_fit();
  std::map<Key, Request> shares;
  for (const auto& item : request.items)
    shares.try_emplace(key_of(item.to), empty)
      .first->second.items.push_back(item);
  return shares;
}

/// Joins answers made of items in the order given.
template <class Reply>
Reply join(std::vector<Reply> answers) {
  Reply all;
  for (auto& x : answers)
    std::move(x.items.begin(), x.items.end(), std::back_inserter(all.items));
  return all;
}

inline protocol::ack join(const std::vector<protocol::ack>&) {
  return {};
}

/// The invocations of a call's parts as one: outputs one below the other, the
/// lowest version, the longest time and that of each rank.
inline protocol::invoked join(std::vector<protocol::invoked> answers) {
  protocol::invoked all;
  for (auto& x : answers) {
    auto first = &x == &answers.front();
    all.version = first ? x.version : std::min(all.version, x.version);
    all.busy_us = std::max(all.busy_us, x.busy_us);
    std::move(x.output.parts.begin(), x.output.parts.end(),
              std::back_inserter(all.output.parts));
    std::move(x.times.begin(), x.times.end(), std::back_inserter(all.times));
  }
  return all;
}

} // namespace troupe::model
