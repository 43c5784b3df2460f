// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/send_side.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "troupe/comm/transfer/memory.hpp"

namespace troupe::comm::transfer {

namespace {

/// Copies that are still under way when a run has failed are waited for so
/// long: somebody is about to use the memory.
constexpr std::chrono::seconds close_timeout{5};

} // namespace

send_side::send_side(channel_set& channels, lifeline& life,
                     std::unique_ptr<copy_engine> engine, bool digests)
  : life_(life),
    engine_(std::move(engine)),
    digests_(digests) {
  for (auto* x : channels.ordered) {
    auto& added = entries_.emplace_back();
    added.what = x;
    added.kind = kind_of(*x);
    added.sources.resize(x->buckets());
    added.after.resize(x->buckets());
    copies_.reserve(std::max(copies_.capacity(), x->largest_part_count()));
    slot_bytes_ = std::max(slot_bytes_, staged_digest_at(x->largest_bucket())
                                          + staged_digest_bytes);
  }
  slot_bytes_ = whole_pages(slot_bytes_);
  looks_.reserve(copies_.capacity());
}

send_side::~send_side() {
  close();
}

send_side::channel_kind send_side::kind_of(const channel& x) const {
  if (x.source() == nullptr)
    return channel_kind::stream;
  auto all = std::ranges::all_of(x.program().buckets, [&](const auto& bucket) {
    return in_windows(x, bucket);
  });
  return all ? channel_kind::in_place : channel_kind::staged;
}

bool send_side::in_windows(const channel& x,
                           const program_bucket& bucket) const {
  return std::ranges::all_of(bucket.parts, [&](const auto& part) {
    auto here = x.local(part);
    auto extent = region_extent(here.elements, here.run_elements, here.loops,
                                here.type);
    return x.source()
      ->locate({here.first, static_cast<std::size_t>(extent.value_or(0))})
      .has_value();
  });
}

std::uint64_t send_side::pools() const noexcept {
  auto any = [&](channel_kind kind) {
    return std::ranges::find(entries_, kind, &entry::kind) != entries_.end();
  };
  return std::uint64_t{any(channel_kind::staged)}
         + std::uint64_t{any(channel_kind::stream)};
}

result<void> send_side::allocate(std::uint64_t bytes_max) {
  for (auto& x : entries_)
    for (auto& source : x.sources)
      source.kind = x.kind == channel_kind::stream ? bucket_kind::stream
                                                   : bucket_kind::in_place;
  if (pools() == 0)
    return {};
  auto slots = slots_within(bytes_max, slot_bytes_);
  if (!slots)
    return fail(slots.error());
  if (auto made = allocate_staged(*slots); !made)
    return made;
  return allocate_stream(*slots);
}

result<void> send_side::allocate_staged(std::uint64_t slots) {
  std::uint64_t next = 0;
  for (auto& x : entries_) {
    if (x.kind != channel_kind::staged)
      continue;
    if (!shared_) {
      auto made = engine_->allocate_shared(slots * slot_bytes_);
      if (!made)
        return fail(made.error());
      shared_ = *made;
      staged_slots_.resize(slots);
    }
    x.slots.resize(x.what->buckets());
    for (std::size_t b = 0; b < x.what->buckets(); ++b)
      if (!in_windows(*x.what, x.what->bucket(b))) {
        x.sources[b].kind = bucket_kind::staged;
        // The same slot in every run, so that the receiver is told once.
        x.slots[b] = shared_->memory().data() + next++ % slots * slot_bytes_;
      }
  }
  return {};
}

result<void> send_side::allocate_stream(std::uint64_t slots) {
  for (auto& x : entries_) {
    if (x.kind != channel_kind::stream)
      continue;
    for (std::size_t b = 0; b < x.what->buckets(); ++b) {
      x.messages.push_back(messages_of(x.what->bucket(b)));
      steps_.push_back({&x, b});
    }
    steps_.push_back({&x, x.what->buckets()});
  }
  if (steps_.empty())
    return {};
  auto memory = engine_->allocate(slots * slot_bytes_);
  if (!memory)
    return fail(memory.error());
  stream_memory_ = std::move(*memory);
  ring_ = std::make_unique<slot_ring>(slots);
  life_.watch(*ring_);
  helper_ = std::make_unique<helper_thread>([this] {
    if (auto done = push_all(); !done)
      life_.raise(done.error());
  });
  return {};
}

std::uint64_t send_side::slot_bytes_in_all() const noexcept {
  return staged_slots_.size() * slot_bytes_ + stream_memory_.size();
}

result<void> send_side::open(deadline until) {
  engine_->prefault_write(stream_memory_.bytes());
  if (shared_)
    engine_->prefault_write(shared_->memory());
  for (auto& x : entries_)
    if (auto told = tell(x, until); !told)
      return fail(told.error().within(
        fmt::format("opening the channel to rank {} over {}",
                    x.what->program().peer.value(),
                    to_string(x.what->program().link))));
  return {};
}

result<void> send_side::tell(entry& to, deadline until) {
  if (to.kind == channel_kind::staged) {
    auto* windows = to.what->source();
    if (auto shared = windows->share(shared_); !shared)
      return shared;
    for (std::size_t b = 0; b < to.what->buckets(); ++b) {
      if (to.sources[b].kind != bucket_kind::staged)
        continue;
      auto where = windows->locate({to.slots[b], slot_bytes_});
      if (!where)
        return fail(errc::internal, "the staging memory is in no window");
      to.sources[b].staged = *where;
    }
  }
  auto table = encode_table(*to.what, to.sources, digests_);
  if (!table)
    return fail(table.error());
  std::uint64_t size = table->size();
  auto told = to.what->line().push(std::as_bytes(std::span{&size, 1}), until);
  return told ? to.what->line().push(*table, until) : told;
}

// -- a run ---------------------------------------------------------------------

result<void> send_side::settle(deadline until) {
  return entries_.empty() ? result<void>{} : engine_->settle(until);
}

result<void> send_side::warm_up(deadline until) {
  if (entries_.empty())
    return {};
  copy_load most;
  // `digest_sources` takes all buckets before it waits.
  for (const auto& x : entries_) {
    most.calls += x.what->buckets();
    most.parts = std::max<std::uint64_t>(most.parts,
                                         x.what->largest_part_count());
    most.loops = std::max(most.loops, x.what->largest_loop_count());
  }
  // Copies and digests, of each message of a bucket.
  most.calls = std::max<std::uint64_t>(most.calls, 2);
  for (const auto& x : entries_)
    for (const auto& messages : x.messages)
      most.calls = std::max<std::uint64_t>(most.calls, 2 * messages.size());
  return engine_->warm_up(most, until);
}

result<void> send_side::run(bool source_digest, deadline until) {
  step_ = 0;
  std::ranges::fill(staged_slots_, staged_slot{});
  for (auto& x : entries_) {
    x.base = x.what->returned;
    auto lends = std::ranges::find(x.sources, bucket_kind::in_place,
                                   &bucket_source::kind)
                 != x.sources.end();
    x.what->begin_run(digests_ && (source_digest || !lends));
    if (x.kind != channel_kind::in_place || x.what->buckets() == 0)
      continue;
    x.what->mark(channel_phase::moving, 0);
    if (auto done = x.what->source()->lend(x.what->buckets(), until); !done)
      return fail(done.error().within(x.what->where(0)));
  }
  if (helper_) {
    ring_->reset();
    until_ = until;
    helper_->start();
  }
  for (auto& x : entries_) {
    auto done = x.kind == channel_kind::staged   ? send_staged(x, until)
                : x.kind == channel_kind::stream ? send_stream(x, until)
                                                 : result<void>{};
    if (!done)
      return done;
  }
  for (auto& x : entries_)
    if (x.kind != channel_kind::stream)
      if (auto back = await_return(x, x.what->buckets(), until); !back)
        return back;
  // Every wait of the helper has the same deadline.
  if (helper_)
    helper_->finish();
  if (auto cause = life_.cause())
    return fail(*cause);
  // Not before: only then every write that a reader may have seen shows.
  return digests_ && source_digest ? digest_sources(until) : result<void>{};
}

void send_side::close() noexcept {
  if (helper_)
    helper_->finish();
  engine_->drop();
  // What it says does not matter any more: the run has failed.
  static_cast<void>(engine_->finish(deadline::after(close_timeout)));
  for (auto& x : entries_)
    if (auto* windows = x.what->source())
      windows->withdraw();
}

result<void> send_side::pack(entry& from, std::size_t bucket, std::size_t first,
                             std::size_t parts, std::byte* slot,
                             deadline until) {
  const auto& at = from.what->bucket(bucket);
  auto size = size_of(at.wire_type);
  auto& sum = from.what->sums[bucket];
  copies_.clear();
  looks_.clear();
  for (auto i = first; i < first + parts; ++i) {
    const auto& part = at.parts[i];
    auto there = dense(slot + part.wire_begin, at.wire_type,
                       part.wire_bytes / size);
    if (!repeats(at, i))
      copies_.push_back({there, from.what->local(part), part.key});
    else if (digests_)
      looks_.push_back({there, part.key});
  }
  auto digests = digests_ ? digesting::on : digesting::off;
  auto done = engine_->copy(copies_, at.wire_type, digests, sum, until);
  return done ? engine_->digest_regions(looks_, at.wire_type, sum, until)
              : done;
}

result<void> send_side::digest_in_place(entry& from, std::size_t bucket,
                                        const wire_message& message,
                                        deadline until) {
  const auto& at = from.what->bucket(bucket);
  looks_.clear();
  for (std::size_t p = 0; p < message.parts; ++p) {
    const auto& part = at.parts[message.first_part + p];
    looks_.push_back({from.what->local(part), part.key});
  }
  return engine_->digest_regions(looks_, at.wire_type, from.what->sums[bucket],
                                 until);
}

result<void> send_side::digest_sources(deadline until) {
  for (auto& x : entries_)
    for (std::size_t b = 0; b < x.what->buckets(); ++b) {
      const auto& bucket = x.what->bucket(b);
      looks_.clear();
      for (const auto& part : bucket.parts)
        looks_.push_back({x.what->local(part), part.key});
      x.after[b] = {};
      auto done = engine_->digest_regions(looks_, bucket.wire_type, x.after[b],
                                          until);
      if (!done)
        return done;
    }
  if (auto done = engine_->finish(until); !done)
    return done;
  for (auto& x : entries_)
    for (std::size_t b = 0; b < x.what->buckets(); ++b) {
      if (x.sources[b].kind == bucket_kind::in_place) {
        x.what->sums[b] = x.after[b];
        x.what->report.sum += x.after[b];
      } else if (x.after[b] != x.what->sums[b]) {
        return fail(errc::corrupt, fmt::format("{}: the source was written to "
                                               "while it was sent",
                                               x.what->where(b)));
      }
    }
  return {};
}

// -- staged --------------------------------------------------------------------

result<void> send_side::send_staged(entry& to, deadline until) {
  for (std::size_t b = 0; b < to.what->buckets(); ++b) {
    if (auto* slot = to.slots[b]) {
      auto index = static_cast<std::size_t>(slot - shared_->memory().data())
                   / slot_bytes_;
      auto& held = staged_slots_[index];
      if (held.holder != nullptr)
        if (auto back = await_return(*held.holder, held.bucket + 1, until);
            !back)
          return back;
      held = {&to, b};
      to.what->mark(channel_phase::moving, b);
      const auto& bucket = to.what->bucket(b);
      auto done = pack(to, b, 0, bucket.parts.size(), slot, until);
      // The digest is known, and may follow, when the copies are done.
      if (done)
        done = engine_->finish(until);
      if (done)
        done = engine_->put(slot + staged_digest_at(bucket.wire_bytes),
                            std::as_bytes(std::span{&to.what->sums[b], 1}),
                            until);
      if (!done)
        return fail(done.error().within(to.what->where(b)));
    }
    to.what->mark(channel_phase::waiting, b);
    if (auto done = to.what->source()->lend(1, until); !done)
      return fail(done.error().within(to.what->where(b)));
  }
  return {};
}

result<void> send_side::await_return(entry& from, std::size_t buckets,
                                     deadline until) {
  auto& at = *from.what;
  for (;;) {
    auto back = at.returned - from.base;
    if (back > at.buckets())
      return fail(errc::corrupt, "more buckets were given back than there are");
    while (at.report.buckets_done < back)
      at.finish_bucket(at.report.buckets_done);
    if (back >= buckets)
      return {};
    at.mark(channel_phase::waiting, back);
    auto more = at.source()->reclaim(at.returned, until);
    if (!more)
      return fail(more.error().within(at.where(back)));
    at.returned = *more;
  }
}

// -- stream --------------------------------------------------------------------

result<void> send_side::send_stream(entry& to, deadline until) {
  for (std::size_t b = 0; b <= to.what->buckets(); ++b, ++step_) {
    if (auto free = ring_->await_slot(step_, until); !free)
      return fail(free.error().within(to.what->where(b)));
    if (b < to.what->buckets())
      if (auto done = pack_stream(to, b, stream_slot(step_), until); !done)
        return fail(done.error().within(to.what->where(b)));
    ring_->produced();
  }
  return {};
}

result<void> send_side::pack_stream(entry& to, std::size_t bucket,
                                    std::byte* slot, deadline until) {
  for (const auto& message : to.messages[bucket]) {
    result<void> done;
    if (origin(to, bucket, message, nullptr) == nullptr)
      done = pack(to, bucket, message.first_part, message.parts, slot, until);
    else if (digests_)
      done = digest_in_place(to, bucket, message, until);
    if (!done)
      return done;
  }
  return engine_->finish(until);
}

const std::byte* send_side::origin(const entry& from, std::size_t bucket,
                                   const wire_message& message,
                                   const std::byte* slot) const {
  const auto& at = from.what->bucket(bucket);
  const auto& first = at.parts[message.first_part];
  if (first.wire_bytes == message.bytes) {
    auto here = from.what->local(first);
    if (here.contiguous() && here.type == at.wire_type)
      return here.first;
  }
  return slot == nullptr ? nullptr : slot + message.begin;
}

std::byte* send_side::stream_slot(std::uint64_t step) const noexcept {
  return stream_memory_.data() + step % ring_->slots() * slot_bytes_;
}

result<void> send_side::push_all() {
  for (std::uint64_t i = 0; i < steps_.size(); ++i) {
    const auto& step = steps_[i];
    if (auto ready = ring_->await_step(i, *until_); !ready)
      return ready;
    if (auto done = push_step(step, stream_slot(i)); !done)
      return done;
    ring_->consumed();
  }
  return {};
}

result<void> send_side::push_step(const stream_step& step,
                                  const std::byte* slot) {
  auto& to = *step.to->what;
  if (step.bucket == to.buckets()) {
    if (!digests_)
      return {};
    auto done = to.line().push(std::as_bytes(std::span{to.sums}), *until_);
    return done ? done : fail(done.error().within(to.where(step.bucket)));
  }
  to.mark(channel_phase::moving, step.bucket);
  for (const auto& message : step.to->messages[step.bucket]) {
    auto* from = origin(*step.to, step.bucket, message, slot);
    auto done = to.line().push({from, static_cast<std::size_t>(message.bytes)},
                               *until_);
    if (!done)
      return fail(done.error().within(to.where(step.bucket)));
  }
  to.finish_bucket(step.bucket);
  return {};
}

} // namespace troupe::comm::transfer
