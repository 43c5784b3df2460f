// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/sync_seat.hpp"

#include <algorithm>
#include <exception>

#include <fmt/core.h>

#include "troupe/actors/model/module_failure.hpp"
#include "troupe/actors/model/parameter_listing.hpp"
#include "troupe/actors/protocol/program_codec.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

namespace troupe::model {

namespace {

using comm::transfer::executor;
using comm::transfer::run_mode;

run_mode mode_of(protocol::transfer_mode x) {
  switch (x) {
    case protocol::transfer_mode::staged: return run_mode::staged;
    case protocol::transfer_mode::compare: return run_mode::compare;
    default: return run_mode::in_place;
  }
}

/// No message makes us hold more than this much of a program.
constexpr std::size_t program_bytes_max = std::size_t{1} << 30;

} // namespace

sync_seat::sync_seat(std::string name, comm::device_ptr device)
  : name_(std::move(name)),
    device_(std::move(device)) {
  // nop
}

sync_seat::~sync_seat() {
  close();
}

bool sync_seat::receives() const noexcept {
  return program_ && !program_->receives.empty();
}

void sync_seat::let_go(equipment x) const noexcept {
  // Those who took copies before it was taken out are through after this.
  { std::unique_lock wait{visits_}; }
  x.executor = nullptr;
  x.links.clear();
}

sync_seat::equipment sync_seat::take_executor() noexcept {
  return {std::exchange(executor_, nullptr), {}};
}

sync_seat::equipment sync_seat::take_all() noexcept {
  link_names_.clear();
  return {std::exchange(executor_, nullptr), std::exchange(links_, {})};
}

result<void> sync_seat::install(const protocol::install_programs& request,
                                const protocol::program_chunk& piece) {
  // A run that is left over from a preparation that failed, while others had
  // not heard of it, is of no use; aborted, it ends soon.
  std::unique_lock run{running_, std::try_to_lock};
  if (!run) {
    abort();
    if (!run.try_lock_for(std::chrono::milliseconds{request.timeout_ms}))
      return fail(errc::timed_out,
                  fmt::format("an earlier run of sync {} was given up and has "
                              "not ended",
                              name_));
  }
  std::unique_lock guard{mutex_};
  if (piece.index == 0) {
    pieces_.clear();
    next_piece_ = 0;
  }
  if (piece.index != next_piece_ || piece.index >= piece.count
      || pieces_.size() + piece.bytes.size() > program_bytes_max)
    return fail(errc::invalid,
                fmt::format("piece {} of {} of the program of sync {} does not "
                            "follow piece {}",
                            piece.index, piece.count, name_, next_piece_));
  pieces_.insert(pieces_.end(), piece.bytes.begin(), piece.bytes.end());
  if (++next_piece_ < piece.count)
    return {};
  auto program = protocol::decode_program(pieces_);
  pieces_ = {};
  next_piece_ = 0;
  if (!program)
    return fail(program.error());
  program_ = std::make_shared<const rank_program>(std::move(*program));
  options_.bytes_in_flight_max = request.buffer_bytes_max;
  options_.staged_bytes_max = request.staging_bytes_max;
  auto old = take_executor();
  guard.unlock();
  let_go(std::move(old));
  return {};
}

result<bool> sync_seat::bind(const parameter_list& parameters) {
  std::vector<comm::transfer::local_tensor> now;
  now.reserve(parameters.size());
  for (const auto& x : parameters)
    now.push_back({x.name, x.type, x.memory});
  auto on_device = is_on_device(parameters);
  if (on_device && !device_)
    return fail(errc::invalid, "the parameters lie on a device, but this "
                               "process has none");
  std::unique_lock guard{mutex_};
  auto same = std::ranges::equal(now, tensors_,
                                 [](const auto& a, const auto& b) {
                                   return a.memory.data() == b.memory.data()
                                          && a.memory.size() == b.memory.size()
                                          && a.type == b.type;
                                 });
  if (same)
    return false;
  if (busy_)
    return fail(errc::unavailable,
                fmt::format("the parameters moved while sync {} runs", name_));
  tensors_ = std::move(now);
  options_.engines = on_device ? device_->engines() : nullptr;
  auto old = take_executor();
  guard.unlock();
  auto moved = old.executor != nullptr;
  let_go(std::move(old));
  return moved;
}

// -- running -------------------------------------------------------------------

result<std::shared_ptr<executor>>
sync_seat::ready(const protocol::transfer& request, const group_table& groups) {
  std::shared_ptr<const rank_program> program;
  std::vector<comm::transfer::local_tensor> tensors;
  equipment old;
  {
    std::lock_guard guard{mutex_};
    if (closed_)
      return fail(errc::aborted, "the worker is closing");
    if (!program_)
      return fail(errc::unavailable,
                  fmt::format("sync {} was not prepared here", name_));
    if (executor_ && generation_ == request.links)
      return executor_;
    program = program_;
    tensors = tensors_;
    old = take_all();
  }
  let_go(std::move(old));
  std::vector<std::string> names;
  std::vector<comm::link_ptr> sends;
  std::vector<comm::link_ptr> receives;
  auto find = [&](rank_id source, rank_id destination,
                  std::vector<comm::link_ptr>& into) -> result<void> {
    auto name = protocol::link_name(name_, request.links, source, destination);
    auto link = groups.link(name);
    if (!link)
      return fail(errc::invalid,
                  fmt::format("link '{}' was never opened here", name));
    into.push_back(std::move(link));
    names.push_back(name);
    return {};
  };
  for (const auto& x : program->sends)
    if (auto found = find(program->rank, x.peer, sends); !found)
      return fail(found.error());
  for (const auto& x : program->receives)
    if (auto found = find(x.peer, program->rank, receives); !found)
      return fail(found.error());
  auto all = sends;
  all.insert(all.end(), receives.begin(), receives.end());
  {
    // Before anything can go wrong: whoever gives up takes them along.
    std::lock_guard guard{mutex_};
    links_ = std::move(all);
    link_names_ = std::move(names);
  }
  auto made = executor::make(*program, std::move(tensors), std::move(sends),
                             std::move(receives), options_);
  std::lock_guard guard{mutex_};
  if (!made)
    return fail(made.error());
  executor_ = std::move(*made);
  generation_ = request.links;
  if (closed_) {
    executor_->abort();
    return fail(errc::aborted, "the worker is closing");
  }
  return executor_;
}

result<std::vector<protocol::transfer_report>>
sync_seat::run(const protocol::transfer& request, const group_table& groups,
               const protocol::worker_name& self) {
  std::lock_guard run{running_};
  {
    std::lock_guard guard{mutex_};
    busy_ = true;
  }
  auto until = deadline::after(std::chrono::milliseconds{request.timeout_ms});
  auto attempt = [&]() -> result<std::shared_ptr<executor>> {
    auto engine = ready(request, groups);
    if (!engine)
      return engine;
    if (request.warm_up) {
      if (auto warm = (*engine)->warm_up(mode_of(request.mode), until); !warm)
        return fail(warm.error());
      return engine;
    }
    {
      std::lock_guard guard{mutex_};
      // Also what fails half-way tears them; and what an earlier run brought
      // was never committed.
      if (receives() && request.mode != protocol::transfer_mode::compare
          && (request.mode == protocol::transfer_mode::in_place
              || content_ == content::written))
        content_ = content::torn;
    }
    if (auto done = (*engine)->run({mode_of(request.mode),
                                    request.source_digest},
                                   until);
        !done)
      return fail(done.error());
    return engine;
  };
  // Whatever happens, the seat is given back and the peers hear of it.
  auto moved = [&]() -> result<std::shared_ptr<executor>> {
    try {
      return attempt();
    } catch (const std::exception& x) {
      auto why = failure_of(x, device_.get());
      return fail(why.within(fmt::format("sync {}", name_)));
    }
  }();
  std::unique_lock guard{mutex_};
  busy_ = false;
  if (!moved) {
    auto old = take_executor();
    auto links = links_;
    guard.unlock();
    // Nobody else may wait for a rank that has given up.
    for (auto& x : links)
      x->abort();
    let_go({std::move(old.executor), std::move(links)});
    return fail(moved.error());
  }
  if (!request.warm_up && receives()) {
    if (request.mode == protocol::transfer_mode::in_place)
      content_ = content::written;
    else if (request.mode == protocol::transfer_mode::staged
             && content_ == content::untouched)
      content_ = content::staged;
  }
  std::vector<protocol::transfer_report> out;
  for (const auto& x : (*moved)->reports()) {
    protocol::transfer_report y;
    y.from = self;
    y.peer = x.peer;
    y.rank = program_->rank;
    y.sends = x.way == comm::transfer::channel_way::send;
    y.link = x.link;
    y.bytes = x.bytes;
    y.digested = x.digested;
    y.digest_products = x.sum.products;
    y.digest_words = x.sum.words;
    y.elapsed_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(x.elapsed).count());
    if (x.first_difference)
      y.difference = to_string(*x.first_difference);
    out.push_back(std::move(y));
  }
  return out;
}

// -- what becomes of it --------------------------------------------------------

result<void> sync_seat::swap() {
  std::unique_lock run{running_, std::try_to_lock};
  std::unique_lock guard{mutex_};
  if (!run || busy_)
    return fail(errc::unavailable, fmt::format("sync {} is running", name_));
  if (!receives())
    return {};
  if (!executor_ || !executor_->holds_staged())
    return fail(errc::refused,
                fmt::format("nothing was staged by sync {}", name_));
  // Also a copy that ends early has written.
  content_ = content::torn;
  auto engine = executor_;
  guard.unlock();
  // Copies all of the weights: whoever looks in must not wait for that.
  auto done = engine->commit();
  guard.lock();
  if (done)
    content_ = content::written;
  guard.unlock();
  let_go({std::move(engine), {}});
  if (!done)
    return fail(done.error().within("sync " + name_));
  return {};
}

result<void> sync_seat::discard() {
  std::lock_guard guard{mutex_};
  if (busy_)
    return fail(errc::unavailable, fmt::format("sync {} is running", name_));
  if (executor_)
    executor_->discard();
  if (content_ == content::torn || content_ == content::written)
    return fail(errc::refused,
                fmt::format("sync {} has written to the weights", name_));
  content_ = content::untouched;
  return {};
}

result<void> sync_seat::check_whole() const {
  std::lock_guard guard{mutex_};
  if (busy_ || (receives() && content_ != content::written))
    return fail(errc::refused,
                fmt::format("the weights of sync {} are not whole", name_));
  return {};
}

void sync_seat::committed() {
  std::lock_guard guard{mutex_};
  content_ = content::untouched;
}

void sync_seat::leave(const std::string& link) {
  std::unique_lock guard{mutex_};
  if (busy_ || std::ranges::count(link_names_, link) == 0)
    return;
  auto old = take_all();
  guard.unlock();
  let_go(std::move(old));
}

// -- from outside --------------------------------------------------------------

void sync_seat::abort() noexcept {
  std::shared_lock visit{visits_};
  equipment mine;
  {
    std::lock_guard guard{mutex_};
    mine = {executor_, links_};
  }
  // Outside of the lock: a link's end may take a moment.
  if (mine.executor)
    mine.executor->abort();
  for (auto& x : mine.links)
    x->abort();
  mine = {};
}

void sync_seat::close() noexcept {
  {
    std::lock_guard guard{mutex_};
    closed_ = true;
  }
  abort();
  // An aborted run ends soon: every wait in it is woken, but for one on a device
  // that does not answer, which has the run's deadline.
  std::lock_guard run{running_};
  equipment old;
  {
    std::lock_guard guard{mutex_};
    old = take_all();
  }
  let_go(std::move(old));
}

bool sync_seat::is_busy() const noexcept {
  std::lock_guard guard{mutex_};
  return busy_;
}

std::vector<std::string> sync_seat::progress() const {
  std::shared_lock visit{visits_};
  std::shared_ptr<executor> running;
  {
    std::lock_guard guard{mutex_};
    if (busy_)
      running = executor_;
  }
  std::vector<std::string> out;
  if (!running)
    return out;
  auto now = std::chrono::steady_clock::now();
  for (const auto& x : running->progress())
    if (x.phase != comm::transfer::channel_phase::done)
      out.push_back(fmt::format("sync {}: {}", name_, to_string(x, now)));
  return out;
}

// -- the table -----------------------------------------------------------------

std::shared_ptr<sync_seat> sync_table::make(const std::string& program) {
  std::lock_guard guard{mutex_};
  if (closed_)
    return nullptr;
  for (const auto& [name, seat] : seats_)
    if (name == program)
      return seat;
  return seats_
    .emplace_back(program, std::make_shared<sync_seat>(program, device_))
    .second;
}

std::shared_ptr<sync_seat> sync_table::find(const std::string& program) const {
  std::lock_guard guard{mutex_};
  for (const auto& [name, seat] : seats_)
    if (name == program)
      return seat;
  return nullptr;
}

std::vector<std::shared_ptr<sync_seat>> sync_table::all() const {
  std::lock_guard guard{mutex_};
  std::vector<std::shared_ptr<sync_seat>> out;
  for (const auto& [name, seat] : seats_)
    out.push_back(seat);
  return out;
}

bool sync_table::is_busy(const std::string& sync,
                         const std::string& program) const {
  std::lock_guard guard{mutex_};
  return std::ranges::any_of(seats_, [&](const auto& x) {
    return x.first != program && protocol::is_program_of(x.first, sync)
           && x.second->is_busy();
  });
}

bool sync_table::is_busy() const {
  std::lock_guard guard{mutex_};
  return std::ranges::any_of(seats_,
                             [](const auto& x) { return x.second->is_busy(); });
}

void sync_table::committed(const std::string& sync) {
  std::lock_guard guard{mutex_};
  for (const auto& [name, seat] : seats_)
    if (protocol::is_program_of(name, sync))
      seat->committed();
}

void sync_table::abort() noexcept {
  for (const auto& x : all())
    x->abort();
}

void sync_table::clear() noexcept {
  for (const auto& x : all())
    x->close();
  decltype(seats_) old;
  std::lock_guard guard{mutex_};
  old.swap(seats_);
}

void sync_table::close() noexcept {
  {
    std::lock_guard guard{mutex_};
    closed_ = true;
  }
  clear();
}

} // namespace troupe::model
