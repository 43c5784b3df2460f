// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/protocol/register.hpp"

namespace troupe::test {

/// What an error_recorder was told; the test holds it.
struct error_notes {
  std::vector<protocol::error_report> reports;
  /// Reports in each message, and how many it said were lost.
  std::vector<std::size_t> sizes;
  std::vector<std::uint64_t> lost;
  /// It takes what it is told and answers only when the test says `release`.
  bool held = false;
  std::vector<caf::typed_response_promise<protocol::ack>> owed;

  void release() {
    held = false;
    for (auto& x : std::exchange(owed, {}))
      x.deliver(protocol::ack{});
  }
};

/// A subscriber of the error_signal.
class error_recorder : public protocol::error_listener_actor::base {
public:
  error_recorder(caf::actor_config& config, std::shared_ptr<error_notes> notes)
    : protocol::error_listener_actor::base(config),
      notes_(std::move(notes)) {
    // nop
  }

  const char* name() const override { return "error_recorder"; }

  void on_exit() override { notes_->owed.clear(); }

protected:
  behavior_type make_behavior() override {
    return {
      [this](const protocol::error_news& x) {
        notes_->reports.insert(notes_->reports.end(), x.items.begin(),
                               x.items.end());
        notes_->sizes.push_back(x.items.size());
        notes_->lost.push_back(x.lost);
        auto out = make_response_promise<protocol::ack>();
        if (notes_->held)
          notes_->owed.push_back(out);
        else
          out.deliver(protocol::ack{});
        return out;
      },
    };
  }

private:
  std::shared_ptr<error_notes> notes_;
};

} // namespace troupe::test
