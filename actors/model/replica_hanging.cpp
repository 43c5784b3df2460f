// SPDX-License-Identifier: Apache-2.0
// How a replica finds the rank that hangs: by those that have waited for it.
#include <chrono>
#include <utility>

#include "troupe/actors/model/late_answer.hpp"
#include "troupe/actors/model/replica.hpp"
#include "troupe/actors/protocol/errors.hpp"

namespace troupe::model {

namespace {

/// Ranks that wait for the same one give up together, more or less. Shorter than
/// the error_monitor waits where nobody has named a cause.
constexpr std::chrono::milliseconds late_after{400};

} // namespace

replica::round_ptr replica::begin_round(std::string operation) {
  auto out = std::make_shared<round>();
  out->operation = std::move(operation);
  out->era = era_;
  out->since = clock().now();
  return out;
}

void replica::note_failure(const round_ptr& asked, const error& why) {
  if (why.code() != errc::aborted)
    asked->explained = true;
  else if (protocol::has_given_up(why))
    look_for_hanging(asked);
}

void replica::look_for_hanging(const round_ptr& asked) {
  calls_.after(late_after, [asked, this] {
    if (asked->era != era_ || asked->explained || asked->missing.size() != 1)
      return;
    // Once, however many have waited.
    asked->explained = true;
    auto age = clock().now() - asked->since;
    static_cast<void>(report(*asked->missing.begin(), *asked,
                             still_at_it(asked->operation, age)));
  });
}

} // namespace troupe::model
