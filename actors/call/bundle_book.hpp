// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/bundle.hpp"
#include "troupe/core/error.hpp"

namespace troupe::call {

/// The bundles that an actor passes on, and what has been answered of each. A
/// member of nodes and hosts, which are `protocol::courier_actor`s. One thread.
class bundle_book {
public:
  /// Bundles with answers that nobody has fetched: more than that, and the
  /// oldest is forgotten. Whoever asked for it is gone.
  static constexpr std::size_t unclaimed_max = 1024;

  using answer = reply<protocol::bundle_answers>;

  using promise = caf::typed_response_promise<protocol::bundle_answers>;

  /// What `self` does with a bundle: asks all its parcels with `calls`.
  template <class Self, class Calls>
  promise pass_on(Self* self, Calls& calls, const protocol::bundle& x) {
    auto out = answer_of(self);
    auto id = open(x.items.size(), out);
    auto together = calls.collect();
    for (std::size_t i = 0; i < x.items.size(); ++i)
      calls.forward(x.items[i], [this, id, i](result<caf::message> y) {
        set(id, i, std::move(y));
      });
    return out.promise();
  }

  /// What `self` does when it is asked for the rest of a bundle.
  template <class Self>
  promise fetch(Self* self, const protocol::get_rest& x) {
    auto out = answer_of(self);
    fetch(x.rest, out);
    return out.promise();
  }

  /// Begins a bundle of `count` requests.
  std::uint64_t open(std::size_t count, answer out);

  /// A request of the bundle was answered.
  void set(std::uint64_t id, std::size_t index, result<caf::message> x);

  /// Somebody asks for the rest of a bundle.
  void fetch(std::uint64_t id, answer out);

  /// Ends with its actor, which the promises would keep: whoever waits hears
  /// what was answered, and that the actor is gone.
  void close();

  /// Bundles that are not answered in full.
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

private:
  struct entry {
    std::size_t left = 0;
    std::vector<protocol::bundle_answer> answers;
    bool failed = false;
    /// Who waits for the next answers, if somebody does.
    std::optional<answer> out;
  };

  template <class Self>
  static answer answer_of(Self* self) {
    return answer{
      self->template make_response_promise<protocol::bundle_answers>()};
  }

  using position = std::map<std::uint64_t, entry>::iterator;

  /// Answers who waits, if there is reason to.
  void tell(position at);

  void forget_unclaimed();

  std::map<std::uint64_t, entry> open_;
  std::uint64_t next_ = 1;
};

} // namespace troupe::call
