// SPDX-License-Identifier: Apache-2.0
#include "actors/process/harness.hpp"

#include <atomic>
#include <climits>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

namespace process_test {

using namespace troupe;
using namespace troupe::process;

std::string host_program() {
  char self[PATH_MAX];
  auto size = ::readlink("/proc/self/exe", self, sizeof(self));
  std::string path{self, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  return fmt::format("{}/test_process_host",
                     path.substr(0, path.find_last_of('/')));
}

std::string fresh_job_id() {
  static std::atomic<int> count = 0;
  return fmt::format("test-{}-{}", ::getpid(), ++count);
}

node_harness::node_harness(std::string job_id, duration pulse_timeout,
                           bool told_later, const guard_change& change)
  : job_id_(std::move(job_id)) {
  guard_settings config;
  config.pulse = pulse_timeout / 10;
  config.pulse_timeout = pulse_timeout;
  config.node_grace = 3 * pulse_timeout;
  config.job_id = job_id_;
  config.executable = host_program();
  if (change)
    change(config);
  guard_settings unknown;
  unknown.job_id = fresh_job_id();
  unknown.executable = config.executable;
  auto started = guard_client::start(told_later ? unknown : config);
  if (!started)
    throw std::runtime_error{to_string(started.error())};
  guard = std::move(*started);
  if (told_later)
    if (auto told = guard->begin_job(config); !told)
      throw std::runtime_error{to_string(told.error())};
  mesh_owner = std::make_unique<peer_mesh>(node_slot);
  mesh = mesh_owner.get();
  guard->listen(
    [this](const host_exit& x) {
      std::lock_guard lock{mutex};
      exits.push_back(x);
      changed.notify_all();
    },
    [this] {
      std::lock_guard lock{mutex};
      lost = true;
      changed.notify_all();
    },
    mesh);
}

node_harness::~node_harness() {
  guard.reset();
}

result<host_process> node_harness::start(std::int32_t slot,
                                         std::uint32_t life) {
  host_command command;
  command.slot = slot;
  command.incarnation = incarnation{life};
  command.argv = {"test_process_host", "serve"};
  auto process = guard->spawn(command, soon());
  if (!process)
    return process;
  auto ends = make_socket_pair();
  if (!ends)
    return fail(ends.error());
  if (auto ok = mesh->send_fd(slot, incarnation{life}, "control",
                              ends->second.get(), soon());
      !ok)
    return fail(ok.error());
  controls_[slot] = std::move(ends->first);
  return process;
}

incoming node_harness::call(std::int32_t slot, const bytes& x) {
  tell(slot, x);
  return receive(controls_.at(slot), soon());
}

void node_harness::tell(std::int32_t slot, const bytes& x) {
  send_message(controls_.at(slot).get(), x);
}

std::optional<host_exit> node_harness::next_exit(deadline until) {
  std::unique_lock lock{mutex};
  if (!changed.wait_for(lock, until.left(), [this] { return !exits.empty(); }))
    return std::nullopt;
  auto x = exits.front();
  exits.erase(exits.begin());
  return x;
}

bool node_harness::guard_lost(deadline until) {
  std::unique_lock lock{mutex};
  return changed.wait_for(lock, until.left(), [this] { return lost; });
}

bool freeze(int pid) {
  ::kill(pid, SIGSTOP);
  auto stopped = [pid] {
    std::error_code ignored;
    for (const auto& thread :
         std::filesystem::directory_iterator{fmt::format("/proc/{}/task", pid),
                                             ignored}) {
      std::ifstream in{thread.path() / "stat"};
      std::string text;
      std::getline(in, text);
      auto at = text.rfind(") ");
      if (at == std::string::npos || text[at + 2] != 'T')
        return false;
    }
    return true;
  };
  // The kernel tells nobody but a parent.
  auto until = soon();
  while (!stopped() && !until.passed())
    std::this_thread::yield();
  return !until.passed();
}

bytes put_order(std::int64_t rows, std::uint64_t scope) {
  bytes x;
  encoder out{x};
  out.put(static_cast<std::uint8_t>(order::put));
  out.put(rows);
  out.put(scope);
  return x;
}

bytes get_order(const batch_part& part) {
  bytes x;
  encoder out{x};
  out.put(static_cast<std::uint8_t>(order::get));
  put(out, part);
  return x;
}

bytes simple_order(order what, std::uint64_t argument) {
  bytes x;
  encoder out{x};
  out.put(static_cast<std::uint8_t>(what));
  out.put(argument);
  return x;
}

} // namespace process_test
