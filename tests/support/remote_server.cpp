// SPDX-License-Identifier: Apache-2.0
#include "support/remote_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

using namespace std::literals;

namespace troupe::test {

namespace {

/// No test is silent for so long.
constexpr auto idle_max = 30min;

/// How long the parent may take to read an answer; it has a thread for that.
constexpr auto reading_max = 60s;

constexpr int malformed_call = 95;

remote_answer failed(error what) {
  return {fail(std::move(what)), 0, {}};
}

remote_answer no_such_object() {
  return failed(error{errc::internal, "the rank's process has no such object"});
}

/// Memory of its own, aligned for every element; a frame's is not.
bytes copy_of(std::span<const std::byte> x) {
  return {x.begin(), x.end()};
}

bool equal(std::span<const std::byte> x, std::span<const std::byte> y) {
  return x.size() == y.size()
         && (x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0);
}

result<void> call_of(comm::communicator& group, const remote_call& call,
                     std::span<const std::byte> in, std::span<std::byte> out) {
  auto until = deadline::after(call.left);
  auto peer = rank_id{call.rank};
  switch (call.what) {
    case verb::send: return group.send(in, peer, call.tag, until);
    case verb::recv: return group.recv(out, peer, call.tag, until);
    case verb::broadcast: return group.broadcast(out, peer, until);
    case verb::all_reduce:
      return group.all_reduce(out, call.type, call.op, until);
    case verb::all_gather: return group.all_gather(in, out, until);
    case verb::reduce_scatter:
      return group.reduce_scatter(in, out, call.type, call.op, until);
    case verb::barrier: return group.barrier(until);
    default: return fail(errc::internal, "no call of a communicator");
  }
}

} // namespace

rank_server::rank_server(comm::socket fd, remote_ranks::maker make)
  : socket_(std::move(fd)),
    make_(std::move(make)) {
  // nop
}

int rank_server::run() {
  for (;;) {
    auto read = socket_.read(deadline::after(idle_max));
    if (!read)
      return 0;
    auto frame = std::make_shared<const bytes>(std::move(*read));
    std::uint64_t number = 0;
    remote_call call;
    if (!decode(*frame, number, call))
      return malformed_call;
    // Here, since the first one must come before any thread; and it is short.
    if (call.what == verb::make) {
      serve(number, call);
      continue;
    }
    std::thread{[self = shared_from_this(), frame, number, call] {
      self->serve(number, call);
    }}.detach();
  }
}

void rank_server::serve(std::uint64_t number, const remote_call& call) {
  remote_answer answer;
  try {
    answer = carry_out(call);
  } catch (const std::exception& e) {
    answer = failed(error{errc::internal, e.what()});
  }
  // The object is released by now: a `drop` that follows ends it. If the
  // parent is gone, so is this process in a moment.
  (void) socket_.write(encode(number, answer), deadline::after(reading_max));
}

remote_answer rank_server::carry_out(const remote_call& call) {
  switch (call.what) {
    case verb::make: return make(call);
    case verb::connect: return connect(call);
    case verb::abort:
      if (auto x = find_endpoint(call.object))
        x->abort();
      else if (auto y = find_group(call.object))
        y->abort();
      else
        return no_such_object();
      return {};
    case verb::alive: {
      auto x = find_group(call.object);
      return x ? remote_answer{{}, x->alive() ? 1u : 0u, {}} : no_such_object();
    }
    case verb::drop: return drop(call);
    default: return operate(call);
  }
}

remote_answer rank_server::make(const remote_call& call) {
  decoder from{call.in};
  std::int32_t size = 0;
  std::uint64_t segment = 0;
  std::uint64_t tree = 0;
  if (!from.get(size) || !from.get(segment) || !from.get(tree))
    return failed(error{errc::internal, "a malformed call"});
  auto made = make_(rank_id{call.rank}, size,
                    {.segment_bytes = segment, .tree_bytes = tree});
  if (!made)
    return failed(made.error());
  std::lock_guard lock{mutex_};
  auto object = ++last_object_;
  remote_answer out{{}, object, (*made)->address()};
  endpoints_.emplace(object, std::move(*made));
  return out;
}

remote_answer rank_server::connect(const remote_call& call) {
  auto from_object = find_endpoint(call.object);
  if (!from_object)
    return no_such_object();
  std::vector<bytes> addresses;
  decoder from{call.in};
  while (from.left() > 0) {
    std::uint64_t size = 0;
    std::span<const std::byte> one;
    if (!from.get(size) || !from.view(size, one))
      return failed(error{errc::internal, "a malformed call"});
    addresses.push_back(copy_of(one));
  }
  auto made = from_object->connect(addresses, deadline::after(call.left));
  if (!made)
    return failed(made.error());
  remote_answer out;
  encoder to{out.data};
  to.put((*made)->rank().value());
  to.put((*made)->size());
  std::lock_guard lock{mutex_};
  out.value = ++last_object_;
  groups_.emplace(out.value, std::move(*made));
  return out;
}

remote_answer rank_server::operate(const remote_call& call) {
  auto group = find_group(call.object);
  if (!group)
    return no_such_object();
  auto in = copy_of(call.in);
  auto out = copy_of(call.out);
  remote_answer answer;
  answer.outcome = call_of(*group, call, in, out);
  // What was not written is as the caller sent it, so all of it may go back;
  // also after a failure, since the caller is to see what that one wrote.
  if (!equal(out, call.out))
    answer.data = out;
  if (!answer.outcome && !out.empty()) {
    auto as_answered = out;
    std::lock_guard lock{mutex_};
    kept_[call.object].push_back({std::move(out), std::move(as_answered)});
  }
  return answer;
}

remote_answer rank_server::drop(const remote_call& call) {
  std::vector<kept_memory> kept;
  {
    comm::endpoint_ptr endpoint;
    comm::communicator_ptr group;
    std::lock_guard lock{mutex_};
    if (auto found = endpoints_.extract(call.object))
      endpoint = std::move(found.mapped());
    if (auto found = groups_.extract(call.object))
      group = std::move(found.mapped());
    if (auto found = kept_.extract(call.object))
      kept = std::move(found.mapped());
    // The lock goes first, then the objects: they may take their time.
  }
  auto late = std::count_if(kept.begin(), kept.end(), [](const auto& x) {
    return !equal(x.memory, x.as_answered);
  });
  return {{}, static_cast<std::uint64_t>(late), {}};
}

comm::endpoint_ptr rank_server::find_endpoint(std::uint64_t object) {
  std::lock_guard lock{mutex_};
  auto found = endpoints_.find(object);
  return found == endpoints_.end() ? nullptr : found->second;
}

comm::communicator_ptr rank_server::find_group(std::uint64_t object) {
  std::lock_guard lock{mutex_};
  auto found = groups_.find(object);
  return found == groups_.end() ? nullptr : found->second;
}

} // namespace troupe::test
