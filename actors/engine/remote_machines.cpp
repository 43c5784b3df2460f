// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/remote_machines.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <caf/send.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/actors/checkpoint/shared_folder.hpp"
#include "troupe/actors/engine/node_joiner.hpp"
#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/gate.hpp"
#include "troupe/actors/net/pulse_link.hpp"
#include "troupe/actors/net/socket_address.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/process/host_types.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

using std::chrono::milliseconds;

/// Nodes that are joined at a time.
constexpr std::size_t threads_max = 32;

/// How long one node may take to answer.
constexpr auto answer_max = std::chrono::seconds{10};

/// How often a node's lateness is told at most.
constexpr auto lag_interval = std::chrono::seconds{10};

/// How long the address of a node that was lost may take to answer. Short: who
/// waits for it wants to hear of Ctrl-C meanwhile.
constexpr auto probe_max = milliseconds{500};

/// Runs `task(i)` for every i below `count` on a few threads.
template <class F>
void for_each_side_by_side(std::size_t count, F task) {
  std::atomic<std::size_t> next = 0;
  auto work = [&] {
    for (auto i = next++; i < count; i = next++)
      task(i);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min(count, threads_max); ++i)
    threads.emplace_back(work);
  work();
  for (auto& x : threads)
    x.join();
}

/// What every machine reaches must not be a loopback address unless all are
/// this machine.
result<void> check_reach(const std::vector<net::endpoint>& gates) {
  auto local = std::ranges::count_if(gates, net::is_loopback);
  if (local == 0 || static_cast<std::size_t>(local) == gates.size())
    return {};
  auto i = std::ranges::find_if(gates, net::is_loopback);
  return fail(errc::invalid,
              fmt::
                format("--nodes: {} is an address that other machines cannot "
                       "reach; give the one they know this machine by",
                       to_string(*i)));
}

} // namespace

struct remote_machines::impl {
  /// A node on its way to be ours.
  struct machine {
    std::unique_ptr<net::pulse_link> pulses;
    std::atomic<bool> lost = false;
    result<joined_node> joined = fail(errc::internal, "not asked");
    /// Until then its lateness is known. The pulses' thread alone.
    deadline told_late = deadline::after(duration::zero());
  };

  caf::actor_system& system;
  remote_settings settings;
  protocol::error_signal_actor errors;
  net::job_key key;
  node_joiner joiner;
  std::unique_ptr<net::gate> gate;
  protocol::job_address_book book;
  std::vector<machine> machines;
  std::vector<protocol::joined> all;
  std::shared_ptr<std::atomic<bool>>
    watching = std::make_shared<std::atomic<bool>>(true);

  impl(caf::actor_system& sys, remote_settings x,
       protocol::error_signal_actor errors_to, const net::job_key& job_key)
    : system(sys),
      settings(std::move(x)),
      errors(std::move(errors_to)),
      key(job_key),
      joiner(sys, settings.identity),
      machines(settings.gates.size()) {
    // nop
  }

  // -- the driver's own gate --------------------------------------------------

  /// Nodes fetch the driver's batches at the address from which it reaches them.
  result<void> open_gate(process::batch_store& store) {
    auto socket = net::dial(settings.gates.front());
    if (!socket)
      return fail(socket.error());
    net::gate_settings config;
    config.listen = net::socket_address::of_socket(socket->get()).to_endpoint();
    config.listen.port = 0;
    config.tls = settings.identity;
    auto opened = net::gate::start(config);
    if (!opened)
      return fail(opened.error());
    gate = std::move(*opened);
    gate->admit(settings.job, key);
    gate->serve([&store](std::int32_t slot, incarnation, buffer_id id,
                         deadline) -> result<process::exported_file> {
      if (slot != process::node_slot)
        return fail(errc::unavailable, "the driver has no such process");
      return store.export_file(id);
    });
    return {};
  }

  // -- joining (threads) ------------------------------------------------------

  [[nodiscard]] protocol::join_job
  request(std::size_t i, const checkpoint::shared_folder_mark* mark) const {
    protocol::join_job x;
    x.build = node::build_id();
    x.job = settings.job;
    x.app = settings.app;
    x.node = node_id{static_cast<std::int32_t>(i)};
    x.book = book;
    x.errors = errors;
    x.store_bytes_max = settings.store_bytes_max;
    x.log_level = settings.log_level;
    x.pulse_ms = static_cast<std::uint32_t>(settings.pulse.count());
    x.pulse_timeout_ms = static_cast<std::uint32_t>(
      settings.pulse_timeout.count());
    x.driver_grace_ms = static_cast<std::uint32_t>(
      settings.driver_grace.count());
    x.core_grace_ms = static_cast<std::uint32_t>(settings.core_grace.count());
    x.debug = settings.debug;
    if (mark)
      x.checkpoints = {mark->file().string(), mark->token(),
                       settings.writes_checkpoints};
    return x;
  }

  /// While the object lives nodes can tell whether they share the folder of
  /// checkpoints; null if there are none.
  result<std::unique_ptr<checkpoint::shared_folder_mark>> leave_mark() {
    if (settings.checkpoint_dir.empty())
      return nullptr;
    auto made = checkpoint::shared_folder_mark::leave(settings.checkpoint_dir);
    if (!made)
      return fail(made.error());
    return std::make_unique<checkpoint::shared_folder_mark>(std::move(*made));
  }

  result<void> join_all() {
    auto mark = leave_mark();
    if (!mark)
      return fail(mark.error());
    for_each_side_by_side(machines.size(), [&](std::size_t i) {
      machines[i].joined = joiner.join(settings.gates[i],
                                       request(i, mark->get()),
                                       settings.join_max);
    });
    std::vector<std::string> problems;
    auto code = errc::unavailable;
    for (std::size_t i = 0; i < machines.size(); ++i)
      if (!machines[i].joined) {
        const auto& why = machines[i].joined.error();
        code = why.code();
        problems.push_back(why.within(to_string(settings.gates[i])).message());
      }
    if (!problems.empty())
      return fail(code, fmt::format("{}", fmt::join(problems, "\n")));
    for (auto& x : machines)
      all.push_back(x.joined->answer);
    return {};
  }

  // -- watching ---------------------------------------------------------------

  result<void> join_again(std::size_t i) {
    auto& x = machines[i];
    x.pulses.reset();
    x.joined = fail(errc::lost, "not joined again");
    auto mark = leave_mark();
    if (!mark)
      return fail(mark.error());
    auto reached = net::dial(settings.gates[i], deadline::after(probe_max));
    if (!reached)
      return fail(reached.error());
    x.joined = joiner.try_join(settings.gates[i], request(i, mark->get()));
    if (!x.joined)
      return fail(x.joined.error());
    // Its pulses may say otherwise from now on.
    x.lost = false;
    all[i] = x.joined->answer;
    auto watched = watch(i);
    if (!watched)
      x.lost = true;
    return watched;
  }

  [[nodiscard]] std::string name_of(std::size_t i) const {
    return fmt::format("node {} ({}, {})", i, to_string(settings.gates[i]),
                       all[i].machine);
  }

  [[nodiscard]] protocol::error_report report(std::size_t i,
                                              std::string what) const {
    protocol::error_report x;
    x.node = node_id{static_cast<std::int32_t>(i)};
    x.message = fmt::format("{} {}", name_of(i), what);
    return x;
  }

  void tell_lost(std::size_t i, std::string what) const {
    auto x = report(i, std::move(what));
    x.code = errc::lost;
    x.operation = "process";
    log::error("driver", "{}", x.message);
    caf::anon_send(errors, x);
  }

  void tell_late(std::size_t i, milliseconds late) {
    auto& last = machines[i].told_late;
    if (!last.passed())
      return;
    last = deadline::after(lag_interval);
    auto x = report(i, fmt::format("gave a sign of life {} ms late: it, or the "
                                   "network between, is short of time",
                                   late.count()));
    x.level = protocol::severity::warning;
    x.code = errc::timed_out;
    x.operation = "pulse";
    log::warning("driver", "{}", x.message);
    caf::anon_send(errors, x);
  }

  result<void> watch(std::size_t i) {
    net::pulse_settings config;
    config.pulse = settings.pulse;
    config.timeout = settings.pulse_timeout;
    config.lag = settings.node_lag;
    auto& machine = machines[i];
    net::pulse_listener listener;
    listener.on_silent = [this, i, &machine,
                          on = watching](milliseconds silent) {
      machine.lost = true;
      if (*on)
        tell_lost(i,
                  fmt::
                    format("has given no sign of life for {} ms: it is frozen, "
                           "or the network between is down",
                           silent.count()));
    };
    listener.on_heard = [i, &machine] {
      machine.lost = false;
      log::info("driver", "node {} is back", i);
    };
    listener.on_closed = [this, i, &machine, on = watching] {
      machine.lost = true;
      if (*on)
        tell_lost(i, "is gone: its process has ended");
    };
    listener.on_late = [this, i, on = watching](milliseconds late) {
      if (*on)
        tell_late(i, late);
    };
    auto link = net::pulse_link::dial(settings.gates[i], settings.job, key,
                                      config, std::move(listener),
                                      deadline::after(answer_max));
    if (!link)
      return fail(link.error().within(to_string(settings.gates[i])));
    machine.pulses = std::move(*link);
    return {};
  }
};

result<std::unique_ptr<remote_machines>> remote_machines::join(
  caf::actor_system& system, const remote_settings& settings,
  const protocol::error_signal_actor& errors, process::batch_store& store,
  node::remote_batches& batches) {
  if (auto sound = check_reach(settings.gates); !sound)
    return fail(sound.error());
  auto key = net::job_key::make();
  if (!key)
    return fail(key.error());
  auto x = std::make_unique<impl>(system, settings, errors, *key);
  if (auto opened = x->open_gate(store); !opened)
    return fail(opened.error());
  for (const auto& gate : settings.gates)
    x->book.nodes.push_back(to_string(gate));
  x->book.driver = to_string(x->gate->bound());
  x->book.key = node::to_payload(*key);
  if (auto known = batches.learn(settings.job, x->book); !known)
    return fail(known.error());
  if (auto joined = x->join_all(); !joined)
    return fail(joined.error());
  for (std::size_t i = 0; i < x->machines.size(); ++i)
    if (auto watched = x->watch(i); !watched)
      return fail(watched.error());
  return std::unique_ptr<remote_machines>{new remote_machines{std::move(x)}};
}

remote_machines::remote_machines(std::unique_ptr<impl> x)
  : impl_(std::move(x)) {
  // nop
}

remote_machines::~remote_machines() {
  stop_watching();
}

const std::vector<protocol::joined>& remote_machines::all() const noexcept {
  return impl_->all;
}

bool remote_machines::lost(std::size_t node) const noexcept {
  return impl_->machines[node].lost;
}

std::string remote_machines::name_of(std::size_t node) const {
  return impl_->name_of(node);
}

result<void> remote_machines::join_again(std::size_t node) {
  return impl_->join_again(node);
}

void remote_machines::stop_watching() {
  *impl_->watching = false;
}

} // namespace troupe::engine
