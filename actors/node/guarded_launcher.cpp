// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/guarded_launcher.hpp"

#include <charconv>
#include <csignal>
#include <mutex>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <fmt/core.h>

#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/log.hpp"

namespace troupe::node {

namespace {

/// How long a program may take to start.
constexpr auto spawn_timeout = std::chrono::seconds{10};

template <class T>
bool read_number(const std::string& text, T& value) {
  auto* end = text.data() + text.size();
  auto [at, code] = std::from_chars(text.data(), end, value);
  return code == std::errc{} && at == end;
}

} // namespace

std::vector<std::string> to_argv(const host_arguments& x) {
  return {x.app,
          x.job,
          std::to_string(x.host.node.value()),
          std::to_string(x.host.slot),
          std::to_string(x.host.life.value()),
          std::to_string(x.node_port),
          std::to_string(x.num_threads),
          std::to_string(x.store_bytes_max),
          x.log_path,
          x.log_level,
          x.address,
          std::to_string(x.cuda_device)};
}

result<host_arguments>
parse_host_arguments(const std::vector<std::string>& args) {
  host_arguments x;
  std::int32_t node = 0;
  std::uint32_t life = 0;
  if (args.size() != 12 || !read_number(args[2], node)
      || !read_number(args[3], x.host.slot) || !read_number(args[4], life)
      || !read_number(args[5], x.node_port)
      || !read_number(args[6], x.num_threads)
      || !read_number(args[7], x.store_bytes_max)
      || !read_number(args[11], x.cuda_device))
    return fail(errc::invalid, "this verb is for Troupe's guard alone");
  x.app = args[0];
  x.job = args[1];
  x.host.node = node_id{node};
  x.host.life = incarnation{life};
  x.log_path = args[8];
  x.log_level = args[9];
  x.address = args[10];
  return x;
}

guarded_launcher::guarded_launcher(process::guard_client& guard,
                                   process::peer_mesh& mesh,
                                   host_arguments common,
                                   std::filesystem::path log_dir)
  : guard_(guard),
    mesh_(mesh),
    common_(std::move(common)),
    log_dir_(std::move(log_dir)) {
  // nop
}

void guarded_launcher::report_to(protocol::node_actor node,
                                 std::uint16_t node_port) {
  common_.node_port = node_port;
  // A weak handle: the guard's thread must not keep the node alive.
  auto address = caf::actor_cast<caf::actor_addr>(node);
  auto tell = [address](protocol::host_exited x) {
    if (auto target = caf::actor_cast<protocol::node_actor>(address))
      caf::anon_send(target, std::move(x));
  };
  auto id = common_.host.node;
  guard_.listen(
    [tell, id](const process::host_exit& x) {
      tell({{id, x.slot, x.incarnation}, x.pid, x.describe()});
    },
    [&guard = guard_, tell, id] {
      // Its hosts die with it; that they did is what people need to know.
      log::error("node", "the guard process is gone");
      tell({{id, process::node_slot, incarnation{}},
            0,
            guard.overslept()
              ? "ended because the process that started them stood still for "
                "longer than runtime.driver_grace_ms"
              : "ended because the guard process is gone"});
    },
    &mesh_);
}

result<std::int32_t> guarded_launcher::launch(const protocol::host_name& host,
                                              std::int32_t cuda_device) {
  auto arguments = common_;
  arguments.host = host;
  arguments.cuda_device = cuda_device;
  arguments.log_path = (log_dir_ / fmt::format("host-{}.log", host.slot))
                         .string();
  process::host_command command;
  command.slot = host.slot;
  command.incarnation = host.life;
  command.argv = {"troupe-host", host_verb};
  for (auto& x : to_argv(arguments))
    command.argv.push_back(std::move(x));
  command.env = {fmt::format("OMP_NUM_THREADS={}", arguments.num_threads),
                 "OPENBLAS_NUM_THREADS=1"};
  command.log_path = arguments.log_path;
  auto started = guard_.spawn(command, deadline::after(spawn_timeout));
  if (!started)
    return fail(started.error());
  return started->pid;
}

result<void> guarded_launcher::kill(const protocol::host_name& host) {
  return guard_.kill(host.slot, SIGKILL);
}

void guarded_launcher::close(deadline until) {
  if (auto done = guard_.close(until); !done)
    log::warning("node", "closing the guard: {}", to_string(done.error()));
}

} // namespace troupe::node
