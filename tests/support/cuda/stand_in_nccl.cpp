// SPDX-License-Identifier: Apache-2.0
#include "support/cuda/stand_in_nccl.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/core.h>

using namespace std::literals;

namespace troupe::test {

using comm::nccl::status;
namespace codes = comm::nccl::codes;

struct stand_in_nccl::group_state {
  std::int32_t size = 0;
  std::int32_t came = 0;
  std::vector<bool> here;

  struct slot {
    std::string what;
    parts all;
    bool mismatch = false;
  };

  std::map<std::uint64_t, slot> collectives;
  std::map<std::pair<std::int32_t, std::int32_t>, std::deque<part_ptr>> sent;
  std::map<std::pair<std::int32_t, std::int32_t>, std::deque<part_ptr>>
    expected;

  struct wish {
    std::int32_t color = 0;
    std::int32_t key = 0;
    std::int32_t rank = 0;
  };

  /// Of each split, by its number; shrinks by whom they exclude.
  std::map<std::uint64_t, std::vector<wish>> splits;
  std::map<std::vector<std::int32_t>, std::int32_t> shrinks;
  std::map<std::pair<std::uint64_t, std::int32_t>, group_ptr> split_into;
  std::map<std::vector<std::int32_t>, group_ptr> shrunk_into;
};

struct stand_in_nccl::comm_state {
  group_ptr group;
  std::int32_t rank = 0;
  std::int32_t device = 0;
  std::uint64_t next_collective = 0;
  std::uint64_t next_split = 0;
  std::uint64_t pending = 0;
  std::uint32_t looks = 0;
  /// Calls on it that hang.
  std::uint32_t inside = 0;
  bool cancelled = false;
  bool finalized = false;
  /// Where the handle of a split or shrink goes.
  comm_handle* target = nullptr;
  std::optional<group_state::wish> splitting;
  std::optional<std::vector<std::int32_t>> shrinking;
  std::map<registration_handle, bool> registered;
};

stand_in_nccl::stand_in_nccl(std::shared_ptr<stand_in_runtime> on,
                             stand_in_nccl_options options)
  : runtime_(std::move(on)),
    options_(options) {
  // nop
}

stand_in_nccl::~stand_in_nccl() {
  // Kernels that still wait refer to this.
  lock guard{mutex_};
  for (auto& [handle, comm] : comms_)
    comm->cancelled = true;
  changed_.notify_all();
  changed_.wait_for(guard, 10s, [&] {
    return std::all_of(comms_.begin(), comms_.end(),
                       [](const auto& x) { return x.second->pending == 0; });
  });
}

// -- what went wrong ----------------------------------------------------------

std::vector<std::string> stand_in_nccl::misuse() const {
  lock guard{mutex_};
  return misuse_;
}

std::size_t stand_in_nccl::standing() const {
  lock guard{mutex_};
  return comms_.size();
}

std::uint64_t stand_in_nccl::calls(const std::string& function) const {
  lock guard{mutex_};
  auto found = calls_.find(function);
  return found == calls_.end() ? 0 : found->second;
}

bool stand_in_nccl::await_launches(std::int32_t device, std::uint64_t count,
                                   deadline until) {
  lock guard{mutex_};
  return changed_.wait_for(guard, until.left(),
                           [&] { return launched_[device] >= count; });
}

void stand_in_nccl::note(std::string what) {
  misuse_.push_back(std::move(what));
}

// -- what shall go wrong ------------------------------------------------------

void stand_in_nccl::break_device(std::int32_t device, status code) {
  lock guard{mutex_};
  broken_[device] = code;
}

void stand_in_nccl::hold_init() {
  lock guard{mutex_};
  init_held_ = true;
}

void stand_in_nccl::fail_next(const std::string& function, status code) {
  lock guard{mutex_};
  failing_[function].push_back(code);
}

void stand_in_nccl::hang(const std::string& function) {
  lock guard{mutex_};
  hung_.insert(function);
}

void stand_in_nccl::resume() {
  lock guard{mutex_};
  hung_.clear();
  changed_.notify_all();
}

std::size_t stand_in_nccl::hanging() const {
  lock guard{mutex_};
  return hanging_;
}

void stand_in_nccl::pause(lock& guard, const char* function, comm_state& x) {
  if (hung_.count(function) == 0)
    return;
  ++x.inside;
  ++hanging_;
  changed_.notify_all();
  changed_.wait(guard, [&] { return hung_.count(function) == 0; });
  --hanging_;
  --x.inside;
}

void stand_in_nccl::answer_late(bool on) {
  lock guard{mutex_};
  late_ = on;
}

// -- handles ------------------------------------------------------------------

status stand_in_nccl::enter(const char* function) {
  ++calls_[function];
  auto& fails = failing_[function];
  if (fails.empty())
    return codes::success;
  auto code = fails.front();
  fails.pop_front();
  return code;
}

stand_in_nccl::comm_ptr stand_in_nccl::find(comm_handle comm,
                                            const char* function) {
  auto found = comms_.find(comm);
  if (found != comms_.end()) {
    if (found->second->inside > 0)
      note(fmt::format("{} beside another call", function));
    return found->second;
  }
  note(fmt::format("{} of a communicator that does not exist", function));
  return nullptr;
}

comm::nccl::comm_handle stand_in_nccl::put(const group_ptr& group,
                                           std::int32_t rank,
                                           std::int32_t device) {
  auto made = std::make_shared<comm_state>();
  made->group = group;
  made->rank = rank;
  made->device = device;
  auto handle = reinterpret_cast<comm_handle>(next_handle_++);
  comms_[handle] = std::move(made);
  return handle;
}

// -- communicators ------------------------------------------------------------

std::int32_t stand_in_nccl::version() const noexcept {
  return options_.version;
}

std::string stand_in_nccl::text_of(status x) const {
  return fmt::format("stand-in error {}", x);
}

std::string stand_in_nccl::last_error(comm_handle) const {
  return "said by the stand-in";
}

status stand_in_nccl::make_id(unique_id& out) noexcept {
  lock guard{mutex_};
  if (auto code = enter("make_id"); code != codes::success)
    return code;
  auto number = next_id_++;
  out = {};
  std::memcpy(out.data(), &number, sizeof(number));
  return codes::success;
}

status stand_in_nccl::init(comm_handle& out, const unique_id& id,
                           std::int32_t size, std::int32_t rank) noexcept {
  std::int32_t device = -1;
  runtime_->current_device(device);
  lock guard{mutex_};
  if (auto code = enter("init"); code != codes::success)
    return code;
  auto& group = groups_[id];
  if (!group) {
    group = std::make_shared<group_state>();
    group->size = size;
    group->here.resize(static_cast<std::size_t>(size));
  }
  auto index = static_cast<std::size_t>(rank);
  if (group->size != size || index >= group->here.size()
      || group->here[index]) {
    note(fmt::format("rank {} of {} twice or in another group", rank, size));
    return codes::invalid_argument;
  }
  group->here[index] = true;
  ++group->came;
  out = put(group, rank, device);
  return codes::in_progress;
}

status stand_in_nccl::split(comm_handle comm, std::int32_t color,
                            std::int32_t key, comm_handle& out) noexcept {
  lock guard{mutex_};
  auto code = enter("split");
  auto x = find(comm, "split");
  if (!x || code != codes::success)
    return x ? code : codes::invalid_argument;
  auto number = x->next_split++;
  x->splitting = {color, key, static_cast<std::int32_t>(number)};
  x->target = &out;
  x->group->splits[number].push_back({color, key, x->rank});
  return codes::in_progress;
}

bool stand_in_nccl::can_shrink() const noexcept {
  return options_.can_shrink;
}

status stand_in_nccl::shrink(comm_handle comm,
                             std::span<const std::int32_t> excluded,
                             comm_handle& out) noexcept {
  lock guard{mutex_};
  auto code = enter("shrink");
  auto x = find(comm, "shrink");
  if (!x || code != codes::success)
    return x ? code : codes::invalid_argument;
  pause(guard, "shrink", *x);
  auto before = state_of(*x);
  // Kernels are ended first, also if it is refused then.
  x->cancelled = true;
  changed_.notify_all();
  if (before != codes::success)
    return before == codes::in_progress ? codes::invalid_argument : before;
  x->shrinking.emplace(excluded.begin(), excluded.end());
  x->target = &out;
  ++x->group->shrinks[*x->shrinking];
  changed_.notify_all();
  return codes::in_progress;
}

void stand_in_nccl::advance(comm_state& x) {
  auto& group = *x.group;
  auto child_of = [&](group_ptr& made, std::int32_t size) {
    if (!made) {
      made = std::make_shared<group_state>();
      made->size = size;
      made->came = size;
    }
    return made;
  };
  if (x.splitting) {
    auto [color, key, number] = *x.splitting;
    auto wishes = group.splits[static_cast<std::uint64_t>(number)];
    if (static_cast<std::int32_t>(wishes.size()) < group.size)
      return;
    auto mine = color;
    std::erase_if(wishes, [&](const auto& w) { return w.color != mine; });
    std::sort(wishes.begin(), wishes.end(), [](const auto& a, const auto& b) {
      return std::pair{a.key, a.rank} < std::pair{b.key, b.rank};
    });
    for (std::size_t i = 0; i < wishes.size() && color >= 0; ++i)
      if (wishes[i].rank == x.rank)
        *x.target = put(child_of(group.split_into[{static_cast<std::uint64_t>(
                                                     number),
                                                   color}],
                                 static_cast<std::int32_t>(wishes.size())),
                        static_cast<std::int32_t>(i), x.device);
    x.splitting.reset();
  }
  if (x.shrinking) {
    const auto& gone = *x.shrinking;
    auto size = group.size - static_cast<std::int32_t>(gone.size());
    if (group.shrinks[gone] < size || x.pending > 0)
      return;
    auto below = std::lower_bound(gone.begin(), gone.end(), x.rank)
                 - gone.begin();
    *x.target = put(child_of(group.shrunk_into[gone], size),
                    x.rank - static_cast<std::int32_t>(below), x.device);
    x.shrinking.reset();
  }
}

status stand_in_nccl::async_error(comm_handle comm, status& out) noexcept {
  lock guard{mutex_};
  auto x = find(comm, "async_error");
  if (!x)
    return codes::invalid_argument;
  advance(*x);
  out = state_of(*x);
  if (x->looks > 0)
    --x->looks;
  return codes::success;
}

status stand_in_nccl::state_of(const comm_state& x) const {
  if (auto broken = broken_.find(x.device); broken != broken_.end())
    return broken->second;
  auto waits = x.group->came < x.group->size || init_held_ || x.splitting
               || x.shrinking || (x.finalized && x.pending > 0) || x.looks > 0;
  return waits ? codes::in_progress : codes::success;
}

status stand_in_nccl::finalize(comm_handle comm) noexcept {
  lock guard{mutex_};
  auto code = enter("finalize");
  auto x = find(comm, "finalize");
  if (!x || code != codes::success)
    return x ? code : codes::invalid_argument;
  x->finalized = true;
  return codes::in_progress;
}

status stand_in_nccl::destroy(comm_handle comm) noexcept {
  lock guard{mutex_};
  enter("destroy");
  auto x = find(comm, "destroy");
  if (!x)
    return codes::invalid_argument;
  pause(guard, "destroy", *x);
  comms_.erase(comm);
  if (x->pending > 0 || !x->finalized)
    note("a communicator was destroyed before it was through");
  return codes::success;
}

status stand_in_nccl::abort(comm_handle comm) noexcept {
  lock guard{mutex_};
  enter("abort");
  auto x = find(comm, "abort");
  if (!x)
    return codes::invalid_argument;
  x->cancelled = true;
  changed_.notify_all();
  pause(guard, "abort", *x);
  comms_.erase(comm);
  if (!changed_.wait_for(guard, 10s, [&] { return x->pending == 0; }))
    note("kernels do not end after an abort");
  return codes::success;
}

std::int32_t stand_in_nccl::ranks_of(comm_handle comm) const {
  lock guard{mutex_};
  auto found = comms_.find(comm);
  return found == comms_.end() ? 1 : found->second->group->size;
}

// -- launching ----------------------------------------------------------------

stand_in_nccl::open_group& stand_in_nccl::here() {
  thread_local open_group out;
  return out;
}

status stand_in_nccl::group_begin() noexcept {
  ++here().depth;
  return codes::success;
}

status stand_in_nccl::group_end() noexcept {
  auto& open = here();
  if (--open.depth > 0)
    return codes::success;
  auto calls = std::exchange(open.calls, {});
  return calls.empty() ? codes::success : launch(std::move(calls));
}

status stand_in_nccl::submit(const char* function, comm_handle comm,
                             call what) noexcept {
  {
    lock guard{mutex_};
    auto code = enter(function);
    what.comm = find(comm, function);
    if (!what.comm || code != codes::success)
      return what.comm ? code : codes::invalid_argument;
    pause(guard, function, *what.comm);
  }
  what.what = function;
  if (here().depth > 0) {
    here().calls.push_back(std::move(what));
    return codes::success;
  }
  std::vector<call> alone;
  alone.push_back(std::move(what));
  return launch(std::move(alone));
}

status stand_in_nccl::launch(std::vector<call> calls) {
  auto comm = calls.front().comm;
  auto stream = calls.front().stream;
  auto name = fmt::format("nccl {}", calls.front().what);
  std::vector<memory_touch> touches;
  for (const auto& x : calls)
    touches.insert(touches.end(), x.touches.begin(), x.touches.end());
  std::uint64_t ticket = 0;
  auto late = false;
  {
    lock guard{mutex_};
    ticket = next_ticket_++;
    queues_[comm->device].push_back(ticket);
    ++launched_[comm->device];
    ++comm->pending;
    late = late_;
    comm->looks = late ? 3 : 0;
    changed_.notify_all();
  }
  // Over when the kernel is, also one that never begins: its device died.
  std::shared_ptr<void> turn{nullptr, [this, comm, ticket](void*) {
                               lock guard{mutex_};
                               std::erase(queues_[comm->device], ticket);
                               --comm->pending;
                               changed_.notify_all();
                             }};
  auto work = [this, comm, calls = std::move(calls), ticket,
               turn = std::move(turn)](const std::atomic<bool>& cancelled) {
    run(*comm, calls, ticket, cancelled);
    return comm::cuda::codes::success;
  };
  if (runtime_->enqueue(stream, name, std::move(work), std::move(touches))
      != comm::cuda::codes::success)
    return codes::unhandled_cuda_error;
  return late ? codes::in_progress : codes::success;
}

void stand_in_nccl::run(comm_state& x, const std::vector<call>& calls,
                        std::uint64_t ticket,
                        const std::atomic<bool>& cancelled) {
  lock guard{mutex_};
  // Nobody wakes us when the runtime is torn down, so it is looked at.
  auto wait = [&](auto condition) {
    while (!condition() && !x.cancelled && !cancelled)
      changed_.wait_for(guard, 10ms);
  };
  if (options_.one_kernel_at_a_time)
    wait([&] { return queues_[x.device].front() == ticket; });
  wait([&] { return broken_.count(x.device) == 0; });
  parts waiting;
  if (!x.cancelled && !cancelled)
    for (const auto& c : calls)
      waiting.push_back(c.begin(x));
  changed_.notify_all();
  wait([&] {
    return std::all_of(waiting.begin(), waiting.end(),
                       [](const part_ptr& p) { return p->done; });
  });
  for (auto& p : waiting)
    p->withdrawn = !p->done;
  changed_.notify_all();
}

stand_in_nccl::part_ptr
stand_in_nccl::join(comm_state& who, const std::string& what, part_ptr mine,
                    const std::function<void(parts&)>& compute) {
  auto& group = *who.group;
  auto number = who.next_collective++;
  auto& slot = group.collectives[number];
  if (slot.what.empty()) {
    slot.what = what;
    slot.all.resize(static_cast<std::size_t>(group.size));
  }
  slot.mismatch = slot.mismatch || slot.what != what;
  slot.all[static_cast<std::size_t>(who.rank)] = mine;
  auto ready = !slot.mismatch
               && std::all_of(slot.all.begin(), slot.all.end(),
                              [](const part_ptr& p) {
                                return p && !p->withdrawn;
                              });
  if (ready) {
    compute(slot.all);
    for (auto& p : slot.all)
      p->done = true;
    group.collectives.erase(number);
  }
  return mine;
}

stand_in_nccl::part_ptr stand_in_nccl::post(comm_state& who, std::int32_t peer,
                                            part_ptr mine, bool sending) {
  auto way = sending ? std::pair{who.rank, peer} : std::pair{peer, who.rank};
  auto& sent = who.group->sent[way];
  auto& expected = who.group->expected[way];
  (sending ? sent : expected).push_back(mine);
  if (sent.empty() || expected.empty())
    return mine;
  auto from = sent.front();
  auto to = expected.front();
  if (from->withdrawn || to->withdrawn || from->bytes != to->bytes)
    return mine;
  std::memcpy(to->out, from->in, from->bytes);
  from->done = to->done = true;
  sent.pop_front();
  expected.pop_front();
  return mine;
}

// -- memory -------------------------------------------------------------------

status stand_in_nccl::register_memory(comm_handle comm, void* memory,
                                      std::uint64_t,
                                      registration_handle& out) noexcept {
  lock guard{mutex_};
  auto code = enter("register_memory");
  auto x = find(comm, "register_memory");
  if (!x || code != codes::success)
    return x ? code : codes::invalid_argument;
  out = memory;
  x->registered[out] = true;
  return codes::success;
}

status stand_in_nccl::deregister(comm_handle comm,
                                 registration_handle what) noexcept {
  lock guard{mutex_};
  enter("deregister");
  auto x = find(comm, "deregister");
  if (x && x->registered.erase(what) > 0)
    return codes::success;
  note("something was deregistered that was not registered");
  return codes::invalid_argument;
}

} // namespace troupe::test
