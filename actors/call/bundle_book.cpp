// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/bundle_book.hpp"

namespace troupe::call {

std::uint64_t bundle_book::open(std::size_t count, answer out) {
  auto id = next_++;
  entry x;
  x.left = count;
  x.answers.reserve(count);
  x.out = std::move(out);
  tell(open_.emplace(id, std::move(x)).first);
  return id;
}

void bundle_book::set(std::uint64_t id, std::size_t index,
                      result<caf::message> x) {
  auto at = open_.find(id);
  if (at == open_.end())
    return;
  protocol::bundle_answer item;
  item.index = static_cast<std::uint32_t>(index);
  if (x) {
    item.content = std::move(*x);
  } else {
    item.why = protocol::to_caf(x.error());
    at->second.failed = true;
  }
  at->second.answers.push_back(std::move(item));
  --at->second.left;
  tell(at);
}

void bundle_book::fetch(std::uint64_t id, answer out) {
  auto at = open_.find(id);
  if (at == open_.end())
    return out.deliver(
      fail(errc::aborted, "the answers were not fetched in time"));
  at->second.out = std::move(out);
  tell(at);
}

void bundle_book::close() {
  for (auto& [id, x] : std::exchange(open_, {})) {
    if (!x.out)
      continue;
    // Whoever asks for the rest hears that, too.
    if (x.answers.empty())
      x.out->deliver(fail(errc::lost, "it has ended"));
    else
      x.out->deliver(protocol::bundle_answers{std::move(x.answers), id});
  }
}

void bundle_book::tell(position at) {
  auto& x = at->second;
  auto all = x.left == 0;
  if (!all && !x.failed)
    return;
  if (!x.out) {
    if (all)
      forget_unclaimed();
    return;
  }
  protocol::bundle_answers told;
  told.items = std::exchange(x.answers, {});
  told.rest = all ? 0 : at->first;
  x.failed = false;
  auto out = *std::exchange(x.out, std::nullopt);
  if (all)
    open_.erase(at);
  out.deliver(std::move(told));
}

void bundle_book::forget_unclaimed() {
  std::size_t count = 0;
  auto oldest = open_.end();
  for (auto i = open_.begin(); i != open_.end(); ++i)
    if (i->second.left == 0 && ++count == 1)
      oldest = i;
  if (count > unclaimed_max)
    open_.erase(oldest);
}

} // namespace troupe::call
