// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/channel.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "troupe/comm/transfer/convert.hpp"

namespace troupe::comm::transfer {

namespace {

/// Parts from here on are messages of their own: below, the round trip that a
/// message costs is more than to copy it into a larger one.
constexpr std::uint64_t lone_part_bytes_min = std::uint64_t{512} << 10;

/// Names in an error or a report.
constexpr std::size_t names_max = 8;

struct named_tensors {
  std::vector<std::string> names;
  std::uint64_t more = 0;
};

named_tensors tensors_of(const program_bucket& bucket,
                         const tensor_list& tensors) {
  named_tensors out;
  for (std::size_t i = 0; i < bucket.parts.size(); ++i) {
    auto tensor = bucket.parts[i].tensor;
    // Parts of one tensor follow each other.
    if (i > 0 && bucket.parts[i - 1].tensor == tensor)
      continue;
    if (out.names.size() < names_max)
      out.names.push_back(tensors[tensor].name);
    else
      ++out.more;
  }
  return out;
}

std::string quoted(const std::vector<std::string>& names, std::uint64_t more) {
  auto text = fmt::format("'{}'", fmt::join(names, "', '"));
  return more == 0 ? text : fmt::format("{} and {} more", text, more);
}

} // namespace

bool repeats(const program_bucket& bucket, std::size_t index) noexcept {
  if (index == 0)
    return false;
  const auto& part = bucket.parts[index];
  const auto& before = bucket.parts[index - 1];
  return part.wire_begin == before.wire_begin
         && part.wire_bytes == before.wire_bytes;
}

std::uint64_t distinct_bytes(const program_bucket& bucket) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bucket.parts.size(); ++i)
    if (!repeats(bucket, i))
      sum += bucket.parts[i].wire_bytes;
  return sum;
}

std::vector<wire_message> messages_of(const program_bucket& bucket) {
  std::vector<wire_message> out;
  auto open = false;
  for (std::uint32_t i = 0; i < bucket.parts.size(); ++i) {
    const auto& part = bucket.parts[i];
    if (repeats(bucket, i)) {
      ++out.back().parts;
      continue;
    }
    auto alone = part.wire_bytes >= lone_part_bytes_min;
    if (open && !alone) {
      out.back().bytes = part.wire_begin + part.wire_bytes - out.back().begin;
      ++out.back().parts;
    } else {
      out.push_back({part.wire_begin, part.wire_bytes, i, 1});
    }
    open = !alone;
  }
  return out;
}

channel::channel(program_channel program, channel_way way, link_ptr line,
                 const tensor_list& tensors)
  : sums(program.buckets.size()),
    program_(std::move(program)),
    way_(way),
    line_(std::move(line)),
    source_(way == channel_way::send ? line_->source_windows() : nullptr),
    sink_(way == channel_way::receive ? line_->sink_windows() : nullptr),
    tensors_(tensors) {
  report.peer = program_.peer;
  report.way = way;
  report.link = program_.link;
  for (const auto& bucket : program_.buckets)
    bytes_ += distinct_bytes(bucket);
}

result<void> channel::check() const {
  for (std::size_t i = 0; i < buckets(); ++i)
    if (auto good = check_bucket(i); !good)
      return fail(
        good.error().within(fmt::format("bucket {} of the channel with rank {}",
                                        i, program_.peer.value())));
  return {};
}

result<void> channel::check_bucket(std::size_t index) const {
  const auto& at = bucket(index);
  auto size = size_of(at.wire_type);
  if (size == 0)
    return fail(errc::invalid, "no such type on the wire");
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < at.parts.size(); ++i) {
    const auto& part = at.parts[i];
    if (part.tensor >= tensors_.size())
      return fail(errc::invalid, fmt::format("there is no tensor {} of {}",
                                             part.tensor, tensors_.size()));
    const auto& tensor = tensors_[part.tensor];
    auto wrong = [&](std::string_view what) {
      return fail(errc::invalid,
                  fmt::format("tensor '{}': {}", tensor.name, what));
    };
    if (!convertible(tensor.type, at.wire_type))
      return wrong(fmt::format("{} does not convert to {}",
                               to_string(tensor.type),
                               to_string(at.wire_type)));
    if (part.wire_begin % 8 != 0 || (part.wire_begin < next && !repeats(at, i))
        || part.wire_begin > at.wire_bytes
        || part.wire_bytes > at.wire_bytes - part.wire_begin)
      return wrong("its part does not lie in the bucket");
    next = part.wire_begin + part.wire_bytes;
    auto extent = region_extent(part.wire_bytes / size, part.run_elements,
                                part.loops, tensor.type);
    if (part.wire_bytes % size != 0 || !extent)
      return wrong("its part does not fill the bytes on the wire");
    if (part.offset_bytes > tensor.memory.size()
        || *extent > tensor.memory.size() - part.offset_bytes
        || part.offset_bytes % size_of(tensor.type) != 0)
      return wrong("its part does not lie in the tensor");
  }
  return {};
}

writable_region channel::local(const program_part& part) const {
  const auto& tensor = tensors_[part.tensor];
  std::uint64_t elements = part.run_elements;
  for (const auto& loop : part.loops)
    elements *= loop.count;
  return {tensor.memory.data() + part.offset_bytes, tensor.type, elements,
          part.run_elements, part.loops};
}

const std::string& channel::name_of(const program_part& part) const {
  return tensors_[part.tensor].name;
}

std::uint64_t channel::largest_bucket() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& x : program_.buckets)
    bytes = std::max(bytes, x.wire_bytes);
  return bytes;
}

std::size_t channel::largest_part_count() const noexcept {
  std::size_t parts = 0;
  for (const auto& x : program_.buckets)
    parts = std::max(parts, x.parts.size());
  return parts;
}

std::uint64_t channel::largest_loop_count() const {
  std::uint64_t most = 0;
  for (const auto& bucket : program_.buckets) {
    std::uint64_t loops = 0;
    for (const auto& part : bucket.parts)
      loops += local(part).loops.size();
    most = std::max(most, loops);
  }
  return most;
}

std::string channel::where(std::size_t index) const {
  auto peer = fmt::format("{} rank {} over {}",
                          way_ == channel_way::send ? "to" : "from",
                          program_.peer.value(), to_string(program_.link));
  if (index >= buckets())
    return "the digests " + peer;
  auto names = tensors_of(bucket(index), tensors_);
  return fmt::format("bucket {} of {} ({}) {}", index, buckets(),
                     quoted(names.names, names.more), peer);
}

// -- a run ---------------------------------------------------------------------

void channel::begin_run(bool digested) {
  report.bytes = 0;
  report.sum = {};
  report.digested = digested;
  report.elapsed = {};
  report.buckets_done = 0;
  report.first_difference.reset();
  std::ranges::fill(sums, digest{});
  bytes_done_ = 0;
  begun_ = {};
  mark(channel_phase::waiting, 0);
}

void channel::mark(channel_phase phase, std::size_t bucket) noexcept {
  auto now = steady_clock().now();
  if (phase == channel_phase::moving && begun_ == time_point{})
    begun_ = now;
  since_ = now.time_since_epoch().count();
  at_bucket_ = bucket;
  phase_ = phase;
}

void channel::finish_bucket(std::size_t index) {
  report.bytes += distinct_bytes(bucket(index));
  report.sum += sums[index];
  bytes_done_ = report.bytes;
  report.buckets_done = index + 1;
  if (index + 1 == buckets())
    mark(channel_phase::done, index + 1);
  if (begun_ != time_point{})
    report.elapsed = std::chrono::duration_cast<duration>(steady_clock().now()
                                                          - begun_);
}

channel_progress channel::progress() const {
  channel_progress out;
  out.peer = program_.peer;
  out.way = way_;
  out.link = program_.link;
  out.phase = phase_;
  out.bucket = std::min<std::uint64_t>(at_bucket_, buckets());
  out.buckets = buckets();
  out.bytes_done = bytes_done_;
  out.bytes = bytes_;
  out.since = time_point{time_point::duration{since_}};
  if (out.bucket < buckets()) {
    auto named = tensors_of(bucket(out.bucket), tensors_);
    out.tensors = std::move(named.names);
    out.more = named.more;
  }
  return out;
}

void channel_set::add(rank_id self, program_channel program, channel_way way,
                      link_ptr line, const tensor_list& tensors) {
  auto& added = all.emplace_back(std::move(program), way, std::move(line),
                                 tensors);
  auto place = [self](const channel* x) {
    return self.value() ^ x->program().peer.value();
  };
  ordered.push_back(&added);
  std::ranges::stable_sort(ordered, {}, place);
}

} // namespace troupe::comm::transfer
