// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/data_client.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <list>
#include <mutex>
#include <string>

#include <fmt/format.h>
#include <poll.h>

#include "troupe/actors/net/data_protocol.hpp"
#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/knock.hpp"
#include "troupe/actors/net/peer_text.hpp"
#include "troupe/actors/net/stream.hpp"
#include "troupe/actors/process/memory_file.hpp"

namespace troupe::net {

namespace protocol = data_protocol;

namespace {

/// An open data channel that nobody uses.
struct kept {
  endpoint to;
  std::string job;
  job_key key;
  std::unique_ptr<stream> channel;
};

/// Nothing lies to be read, so it has neither ended nor said what nobody asked.
bool is_quiet(const stream& x) {
  pollfd event{x.fd(), POLLIN | POLLRDHUP, 0};
  return ::poll(&event, 1, 0) == 0;
}

result<std::unique_ptr<stream>> open_channel(const endpoint& to,
                                             std::string_view job,
                                             const job_key& key,
                                             deadline until) {
  auto socket = dial(to, until.at_most(dial_budget));
  if (!socket) {
    // A gate that nobody answers for is gone, as far as its buffers go.
    auto gone = socket.error().code() == errc::unavailable;
    return fail(gone ? error{errc::lost, socket.error().message()}
                     : socket.error());
  }
  auto channel = make_plain_stream(std::move(*socket));
  preamble::hello opening{preamble::channel::data, process::node_slot,
                          std::string{job}};
  auto opened = knock(*channel, to_string(to), opening, &key, until);
  if (!opened)
    return fail(opened.error());
  return channel;
}

/// What came of asking once.
struct attempt {
  result<process::fetched_file> file;

  /// The channel is at the beginning of the next request.
  bool reusable = false;

  /// Not one byte of an answer came.
  bool silent = true;
};

result<process::fetched_file> receive_file(stream& from, std::uint64_t size,
                                           deadline until) {
  result<void> got;
  auto file = process::make_sealed_file(size, [&](std::span<std::byte> out) {
    got = receive_all(from, out, until);
  });
  if (!file)
    return fail(file.error());
  if (!got)
    return fail(got.error());
  return process::fetched_file{std::move(*file), size};
}

attempt ask(stream& at, const protocol::request& x, deadline until) {
  std::array<std::byte, protocol::answer::bytes_size> head;
  if (auto sent = send_all(at, protocol::encode(x), until); !sent)
    return {fail(sent.error())};
  if (auto got = receive_all(at, head, until); !got)
    return {fail(got.error()), false, got.error().code() == errc::lost};
  auto answer = protocol::decode_answer(head);
  if (!answer)
    return {fail(answer.error()), false, false};
  if (!answer->found) {
    std::string text(answer->size, '\0');
    auto got = receive_all(at, std::as_writable_bytes(std::span{text}), until);
    if (!got)
      return {fail(got.error()), false, false};
    return {fail(answer->code, printable(std::move(text))), true, false};
  }
  if (answer->size > x.bytes_max)
    return {fail(errc::corrupt,
                 fmt::format("buffer {} is said to have {}, and at most {} "
                             "were expected",
                             x.buffer.value(), format_bytes(answer->size),
                             format_bytes(x.bytes_max))),
            false, false};
  auto file = receive_file(at, answer->size, until);
  auto good = file.has_value();
  return {std::move(file), good, false};
}

} // namespace

struct data_client::impl {
  mutable std::mutex mutex;
  // The one used last stands first.
  std::list<kept> idle;

  std::unique_ptr<stream> take(const endpoint& to, std::string_view job,
                               const job_key& key) {
    std::lock_guard guard{mutex};
    for (auto i = idle.begin(); i != idle.end();) {
      if (i->to != to || i->job != job || !(i->key == key)) {
        ++i;
        continue;
      }
      auto channel = std::move(i->channel);
      i = idle.erase(i);
      if (is_quiet(*channel))
        return channel;
    }
    return nullptr;
  }

  void keep(kept x) {
    std::lock_guard guard{mutex};
    idle.push_front(std::move(x));
    std::size_t same = 0;
    for (auto i = idle.begin(); i != idle.end();) {
      same += i->to == idle.front().to ? 1 : 0;
      i = i->to == idle.front().to && same > idle_max ? idle.erase(i)
                                                      : std::next(i);
    }
    if (idle.size() > idle_total_max)
      idle.pop_back();
  }
};

data_client::data_client() : impl_(std::make_unique<impl>()) {
  // nop
}

data_client::~data_client() = default;

result<process::fetched_file>
data_client::fetch(const endpoint& from, std::string_view job,
                   const job_key& key, std::int32_t slot, incarnation life,
                   buffer_id id, deadline until, std::uint64_t bytes_max) {
  for (;;) {
    auto channel = impl_->take(from, job, key);
    auto fresh = !channel;
    if (fresh) {
      auto opened = open_channel(from, job, key, until);
      if (!opened)
        return fail(opened.error());
      channel = std::move(*opened);
    }
    auto budget = std::clamp<
      std::int64_t>(until.left_ms().count(), 0,
                    std::numeric_limits<std::uint32_t>::max());
    auto got = ask(*channel,
                   {slot, life, id, static_cast<std::uint32_t>(budget),
                    bytes_max},
                   until);
    if (got.reusable)
      impl_->keep({from, std::string{job}, key, std::move(channel)});
    if (got.file)
      return std::move(got.file);
    // The gate may have closed a kept connection just when it was used again.
    if (!fresh && got.silent && !until.passed())
      continue;
    return got.reusable ? fail(got.file.error())
                        : fail(got.file.error().within(
                          fmt::format("a buffer from {}", to_string(from))));
  }
}

std::size_t data_client::idle() const {
  std::lock_guard guard{impl_->mutex};
  return impl_->idle.size();
}

} // namespace troupe::net
