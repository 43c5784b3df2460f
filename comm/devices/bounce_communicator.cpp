// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/bounce_communicator.hpp"

#include <utility>

#include "troupe/comm/cuda/memory.hpp"

namespace troupe::comm::devices {

bounce_communicator::bounce_communicator(communicator_ptr inner,
                                         cuda::runtime_ptr runtime,
                                         bounce_line line)
  : inner_(std::move(inner)),
    runtime_(std::move(runtime)),
    line_(std::move(line)) {
  // nop
}

result<communicator_ptr> bounce_communicator::make(communicator_ptr inner,
                                                   cuda::runtime_ptr runtime,
                                                   std::int32_t device) {
  auto line = bounce_line::create(runtime, device);
  if (!line)
    return fail(line.error());
  return communicator_ptr{new bounce_communicator{std::move(inner),
                                                  std::move(runtime),
                                                  std::move(*line)}};
}

rank_id bounce_communicator::rank() const noexcept {
  return inner_->rank();
}

std::int32_t bounce_communicator::size() const noexcept {
  return inner_->size();
}

result<bool>
bounce_communicator::on_device(std::span<const std::byte> data) const {
  if (data.empty())
    return false;
  auto found = cuda::facts_of(*runtime_, data.data());
  if (!found)
    return fail(found.error());
  return found->kind == cuda::memory_kind::device;
}

result<void> bounce_communicator::move(void* to, const void* from,
                                       std::size_t bytes, deadline until) {
  return line_.move(to, from, bytes, until, &aborted_);
}

template <class F>
result<void> bounce_communicator::run(F f) {
  if (cause_)
    return fail(*cause_);
  // A dead one says at once what it died of.
  if (!inner_->alive())
    return inner_->barrier(deadline::after(duration::zero()));
  auto done = f();
  if (!done && inner_->alive()) {
    cause_ = done.error();
    inner_->abort();
  }
  return done;
}

template <class F>
result<void> bounce_communicator::with_input(std::span<const std::byte> in,
                                             deadline until, F f) {
  auto moves = on_device(in);
  if (!moves)
    return fail(moves.error());
  if (!*moves)
    return f(in);
  auto here = line_.block(reading, in.size(), until);
  if (!here)
    return fail(here.error());
  if (auto done = move(here->data(), in.data(), in.size(), until); !done)
    return done;
  return f(std::span<const std::byte>{*here});
}

template <class F>
result<void> bounce_communicator::with_output(std::span<std::byte> out,
                                              bool filled, deadline until,
                                              F f) {
  auto moves = on_device(out);
  if (!moves)
    return fail(moves.error());
  if (!*moves)
    return f(out);
  auto here = line_.block(writing, out.size(), until);
  if (!here)
    return fail(here.error());
  if (filled)
    if (auto done = move(here->data(), out.data(), out.size(), until); !done)
      return done;
  if (auto done = f(*here); !done)
    return done;
  return move(out.data(), here->data(), out.size(), until);
}

// -- operations ----------------------------------------------------------------

result<void> bounce_communicator::send(std::span<const std::byte> data,
                                       rank_id peer, std::uint32_t tag,
                                       deadline until) {
  return run([&] {
    return with_input(data, until, [&](std::span<const std::byte> x) {
      return inner_->send(x, peer, tag, until);
    });
  });
}

result<void> bounce_communicator::recv(std::span<std::byte> data, rank_id peer,
                                       std::uint32_t tag, deadline until) {
  return run([&] {
    return with_output(data, false, until, [&](std::span<std::byte> x) {
      return inner_->recv(x, peer, tag, until);
    });
  });
}

result<void> bounce_communicator::broadcast(std::span<std::byte> data,
                                            rank_id root, deadline until) {
  return run([&] {
    return with_output(data, root == rank(), until,
                       [&](std::span<std::byte> x) {
                         return inner_->broadcast(x, root, until);
                       });
  });
}

result<void> bounce_communicator::all_reduce(std::span<std::byte> data,
                                             dtype type, reduce_op op,
                                             deadline until) {
  return run([&] {
    return with_output(data, true, until, [&](std::span<std::byte> x) {
      return inner_->all_reduce(x, type, op, until);
    });
  });
}

result<void> bounce_communicator::all_gather(std::span<const std::byte> in,
                                             std::span<std::byte> out,
                                             deadline until) {
  return run([&] {
    return with_input(in, until, [&](std::span<const std::byte> x) {
      return with_output(out, false, until, [&](std::span<std::byte> y) {
        return inner_->all_gather(x, y, until);
      });
    });
  });
}

result<void> bounce_communicator::reduce_scatter(std::span<const std::byte> in,
                                                 std::span<std::byte> out,
                                                 dtype type, reduce_op op,
                                                 deadline until) {
  return run([&] {
    return with_input(in, until, [&](std::span<const std::byte> x) {
      return with_output(out, false, until, [&](std::span<std::byte> y) {
        return inner_->reduce_scatter(x, y, type, op, until);
      });
    });
  });
}

result<void> bounce_communicator::barrier(deadline until) {
  return run([&] { return inner_->barrier(until); });
}

void bounce_communicator::abort() noexcept {
  inner_->abort();
  aborted_.store(true, std::memory_order_release);
}

bool bounce_communicator::alive() const noexcept {
  return inner_->alive();
}

result<void> bounce_communicator::health() {
  return inner_->health();
}

} // namespace troupe::comm::devices
