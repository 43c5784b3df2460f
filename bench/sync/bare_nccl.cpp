// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/bare_nccl.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/cuda/device_guard.hpp"

namespace troupe::bench {

namespace {

namespace nccl = comm::nccl;

constexpr std::int32_t source_rank = 0;

/// What is left to do at the end is to say goodbye.
constexpr std::chrono::seconds retire_limit{5};

} // namespace

result<bare_nccl> bare_nccl::connect(const two_processes& with, gpu& on) {
  auto* library = on.library().get();
  if (library == nullptr)
    return fail(errc::unavailable, "there is no NCCL");
  auto here = comm::cuda::device_guard::enter(*on.runtime(), on.number());
  if (!here)
    return fail(here.error());
  auto sends = with.self() == sync_end::source;
  nccl::unique_id id{};
  if (sends)
    if (auto code = library->make_id(id); code != nccl::codes::success)
      return fail(nccl::error_of(*library, code, library->last_error(nullptr),
                                 "bare NCCL: making a unique id"));
  auto theirs = with.exchange(sends ? bytes(id.begin(), id.end()) : bytes{},
                              ample());
  if (!theirs)
    return fail(theirs.error());
  if (!sends) {
    if (theirs->size() != id.size())
      return fail(errc::lost, "the source has no id for bare NCCL");
    std::memcpy(id.data(), theirs->data(), id.size());
  }
  auto line = comm::cuda::stream::create(on.runtime(), on.number());
  if (!line)
    return fail(line.error());
  auto raw = std::make_shared<nccl::comm_handle>(nullptr);
  auto code = library->init(*raw, id, 2, sends ? source_rank : source_rank + 1);
  if (*raw == nullptr)
    return fail(nccl::error_of(*library, code, library->last_error(nullptr),
                               "bare NCCL: making a communicator"));
  auto group = std::make_unique<nccl::owned_comm>(nccl::comm_parts{on.library(),
                                                                   on.runtime(),
                                                                   on.number(),
                                                                   "bare NCCL",
                                                                   {}},
                                                  raw);
  if (auto done = await(on, *group, "bare NCCL: making a communicator"); !done)
    return fail(done.error());
  return bare_nccl{with, on, std::move(group), std::move(*line)};
}

bare_nccl::bare_nccl(const two_processes& with, gpu& on,
                     std::unique_ptr<nccl::owned_comm> group,
                     comm::cuda::stream line)
  : with_(with),
    on_(on),
    group_(std::move(group)),
    line_(std::move(line)) {
  // nop
}

bare_nccl::~bare_nccl() {
  if (group_)
    group_->retire(deadline::after(retire_limit));
}

result<void> bare_nccl::await(gpu& on, nccl::owned_comm& group,
                              const char* what) {
  auto until = ample();
  for (;;) {
    auto state = group.state();
    if (state == nccl::codes::success)
      return {};
    if (state != nccl::codes::in_progress)
      return fail(nccl::error_of(*on.library(),
                                 state.value_or(nccl::codes::internal_error),
                                 group.words(), what));
    if (until.passed())
      return fail(errc::timed_out,
                  fmt::format("{}: the other rank did not come", what));
    std::this_thread::yield();
  }
}

result<double> bare_nccl::send(std::span<std::byte> data,
                               std::size_t piece_bytes) {
  auto here = comm::cuda::device_guard::enter(*on_.runtime(), on_.number());
  if (!here)
    return fail(here.error());
  if (auto met = with_.exchange({}, ample()); !met)
    return fail(met.error());
  result<void> done;
  auto seconds = seconds_of([&] {
    while (done && !data.empty()) {
      auto piece = data.first(std::min(data.size(), piece_bytes));
      done = begin(piece);
      data = data.subspan(piece.size());
    }
    if (done)
      done = line_.synchronize(ample());
  });
  if (!done)
    return fail(done.error());
  return seconds;
}

result<void> bare_nccl::begin(std::span<std::byte> piece) {
  constexpr auto what = "bare NCCL";
  auto sends = with_.self() == sync_end::source;
  auto code = group_->with([&](nccl::comm_handle x) {
    auto& library = *on_.library();
    return sends ? library.send(piece.data(), piece.size(), source_rank + 1, x,
                                line_.handle())
                 : library.recv(piece.data(), piece.size(), source_rank, x,
                                line_.handle());
  });
  if (code != nccl::codes::success && code != nccl::codes::in_progress)
    return fail(nccl::error_of(*on_.library(),
                               code.value_or(nccl::codes::internal_error),
                               group_->words(), what));
  return await(on_, *group_, what);
}

} // namespace troupe::bench
