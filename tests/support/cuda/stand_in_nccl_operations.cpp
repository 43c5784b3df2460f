// SPDX-License-Identifier: Apache-2.0
// What the operations of the stand-in do, once all ranks are there.
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "support/cuda/stand_in_nccl.hpp"
#include "troupe/comm/reduce.hpp"

namespace troupe::test {

using comm::reduce_op;
using comm::nccl::status;

namespace {

/// As NCCL's kernels: one operand after the other, rounded each time.
void reduce_pair(std::byte* sum, const std::byte* in, dtype type, reduce_op op,
                 std::size_t count) {
  auto wide = comm::wide_type(type);
  std::vector<std::byte> left(count * size_of(wide));
  comm::widen(sum, type, left.data(), count);
  auto floating = wide == dtype::float32 || wide == dtype::float64;
  if (op == reduce_op::sum || !floating) {
    comm::combine(left.data(), in, type, op, count);
  } else {
    std::vector<std::byte> right(left.size());
    comm::widen(in, type, right.data(), count);
    auto pick = [&](auto* x, const auto* y) {
      for (std::size_t i = 0; i < count; ++i)
        x[i] = op == reduce_op::max ? std::fmax(x[i], y[i])
                                    : std::fmin(x[i], y[i]);
    };
    if (wide == dtype::float32)
      pick(reinterpret_cast<float*>(left.data()),
           reinterpret_cast<const float*>(right.data()));
    else
      pick(reinterpret_cast<double*>(left.data()),
           reinterpret_cast<const double*>(right.data()));
  }
  comm::narrow(left.data(), type, sum, count);
}

} // namespace

// -- operations ---------------------------------------------------------------

status stand_in_nccl::send(const void* data, std::uint64_t bytes,
                           std::int32_t peer, comm_handle comm,
                           stream_handle stream) noexcept {
  auto mine = std::make_shared<part>();
  mine->in = static_cast<const std::byte*>(data);
  mine->bytes = bytes;
  call what;
  what.stream = stream;
  what.touches = {{data, bytes, false}};
  what.begin = [this, peer, mine](comm_state& x) {
    return post(x, peer, mine, true);
  };
  return submit("send", comm, std::move(what));
}

status stand_in_nccl::recv(void* data, std::uint64_t bytes, std::int32_t peer,
                           comm_handle comm, stream_handle stream) noexcept {
  auto mine = std::make_shared<part>();
  mine->out = static_cast<std::byte*>(data);
  mine->bytes = bytes;
  call what;
  what.stream = stream;
  what.touches = {{data, bytes, true}};
  what.begin = [this, peer, mine](comm_state& x) {
    return post(x, peer, mine, false);
  };
  return submit("recv", comm, std::move(what));
}

status stand_in_nccl::broadcast(void* data, std::uint64_t bytes,
                                std::int32_t root, comm_handle comm,
                                stream_handle stream) noexcept {
  auto mine = std::make_shared<part>();
  mine->out = static_cast<std::byte*>(data);
  mine->bytes = bytes;
  call what;
  what.stream = stream;
  what.touches = {{data, bytes, true}};
  auto name = fmt::format("broadcast {} of {}", bytes, root);
  what.begin = [this, mine, name, root](comm_state& x) {
    return join(x, name, mine, [root](parts& all) {
      const auto& from = all[static_cast<std::size_t>(root)];
      for (auto& to : all)
        if (to != from)
          std::memcpy(to->out, from->out, from->bytes);
    });
  };
  return submit("broadcast", comm, std::move(what));
}

status stand_in_nccl::all_reduce(void* data, std::uint64_t elements, dtype type,
                                 reduce_op op, comm_handle comm,
                                 stream_handle stream) noexcept {
  auto mine = std::make_shared<part>();
  mine->out = static_cast<std::byte*>(data);
  mine->bytes = elements * size_of(type);
  call what;
  what.stream = stream;
  what.touches = {{data, mine->bytes, true}};
  auto name = fmt::format("all_reduce {} {} {}", elements, to_string(type),
                          static_cast<int>(op));
  what.begin = [this, mine, name, elements, type, op](comm_state& x) {
    return join(x, name, mine, [=](parts& all) {
      for (std::size_t r = 1; r < all.size(); ++r)
        reduce_pair(all[0]->out, all[r]->out, type, op, elements);
      for (std::size_t r = 1; r < all.size(); ++r)
        std::memcpy(all[r]->out, all[0]->out, all[r]->bytes);
    });
  };
  return submit("all_reduce", comm, std::move(what));
}

status stand_in_nccl::all_gather(const void* in, void* out, std::uint64_t bytes,
                                 comm_handle comm,
                                 stream_handle stream) noexcept {
  auto mine = std::make_shared<part>();
  mine->in = static_cast<const std::byte*>(in);
  mine->out = static_cast<std::byte*>(out);
  mine->bytes = bytes;
  call what;
  what.stream = stream;
  auto name = fmt::format("all_gather {}", bytes);
  what.begin = [this, mine, name](comm_state& x) {
    return join(x, name, mine, [](parts& all) {
      for (auto& to : all)
        for (std::size_t r = 0; r < all.size(); ++r)
          std::memmove(to->out + r * to->bytes, all[r]->in, to->bytes);
    });
  };
  auto ranks = ranks_of(comm);
  what.touches = {{in, bytes, false},
                  {out, bytes * static_cast<std::uint64_t>(ranks), true}};
  return submit("all_gather", comm, std::move(what));
}

status stand_in_nccl::reduce_scatter(const void* in, void* out,
                                     std::uint64_t elements, dtype type,
                                     reduce_op op, comm_handle comm,
                                     stream_handle stream) noexcept {
  auto mine = std::make_shared<part>();
  mine->in = static_cast<const std::byte*>(in);
  mine->out = static_cast<std::byte*>(out);
  mine->bytes = elements * size_of(type);
  call what;
  what.stream = stream;
  auto name = fmt::format("reduce_scatter {} {} {}", elements, to_string(type),
                          static_cast<int>(op));
  what.begin = [this, mine, name, elements, type, op](comm_state& x) {
    return join(x, name, mine, [=](parts& all) {
      std::vector<std::vector<std::byte>> sums;
      for (auto& to : all) {
        auto at = sums.size() * to->bytes;
        std::vector<std::byte> sum(all[0]->in + at,
                                   all[0]->in + at + to->bytes);
        for (std::size_t r = 1; r < all.size(); ++r)
          reduce_pair(sum.data(), all[r]->in + at, type, op, elements);
        sums.push_back(std::move(sum));
      }
      for (std::size_t r = 0; r < all.size(); ++r)
        std::memcpy(all[r]->out, sums[r].data(), sums[r].size());
    });
  };
  what.touches = {{out, mine->bytes, true}};
  return submit("reduce_scatter", comm, std::move(what));
}

} // namespace troupe::test
