// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/host_main.hpp"

#include <cstdio>
#include <future>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/host.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/node/remote_batches.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/crash_stack.hpp"
#include "troupe/actors/process/host_side.hpp"
#include "troupe/actors/process/last_words.hpp"
#include "troupe/comm/devices/factory.hpp"
#include "troupe/core/log.hpp"

namespace troupe::node {

namespace {

/// For finding the node, and for its answer.
constexpr auto hello_timeout = std::chrono::seconds{10};

log::level level_of(const std::string& name) {
  if (name == "debug")
    return log::level::debug;
  if (name == "warning")
    return log::level::warning;
  if (name == "error")
    return log::level::error;
  return log::level::info;
}

/// The guard appends our stderr to the log.
int give_up(const error& why) {
  fmt::print(stderr, "troupe host: {}\n", to_string(why));
  return 1;
}

/// A host whose GPU does not start serves all the same: its workers say why they
/// cannot.
void start_device(const host_arguments& args, model::host_services& services) {
  if (args.cuda_device < 0)
    return;
  if (auto made = comm::devices::make_device(args.cuda_device); made)
    services.device = std::move(*made);
  else
    services.device_failure = fmt::format("cuda:{} cannot be used: {}",
                                          args.cuda_device,
                                          made.error().message());
}

result<protocol::node_actor> find_node(caf::actor_system& system,
                                       std::uint16_t port) {
  auto find = [&] {
    return system.middleman().remote_actor<protocol::node_actor>("127.0.0.1",
                                                                 port);
  };
  auto until = deadline::after(hello_timeout);
  auto node = find();
  // However many of CAF's ticks the node sleeps through.
  while (!node && protocol::is_dropped_early(protocol::from_caf(node.error()))
         && !until.passed())
    node = find();
  if (!node)
    return fail(protocol::from_caf(node.error()).within("finding the node"));
  return *node;
}

/// Serves until the host is shut down. Fails if nobody has done that.
result<void> serve(caf::actor_system& system, const host_arguments& args,
                   const model::host_services& services,
                   remote_batches& remote) {
  auto found = find_node(system, args.node_port);
  if (!found)
    return fail(found.error());
  auto node = *found;
  caf::scoped_actor self{system};
  auto control = self->spawn<host>(services, worker_threads::own,
                                   std::function<void()>{});
  self->monitor(node);
  self->monitor(control);
  protocol::host_hello hello;
  hello.job = args.job;
  hello.build = build_id();
  hello.host = args.host;
  hello.pid = ::getpid();
  hello.control = control;
  if (!args.address.empty()) {
    // The machine's gate leads others here.
    auto port = system.middleman().publish(control, 0, "127.0.0.1");
    if (!port)
      return fail(protocol::from_caf(port.error()).within("opening a port"));
    hello.port = *port;
  }
  result<void> welcomed;
  self->request(node, hello_timeout, std::move(hello))
    .receive(
      [&](const protocol::host_welcome& x) {
        if (!x.book.nodes.empty())
          welcomed = remote.learn(args.job, x.book);
      },
      [&](caf::error& x) { welcomed = fail(protocol::from_caf(x)); });
  if (!welcomed)
    return fail(welcomed.error().within("reporting to the node"));
  log::info(to_string(args.host), "serves as process {}", ::getpid());
  result<void> ended;
  // Waits for as long as the job runs: ends when node or host go down, and the
  // guard ends this process if it cannot.
  self->receive([&](caf::down_msg& x) {
    if (x.source != control.address())
      ended = fail(errc::lost, "the node is gone");
    else if (x.reason && x.reason != caf::exit_reason::normal)
      ended = fail(protocol::from_exit_reason(x.reason).within("its actor"));
  });
  return ended;
}

} // namespace

int host_main(const module_registry& registry,
              const std::vector<std::string>& raw,
              const std::function<void(int)>& prepare) {
  auto args = parse_host_arguments(raw);
  if (!args)
    return give_up(args.error());
  process::write_stack_on_crash();
  process::say_what_ran_out(process::last_act::as_before);
  // The log is a file: what a module prints would lie in a buffer and be lost
  // with the process.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  std::string network;
  if (args->cuda_device >= 0)
    network = comm::devices::prepare_process(args->log_path + ".nccl",
                                             args->address);
  auto side = process::host_side::from_environment();
  if (!side)
    return give_up(side.error());
  if (auto opened = log::open({args->log_path,
                               fmt::format("host-{}", args->host.slot),
                               level_of(args->log_level)});
      !opened)
    return give_up(opened.error());
  if (!network.empty())
    log::info(to_string(args->host), "{}", network);
  if (prepare)
    prepare(args->num_threads);
  process::store_settings store_config;
  store_config.bytes_max = args->store_bytes_max;
  store_config.node = args->host.node;
  store_config.slot = args->host.slot;
  store_config.incarnation = args->host.life;
  remote_batches remote;
  process::batch_store store{store_config, &(*side)->mesh(), &remote};
  comm::inproc::hub hub;
  model::host_services services{args->host, &registry,        &store,
                                &hub,       &(*side)->mesh(), args->address};
  start_device(*args, services);
  system_config config;
  caf::actor_system system{config};
  auto served = serve(system, *args, services, remote);
  auto code = 0;
  if (!served) {
    log::error(to_string(args->host), "{}", to_string(served.error()));
    code = give_up(served.error());
  }
  log::close();
  std::fflush(nullptr);
  // Modules are destroyed; a worker that is stuck must not keep the process.
  ::_exit(code);
}

} // namespace troupe::node
