// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/receive_side.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "troupe/comm/transfer/memory.hpp"
#include "troupe/core/units.hpp"

namespace troupe::comm::transfer {

namespace {

/// Receipts of one channel in one run: few enough for any socket's buffer.
constexpr std::uint64_t receipts_max = 64;

/// Where buckets begin in the staging memory.
constexpr std::uint64_t staged_alignment = 64;

/// Copies that are still under way when a run has failed are waited for so
/// long: somebody is about to use the memory.
constexpr std::chrono::seconds close_timeout{5};

} // namespace

receive_side::receive_side(channel_set& channels, const tensor_list& tensors,
                           lifeline& life, std::unique_ptr<copy_engine> engine,
                           bool digests)
  : tensors_(tensors),
    life_(life),
    engine_(std::move(engine)),
    digests_(digests) {
  for (auto* x : channels.ordered) {
    auto& added = entries_.emplace_back();
    added.what = x;
    added.stream = x->sink() == nullptr;
    added.moved.resize(x->buckets());
    copies_.reserve(std::max(copies_.capacity(), x->largest_part_count()));
    for (const auto& bucket : x->program().buckets) {
      added.staged_at.push_back(staged_bytes_);
      staged_bytes_ += (bucket.wire_bytes + staged_alignment - 1)
                       / staged_alignment * staged_alignment;
    }
    if (added.stream)
      slot_bytes_ = std::max(slot_bytes_, x->largest_bucket());
  }
  slot_bytes_ = whole_pages(slot_bytes_);
  looks_.reserve(copies_.capacity());
}

receive_side::~receive_side() {
  close();
}

std::uint64_t receive_side::pools() const noexcept {
  return std::uint64_t{std::ranges::find(entries_, true, &entry::stream)
                       != entries_.end()};
}

result<void> receive_side::allocate(std::uint64_t bytes_max) {
  if (pools() == 0)
    return {};
  auto slots = slots_within(bytes_max, slot_bytes_);
  if (!slots)
    return fail(slots.error());
  for (auto& x : entries_) {
    if (!x.stream)
      continue;
    for (std::size_t b = 0; b < x.what->buckets(); ++b) {
      x.messages.push_back(messages_of(x.what->bucket(b)));
      steps_.push_back({&x, b});
    }
    x.expected.resize(x.what->buckets());
    steps_.push_back({&x, x.what->buckets()});
  }
  auto memory = engine_->allocate(*slots * slot_bytes_);
  if (!memory)
    return fail(memory.error());
  stream_memory_ = std::move(*memory);
  ring_ = std::make_unique<slot_ring>(*slots);
  life_.watch(*ring_);
  helper_ = std::make_unique<helper_thread>([this] {
    if (auto done = pull_all(); !done)
      life_.raise(done.error());
  });
  return {};
}

std::uint64_t receive_side::slot_bytes_in_all() const noexcept {
  return stream_memory_.size();
}

result<void> receive_side::open(deadline until) {
  engine_->prefault_write(stream_memory_.bytes());
  for (auto& x : entries_)
    if (auto heard = hear(x, until); !heard)
      return fail(heard.error().within(
        fmt::format("opening the channel from rank {} over {}",
                    x.what->program().peer.value(),
                    to_string(x.what->program().link))));
  return {};
}

result<void> receive_side::hear(entry& from, deadline until) {
  auto& line = from.what->line();
  std::uint64_t size = 0;
  auto heard = line.pull(std::as_writable_bytes(std::span{&size, 1}), until);
  if (!heard)
    return heard;
  if (size > table_bytes_max(*from.what))
    return fail(errc::invalid, fmt::format("the peer's table of buckets is of "
                                           "{} bytes, more than ours could be",
                                           size));
  bytes table(static_cast<std::size_t>(size));
  if (heard = line.pull(table, until); !heard)
    return heard;
  auto decoded = decode_table(table, *from.what, digests_);
  if (!decoded)
    return fail(decoded.error());
  from.remote = std::move(*decoded);
  from.what->returned = 0;
  auto in_place = true;
  for (const auto& bucket : from.remote.buckets) {
    in_place = in_place && bucket.kind == bucket_kind::in_place;
    engine_->prefault_read(bucket.staged);
    for (const auto& part : bucket.parts) {
      auto extent = region_extent(part.elements, part.run_elements, part.loops,
                                  part.type);
      engine_->prefault_read(
        {part.first, static_cast<std::size_t>(extent.value_or(0))});
    }
  }
  // An engine that works while we go on is waited for once.
  if (in_place)
    from.receipt_every = engine_->deferred()
                           ? std::max<std::uint64_t>(from.what->buckets(), 1)
                           : from.what->buckets() / receipts_max + 1;
  return {};
}

result<void> receive_side::prepare(run_mode mode,
                                   std::uint64_t staged_bytes_max) {
  if (mode == run_mode::share)
    views_.reserve(tensors_.size());
  if (mode != run_mode::staged || staged_.size() == staged_bytes_)
    return {};
  if (staged_bytes_ > staged_bytes_max)
    return fail(errc::exhausted,
                fmt::format("to stage takes {}, there are {}: sync in place",
                            format_bytes(staged_bytes_),
                            format_bytes(staged_bytes_max)));
  auto memory = engine_->allocate(staged_bytes_);
  if (!memory)
    return fail(memory.error().within(
      fmt::format("to stage {}", format_bytes(staged_bytes_))));
  staged_ = std::move(*memory);
  engine_->prefault_write(staged_.bytes());
  return {};
}

// -- a run ---------------------------------------------------------------------

result<void> receive_side::settle(deadline until) {
  return entries_.empty() ? result<void>{} : engine_->settle(until);
}

result<void> receive_side::warm_up(run_mode mode, deadline until) {
  if (entries_.empty())
    return {};
  copy_load most;
  most.compares = mode == run_mode::compare;
  for (const auto& x : entries_) {
    // Copies and digests; where they are read in place, all are begun before
    // one is waited for.
    most.calls += 2 * x.what->buckets();
    most.parts = std::max<std::uint64_t>(most.parts,
                                         x.what->largest_part_count());
    std::uint64_t there = 0;
    for (const auto& bucket : x.remote.buckets) {
      std::uint64_t loops = 0;
      for (const auto& part : bucket.parts)
        loops += part.loops.size();
      there = std::max(there, loops);
    }
    most.loops = std::max(most.loops, x.what->largest_loop_count() + there);
  }
  return engine_->warm_up(most, until);
}

result<void> receive_side::run(run_mode mode, deadline until) {
  mode_ = mode;
  step_ = 0;
  views_.clear();
  for (auto& x : entries_) {
    x.base = x.what->returned;
    x.what->begin_run(digests_ && mode != run_mode::share);
  }
  if (helper_) {
    ring_->reset();
    until_ = until;
    helper_->start();
  }
  for (auto& x : entries_) {
    auto done = x.stream ? receive_stream(x, until) : receive_windows(x, until);
    if (!done)
      return done;
  }
  if (helper_)
    helper_->finish();
  auto cause = life_.cause();
  return cause ? result<void>{fail(*cause)} : result<void>{};
}

void receive_side::close() noexcept {
  if (helper_)
    helper_->finish();
  engine_->drop();
  // What it says does not matter any more: the run has failed.
  static_cast<void>(engine_->finish(deadline::after(close_timeout)));
  for (auto& x : entries_)
    if (auto* windows = x.what->sink())
      windows->let_go();
}

result<void> receive_side::note(entry& from, std::size_t bucket,
                                std::size_t index, const region& there,
                                deadline until) {
  auto& at = *from.what;
  const auto& part = at.bucket(bucket).parts[index];
  if (mode_ == run_mode::compare)
    return compare(from, bucket, part, there, until);
  if (mode_ == run_mode::in_place) {
    copies_.push_back({at.local(part), there, part.key});
    return {};
  }
  auto to = dense(staged_.data() + from.staged_at[bucket] + part.wire_begin,
                  at.bucket(bucket).wire_type, there.elements);
  if (!repeats(at.bucket(bucket), index))
    copies_.push_back({to, there, part.key});
  else if (digests_)
    looks_.push_back({to, part.key});
  return {};
}

result<void> receive_side::take(entry& from, std::size_t bucket,
                                deadline until) {
  auto wire_type = from.what->bucket(bucket).wire_type;
  auto& sum = from.what->sums[bucket];
  auto digests = digests_ ? digesting::on : digesting::off;
  auto done = engine_->copy(copies_, wire_type, digests, sum, until);
  return done ? engine_->digest_regions(looks_, wire_type, sum, until) : done;
}

result<void> receive_side::compare(entry& from, std::size_t bucket,
                                   const program_part& part,
                                   const region& there, deadline until) {
  auto& at = *from.what;
  auto here = at.local(part);
  auto found = engine_->compare(here, there, at.bucket(bucket).wire_type,
                                part.key,
                                digests_ ? digesting::on : digesting::off,
                                at.sums[bucket], until);
  if (!found)
    return fail(found.error());
  if (!*found || at.report.first_difference)
    return {};
  auto offset = part.offset_bytes
                + region_offset((*found)->element, here.run_elements,
                                here.loops, here.type);
  at.report.first_difference = {part.tensor,
                                at.name_of(part),
                                offset / size_of(here.type),
                                std::move((*found)->here),
                                std::move((*found)->there),
                                at.program().peer};
  return {};
}

result<void> receive_side::check_digest(const entry& from, std::size_t bucket,
                                        const digest& expected) const {
  if (!digests_ || from.what->sums[bucket] == expected)
    return {};
  return fail(errc::corrupt,
              fmt::format("{}: what arrived is not what was sent ({}, not {})",
                          from.what->where(bucket),
                          to_string(from.what->sums[bucket]),
                          to_string(expected)));
}

result<void> receive_side::commit(deadline until) {
  auto digests = digests_ ? digesting::on : digesting::off;
  looks_.clear();
  for (auto& x : entries_)
    for (std::size_t b = 0; b < x.what->buckets(); ++b) {
      const auto& bucket = x.what->bucket(b);
      copies_.clear();
      for (const auto& part : bucket.parts) {
        auto to = x.what->local(part);
        const auto* from = staged_.data() + x.staged_at[b] + part.wire_begin;
        // Where a place is stored several times, each has a sum of its own.
        copies_.push_back(
          {to, dense(from, bucket.wire_type, to.elements), part.key});
      }
      x.moved[b] = {};
      auto done = engine_->copy(copies_, bucket.wire_type, digests, x.moved[b],
                                until);
      if (!done)
        return fail(done.error().within(x.what->where(b)));
    }
  if (auto done = engine_->finish(until); !done)
    return done;
  if (digests_)
    for (const auto& x : entries_)
      for (std::size_t b = 0; b < x.what->buckets(); ++b)
        if (x.moved[b] != x.what->sums[b])
          return fail(errc::corrupt,
                      fmt::format("{}: what was staged is not what arrived",
                                  x.what->where(b)));
  return {};
}

// -- windows -------------------------------------------------------------------

result<void> receive_side::receive_windows(entry& from, deadline until) {
  auto& at = *from.what;
  for (std::size_t b = 0; b < at.buckets(); ++b) {
    auto step = [&]() -> result<void> {
      at.mark(channel_phase::waiting, b);
      auto done = at.sink()->borrow(from.base + b + 1, until);
      if (!done)
        return done;
      at.mark(channel_phase::moving, b);
      if (done = keep_reading(from, until); !done)
        return done;
      return take_window(from, b, until);
    }();
    if (!step)
      return fail(step.error().within(at.where(b)));
    auto staged = from.remote.buckets[b].kind == bucket_kind::staged;
    auto receipt = (b + 1) % from.receipt_every == 0 || b + 1 == at.buckets();
    if (receipt || staged || !engine_->deferred())
      if (auto done = settle_windows(from, b, receipt, until); !done)
        return done;
  }
  return {};
}

result<void> receive_side::keep_reading(entry& from, deadline until) {
  auto& at = *from.what;
  // Giving back nothing more says why not.
  if (!at.sink()->intact())
    if (auto why = at.sink()->give_back(at.returned, until); !why)
      return why;
  if (life_.dead())
    return fail(errc::aborted, "the transfer was aborted");
  if (until.passed())
    return fail(errc::timed_out, "the copy took too long");
  return {};
}

result<void> receive_side::take_window(entry& from, std::size_t bucket,
                                       deadline until) {
  const auto& what = from.what->bucket(bucket);
  const auto& remote = from.remote.buckets[bucket];
  auto staged = remote.kind == bucket_kind::staged;
  copies_.clear();
  looks_.clear();
  for (std::size_t p = 0; p < what.parts.size(); ++p) {
    const auto& part = what.parts[p];
    auto there = staged ? dense(remote.staged.data() + part.wire_begin,
                                what.wire_type,
                                part.wire_bytes / size_of(what.wire_type))
                        : remote.parts[p];
    auto noted = mode_ == run_mode::share ? view_part(from, part, there)
                                          : note(from, bucket, p, there, until);
    if (!noted)
      return noted;
  }
  return take(from, bucket, until);
}

result<void> receive_side::settle_windows(entry& from, std::size_t bucket,
                                          bool receipt, deadline until) {
  auto& at = *from.what;
  auto within = [&](const error& x) {
    return fail(x.within(at.where(bucket)));
  };
  if (auto done = engine_->finish(until); !done)
    return within(done.error());
  const auto& remote = from.remote.buckets[bucket];
  if (remote.kind == bucket_kind::staged) {
    digest told;
    auto read = engine_->get(std::as_writable_bytes(std::span{&told, 1}),
                             remote.staged.data()
                               + staged_digest_at(at.bucket(bucket).wire_bytes),
                             until);
    if (!read)
      return within(read.error());
    if (auto good = check_digest(from, bucket, told); !good)
      return good;
  }
  if (receipt) {
    auto back = at.sink()->give_back(from.base + bucket + 1, until);
    if (!back)
      return within(back.error());
    at.returned = from.base + bucket + 1;
  }
  while (at.report.buckets_done <= bucket)
    at.finish_bucket(at.report.buckets_done);
  return {};
}

result<void> receive_side::view_part(entry& from, const program_part& part,
                                     const region& there) {
  const auto& tensor = tensors_[part.tensor];
  auto here = from.what->local(part);
  if (from.what->program().link != link_kind::inproc || !here.contiguous()
      || here.bytes() != tensor.memory.size() || !there.contiguous()
      || there.type != here.type)
    return fail(errc::invalid,
                fmt::format("tensor '{}' cannot be shared: it is not all of "
                            "one tensor of rank {} in this process",
                            tensor.name, from.what->program().peer.value()));
  views_.push_back({part.tensor, {there.first, there.bytes()}});
  return {};
}

// -- stream --------------------------------------------------------------------

result<void> receive_side::receive_stream(entry& from, deadline until) {
  auto& at = *from.what;
  for (std::size_t b = 0; b <= at.buckets(); ++b, ++step_) {
    at.mark(channel_phase::waiting, b);
    if (auto ready = ring_->await_step(step_, until); !ready)
      return fail(ready.error().within(at.where(b)));
    if (b == at.buckets()) {
      at.mark(channel_phase::done, b);
      ring_->consumed();
      continue;
    }
    at.mark(channel_phase::moving, b);
    auto done = take_messages(from, b, until);
    if (done)
      done = engine_->finish(until);
    if (!done)
      return fail(done.error().within(at.where(b)));
    at.finish_bucket(b);
    ring_->consumed();
  }
  for (std::size_t b = 0; b < at.buckets(); ++b)
    if (auto good = check_digest(from, b, from.expected[b]); !good)
      return good;
  return {};
}

result<void> receive_side::take_messages(entry& from, std::size_t bucket,
                                         deadline until) {
  const auto& what = from.what->bucket(bucket);
  copies_.clear();
  looks_.clear();
  for (const auto& message : from.messages[bucket]) {
    auto* placed = destination(from, bucket, message);
    auto* begin = placed != nullptr ? placed
                                    : stream_slot(step_) + message.begin;
    for (std::size_t p = 0; p < message.parts; ++p) {
      auto index = message.first_part + p;
      const auto& part = what.parts[index];
      auto there = dense(static_cast<const std::byte*>(begin + part.wire_begin
                                                       - message.begin),
                         what.wire_type,
                         part.wire_bytes / size_of(what.wire_type));
      if (placed != nullptr) {
        if (digests_)
          looks_.push_back({there, part.key});
      } else if (auto noted = note(from, bucket, index, there, until); !noted) {
        return noted;
      }
    }
  }
  return take(from, bucket, until);
}

std::byte* receive_side::destination(const entry& from, std::size_t bucket,
                                     const wire_message& message) const {
  if (mode_ == run_mode::staged)
    return staged_.data() + from.staged_at[bucket] + message.begin;
  const auto& at = from.what->bucket(bucket);
  if (mode_ != run_mode::in_place || message.parts != 1)
    return nullptr;
  auto here = from.what->local(at.parts[message.first_part]);
  return here.contiguous() && here.type == at.wire_type ? here.first : nullptr;
}

std::byte* receive_side::stream_slot(std::uint64_t step) const noexcept {
  return stream_memory_.data() + step % ring_->slots() * slot_bytes_;
}

result<void> receive_side::pull_all() {
  for (std::uint64_t i = 0; i < steps_.size(); ++i) {
    if (auto free = ring_->await_slot(i, *until_); !free)
      return free;
    if (auto done = pull_step(steps_[i], stream_slot(i)); !done)
      return done;
    ring_->produced();
  }
  return {};
}

result<void> receive_side::pull_step(const stream_step& step, std::byte* slot) {
  auto& from = *step.from;
  auto& line = from.what->line();
  if (step.bucket == from.what->buckets()) {
    if (!digests_)
      return {};
    auto heard = line.pull(std::as_writable_bytes(std::span{from.expected}),
                           *until_);
    return heard ? heard
                 : fail(heard.error().within(from.what->where(step.bucket)));
  }
  for (const auto& message : from.messages[step.bucket]) {
    auto* to = destination(from, step.bucket, message);
    if (to == nullptr)
      to = slot + message.begin;
    auto heard = line.pull({to, static_cast<std::size_t>(message.bytes)},
                           *until_);
    if (!heard)
      return fail(heard.error().within(from.what->where(step.bucket)));
  }
  return {};
}

} // namespace troupe::comm::transfer
