// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/executor.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "troupe/comm/transfer/channel.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"
#include "troupe/comm/transfer/helper_thread.hpp"
#include "troupe/comm/transfer/lifeline.hpp"
#include "troupe/comm/transfer/receive_side.hpp"
#include "troupe/comm/transfer/send_side.hpp"

namespace troupe::comm::transfer {

struct executor::implementation {
  implementation(std::vector<local_tensor> all, const executor_options& with)
    : tensors(std::move(all)),
      options(with) {
    // nop
  }

  result<void> add(rank_id self, channel_set& to, channel_way way,
                   std::vector<program_channel> programs,
                   std::vector<link_ptr> links) {
    if (programs.size() != links.size()
        || std::ranges::find(links, nullptr) != links.end())
      return fail(errc::invalid, fmt::format("{} links for {} channels",
                                             links.size(), programs.size()));
    for (std::size_t i = 0; i < programs.size(); ++i) {
      life.watch(links[i]);
      to.add(self, std::move(programs[i]), way, std::move(links[i]), tensors);
      if (auto good = to.all.back().check(); !good)
        return good;
    }
    return {};
  }

  result<std::unique_ptr<copy_engine>> make_engine() const {
    if (options.engines)
      return options.engines->make();
    return make_host_engine();
  }

  result<void> allocate() {
    auto sending = make_engine();
    if (!sending)
      return fail(sending.error());
    auto receiving = make_engine();
    if (!receiving)
      return fail(receiving.error());
    sender.emplace(sends, life, std::move(*sending), options.digests);
    receiver.emplace(receives, tensors, life, std::move(*receiving),
                     options.digests);
    auto pools = std::max<std::uint64_t>(sender->pools() + receiver->pools(),
                                         1);
    auto each = options.bytes_in_flight_max / pools;
    if (auto made = sender->allocate(each); !made)
      return made;
    if (auto made = receiver->allocate(each); !made)
      return made;
    reports.resize(sends.all.size() + receives.all.size());
    collect();
    return {};
  }

  /// The channels' reports, side by side.
  void collect() {
    std::size_t next = 0;
    for (auto* set : {&sends, &receives})
      for (auto& x : set->all)
        reports[next++] = x.report;
  }

  /// Runs both sides, side by side if there are both; an error ends all.
  template <class Send, class Receive>
  result<void> both(Send send, Receive receive) {
    if (auto cause = life.cause())
      return fail(*cause);
    result<void> sent;
    result<void> received;
    auto raise = [this](result<void>& x) {
      if (!x)
        x = fail(life.raise(x.error()));
    };
    auto do_send = [&] {
      sent = send();
      raise(sent);
    };
    auto two = !sends.all.empty() && !receives.all.empty();
    if (two) {
      // By reference: a copy would be allocated.
      second_task = std::ref(do_send);
      if (!second)
        second = std::make_unique<helper_thread>([this] { second_task(); });
      second->start();
    } else if (!sends.all.empty()) {
      do_send();
    }
    if (!receives.all.empty()) {
      received = receive();
      raise(received);
    }
    if (two)
      second->finish();
    auto cause = life.cause();
    if (!cause)
      return {};
    sender->close();
    receiver->close();
    return fail(*cause);
  }

  result<void> prepare(run_mode mode, deadline until) {
    if (auto cause = life.cause())
      return fail(*cause);
    if (auto ready = receiver->prepare(mode, options.staged_bytes_max); !ready)
      return fail(life.raise(ready.error()));
    if (!opened) {
      auto done = both([&] { return sender->open(until); },
                       [&] { return receiver->open(until); });
      if (!done)
        return done;
      opened = true;
    }
    return warm_up(mode, until);
  }

  /// The engines' own memory: what a device makes may wait for all its work.
  result<void> warm_up(run_mode mode, deadline until) {
    auto& known = mode == run_mode::compare ? warm_to_compare : warm;
    if (known)
      return {};
    auto done = sender->warm_up(until);
    if (done)
      done = receiver->warm_up(mode, until);
    known = done.has_value();
    return done ? done : fail(life.raise(done.error()));
  }

  /// Before either side begins: what the one enqueues may have to wait for a
  /// peer, and the other would wait for that.
  result<void> settle(deadline until) {
    auto done = sender->settle(until);
    if (done)
      done = receiver->settle(until);
    return done ? done : fail(life.raise(done.error()));
  }

  const channel& at(std::size_t index) const {
    return index < sends.all.size() ? sends.all[index]
                                    : receives.all[index - sends.all.size()];
  }

  const tensor_list tensors;
  const executor_options options;
  lifeline life;
  channel_set sends;
  channel_set receives;
  std::optional<send_side> sender;
  std::optional<receive_side> receiver;
  std::vector<channel_report> reports;
  bool opened = false;
  bool warm = false;
  bool warm_to_compare = false;
  bool staged = false;
  std::function<void()> second_task;
  std::unique_ptr<helper_thread> second;
};

executor::executor(std::unique_ptr<implementation> all) noexcept
  : all_(std::move(all)) {
  // nop
}

executor::~executor() = default;

result<std::unique_ptr<executor>>
executor::make(rank_program program, std::vector<local_tensor> tensors,
               std::vector<link_ptr> send_links,
               std::vector<link_ptr> receive_links,
               const executor_options& options) {
  auto all = std::make_unique<implementation>(std::move(tensors), options);
  auto done = all->add(program.rank, all->sends, channel_way::send,
                       std::move(program.sends), std::move(send_links));
  if (done)
    done = all->add(program.rank, all->receives, channel_way::receive,
                    std::move(program.receives), std::move(receive_links));
  if (done)
    done = all->allocate();
  if (!done)
    return fail(done.error());
  return std::unique_ptr<executor>{new executor{std::move(all)}};
}

result<void> executor::warm_up(run_mode mode, deadline until) {
  return all_->prepare(mode, until);
}

result<void> executor::run(const run_options& options, deadline until) {
  all_->staged = false;
  if (auto ready = all_->prepare(options.mode, until); !ready)
    return ready;
  if (auto ready = all_->settle(until); !ready)
    return ready;
  auto done =
    all_->both([&] { return all_->sender->run(options.source_digest, until); },
               [&] { return all_->receiver->run(options.mode, until); });
  all_->collect();
  all_->staged = done && options.mode == run_mode::staged;
  return done;
}

result<void> executor::commit(deadline until) {
  if (!std::exchange(all_->staged, false))
    return {};
  auto done = all_->receiver->commit(until);
  if (done)
    return done;
  // Some of it may be written, and some still be on its way: no other run may
  // begin on that.
  auto cause = all_->life.raise(done.error());
  all_->receiver->close();
  return fail(cause);
}

void executor::discard() noexcept {
  all_->staged = false;
}

bool executor::holds_staged() const noexcept {
  return all_->staged;
}

std::span<const channel_report> executor::reports() const noexcept {
  return all_->reports;
}

std::span<const digest>
executor::bucket_digests(std::size_t index) const noexcept {
  return all_->at(index).sums;
}

std::string executor::bucket_text(std::size_t index, std::size_t bucket) const {
  return all_->at(index).where(bucket);
}

std::span<const shared_view> executor::shared_views() const noexcept {
  return all_->receiver->shared_views();
}

std::uint64_t executor::staged_bytes() const noexcept {
  return all_->receiver->staged_bytes();
}

std::uint64_t executor::bytes_in_flight_max() const noexcept {
  return all_->sender->slot_bytes_in_all()
         + all_->receiver->slot_bytes_in_all();
}

std::vector<channel_progress> executor::progress() const {
  std::vector<channel_progress> out;
  for (const auto* set : {&all_->sends, &all_->receives})
    for (const auto& x : set->all)
      out.push_back(x.progress());
  return out;
}

void executor::abort() noexcept {
  try {
    all_->life.raise({errc::aborted, "the transfer was aborted"});
  } catch (...) {
    // No memory for the text. The caller's deadline ends the waits.
  }
}

} // namespace troupe::comm::transfer
