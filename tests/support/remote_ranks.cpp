// SPDX-License-Identifier: Apache-2.0
#include "support/remote_ranks.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <utility>

#include <fmt/core.h>
#include <sys/socket.h>

#include "support/remote_calls.hpp"
#include "support/remote_server.hpp"

using namespace std::literals;

namespace troupe::test {

/// The parent's side of one process: sends calls and hands answers to those who
/// wait for them. Proxies hold it, and find it closed when remote_ranks is gone.
class rank_channel {
public:
  rank_channel(std::size_t rank, comm::socket fd)
    : rank_(rank),
      socket_(std::move(fd)),
      reader_([this] { read(); }) {
    // nop
  }

  ~rank_channel() { close(); }

  rank_channel(const rank_channel&) = delete;
  rank_channel& operator=(const rank_channel&) = delete;

  /// The answer, whatever its outcome; fails if none came.
  result<remote_answer> call(remote_call what, deadline until);

  /// For calls that do not take a deadline.
  result<remote_answer> call(remote_call what) {
    return call(what, deadline::after(short_call));
  }

  /// Ends all calls. From one thread.
  void close() {
    socket_.close();
    if (reader_.joinable())
      reader_.join();
  }

  void count_late_writes(std::uint64_t x) noexcept { late_writes_ += x; }

  [[nodiscard]] std::uint64_t late_writes() const noexcept {
    return late_writes_;
  }

private:
  /// What a process gets to answer after the deadline, on a busy machine.
  static constexpr auto grace = 30s;

  /// Among them the first that an accelerator hears of.
  static constexpr auto short_call = 60s;

  /// No test is silent for so long.
  static constexpr auto idle_max = 30min;

  void read() {
    while (auto frame = socket_.read(deadline::after(idle_max))) {
      std::uint64_t number = 0;
      remote_answer answer;
      if (!decode(*frame, number, answer))
        break;
      std::lock_guard lock{mutex_};
      // It is not there if the caller has given up.
      if (auto found = pending_.find(number); found != pending_.end())
        found->second = std::move(answer);
      changed_.notify_all();
    }
    std::lock_guard lock{mutex_};
    lost_ = true;
    changed_.notify_all();
  }

  const std::size_t rank_;
  frame_socket socket_;
  std::atomic<std::uint64_t> late_writes_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool lost_ = false;
  std::uint64_t last_number_ = 0;
  std::unordered_map<std::uint64_t, std::optional<remote_answer>> pending_;
  // Last: it uses all of the above.
  std::thread reader_;
};

result<remote_answer> rank_channel::call(remote_call what, deadline until) {
  std::unique_lock lock{mutex_};
  auto number = ++last_number_;
  auto limit = deadline::after(until.left() + grace);
  if (!lost_) {
    pending_.try_emplace(number);
    lock.unlock();
    what.left = until.left();
    // If it fails the reader says that the process is lost.
    (void) socket_.write(encode(number, what), limit);
    lock.lock();
    changed_.wait_until(lock, limit.when(),
                        [&] { return lost_ || pending_[number]; });
  }
  auto mine = pending_.extract(number);
  if (mine && mine.mapped())
    return std::move(*mine.mapped());
  if (lost_)
    return fail(errc::lost,
                fmt::format("the process of rank {} is gone", rank_));
  return fail(errc::internal, fmt::format("the process of rank {} did not "
                                          "answer after the deadline",
                                          rank_));
}

namespace {

/// An object in a rank's process. Ends it there when it ends here.
class remote_object {
public:
  remote_object(std::shared_ptr<rank_channel> channel, std::uint64_t name)
    : channel_(std::move(channel)),
      name_(name) {
    // nop
  }

  ~remote_object() {
    if (auto late = call({.what = verb::drop}))
      channel_->count_late_writes(late->value);
  }

  remote_object(const remote_object&) = delete;
  remote_object& operator=(const remote_object&) = delete;

  result<remote_answer> call(remote_call what) const {
    what.object = name_;
    return channel_->call(what);
  }

  result<remote_answer> call(remote_call what, deadline until) const {
    what.object = name_;
    return channel_->call(what, until);
  }

  [[nodiscard]] const std::shared_ptr<rank_channel>& channel() const noexcept {
    return channel_;
  }

private:
  const std::shared_ptr<rank_channel> channel_;
  const std::uint64_t name_;
};

class remote_communicator final : public comm::communicator {
public:
  remote_communicator(std::shared_ptr<rank_channel> channel, std::uint64_t name,
                      rank_id rank, std::int32_t size)
    : object_(std::move(channel), name),
      rank_(rank),
      size_(size) {
    // nop
  }

  rank_id rank() const noexcept override { return rank_; }

  std::int32_t size() const noexcept override { return size_; }

  result<void> send(std::span<const std::byte> data, rank_id peer,
                    std::uint32_t tag, deadline until) override {
    return operate({.what = verb::send,
                    .rank = peer.value(),
                    .tag = tag,
                    .in = data},
                   {}, until);
  }

  result<void> recv(std::span<std::byte> data, rank_id peer, std::uint32_t tag,
                    deadline until) override {
    return operate({.what = verb::recv, .rank = peer.value(), .tag = tag}, data,
                   until);
  }

  result<void> broadcast(std::span<std::byte> data, rank_id root,
                         deadline until) override {
    return operate({.what = verb::broadcast, .rank = root.value()}, data,
                   until);
  }

  result<void> all_reduce(std::span<std::byte> data, dtype type,
                          comm::reduce_op op, deadline until) override {
    return operate({.what = verb::all_reduce, .type = type, .op = op}, data,
                   until);
  }

  result<void> all_gather(std::span<const std::byte> in,
                          std::span<std::byte> out, deadline until) override {
    return operate({.what = verb::all_gather, .in = in}, out, until);
  }

  result<void> reduce_scatter(std::span<const std::byte> in,
                              std::span<std::byte> out, dtype type,
                              comm::reduce_op op, deadline until) override {
    return operate({.what = verb::reduce_scatter,
                    .type = type,
                    .op = op,
                    .in = in},
                   out, until);
  }

  result<void> barrier(deadline until) override {
    return operate({.what = verb::barrier}, {}, until);
  }

  void abort() noexcept override { (void) object_.call({.what = verb::abort}); }

  bool alive() const noexcept override {
    auto answer = object_.call({.what = verb::alive});
    return answer && answer->outcome && answer->value != 0;
  }

private:
  /// Only the thread that calls touches `out`, and only before it returns.
  result<void> operate(remote_call call, std::span<std::byte> out,
                       deadline until) {
    call.out = out;
    auto answer = object_.call(call, until);
    if (!answer)
      return fail(answer.error());
    const auto& written = answer->data;
    if (!written.empty() && written.size() != out.size())
      return fail(errc::internal, "the process answered with other memory");
    if (!written.empty())
      std::memcpy(out.data(), written.data(), written.size());
    return std::move(answer->outcome);
  }

  const remote_object object_;
  const rank_id rank_;
  const std::int32_t size_;
};

class remote_endpoint final : public comm::endpoint {
public:
  remote_endpoint(std::shared_ptr<rank_channel> channel, std::uint64_t name,
                  bytes address)
    : object_(std::move(channel), name),
      address_(std::move(address)) {
    // nop
  }

  const bytes& address() const noexcept override { return address_; }

  result<comm::communicator_ptr> connect(const std::vector<bytes>& addresses,
                                         deadline until) override {
    bytes all;
    encoder to{all};
    for (const auto& x : addresses) {
      to.put(static_cast<std::uint64_t>(x.size()));
      to.append(x.data(), x.size());
    }
    auto answer = object_.call({.what = verb::connect, .in = all}, until);
    if (!answer)
      return fail(answer.error());
    if (!answer->outcome)
      return fail(answer->outcome.error());
    decoder from{answer->data};
    std::int32_t rank = 0;
    std::int32_t size = 0;
    if (!from.get(rank) || !from.get(size))
      return fail(errc::internal, "the process answered in another language");
    return std::make_shared<remote_communicator>(object_.channel(),
                                                 answer->value, rank_id{rank},
                                                 size);
  }

  void abort() noexcept override { (void) object_.call({.what = verb::abort}); }

private:
  const remote_object object_;
  const bytes address_;
};

struct socket_pair {
  comm::socket ours;
  comm::socket theirs;
};

std::vector<socket_pair> make_pairs(std::size_t count) {
  std::vector<socket_pair> out;
  for (std::size_t i = 0; i < count; ++i) {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
      throw std::runtime_error{"socketpair failed"};
    out.push_back({comm::socket{fds[0]}, comm::socket{fds[1]}});
  }
  return out;
}

} // namespace

// -- remote_ranks -------------------------------------------------------------

remote_ranks::remote_ranks(std::size_t ranks, const maker& make) {
  auto pairs = make_pairs(ranks);
  processes_ = std::make_unique<
    forked_ranks>(ranks, [&](std::size_t rank, pipe_end&) -> int {
    auto mine = std::move(pairs[rank].theirs);
    // A process that has another's end would hide that the other has died.
    pairs.clear();
    return std::make_shared<rank_server>(std::move(mine), make)->run();
  });
  // Only now: these begin threads.
  for (std::size_t rank = 0; rank < ranks; ++rank)
    channels_.push_back(
      std::make_shared<rank_channel>(rank, std::move(pairs[rank].ours)));
}

remote_ranks::~remote_ranks() {
  for (auto& x : channels_)
    x->close();
}

result<comm::endpoint_ptr>
remote_ranks::make_endpoint(rank_id rank, std::int32_t size,
                            const comm::collective_options& options) {
  const auto& channel = channels_.at(static_cast<std::size_t>(rank.value()));
  bytes what;
  encoder to{what};
  to.put(size);
  to.put(static_cast<std::uint64_t>(options.segment_bytes));
  to.put(static_cast<std::uint64_t>(options.tree_bytes));
  auto answer = channel->call(
    {.what = verb::make, .rank = rank.value(), .in = what});
  if (!answer)
    return fail(answer.error());
  if (!answer->outcome)
    return fail(answer->outcome.error());
  return std::make_shared<remote_endpoint>(channel, answer->value,
                                           std::move(answer->data));
}

std::vector<comm::endpoint_ptr>
remote_ranks::make_endpoints(std::int32_t size,
                             const comm::collective_options& options) {
  std::vector<comm::endpoint_ptr> out;
  for (std::int32_t rank = 0; rank < size; ++rank) {
    auto made = make_endpoint(rank_id{rank}, size, options);
    if (!made)
      throw std::runtime_error{
        fmt::format("rank {}: {}", rank, to_string(made.error()))};
    out.push_back(std::move(*made));
  }
  return out;
}

void remote_ranks::signal(std::size_t rank, int number) const {
  processes_->signal(rank, number);
}

std::uint64_t remote_ranks::late_writes() const noexcept {
  std::uint64_t out = 0;
  for (const auto& x : channels_)
    out += x->late_writes();
  return out;
}

} // namespace troupe::test
