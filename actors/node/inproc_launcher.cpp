// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/inproc_launcher.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <unistd.h>

#include "troupe/actors/node/process_info.hpp"

namespace troupe::node {

inproc_launcher::inproc_launcher(caf::actor_system& system, std::string job,
                                 model::host_services services,
                                 worker_threads threads)
  : system_(system),
    job_(std::move(job)),
    services_(services),
    threads_(threads) {
  // nop
}

void inproc_launcher::report_to(protocol::node_actor node) {
  node_ = std::move(node);
}

result<std::int32_t> inproc_launcher::launch(const protocol::host_name& name,
                                             std::int32_t cuda_device) {
  if (cuda_device >= 0)
    return fail(errc::invalid,
                "hosts inside the driver's own process have no GPU");
  auto services = services_;
  services.host = name;
  auto control = system_.spawn<host>(services, threads_,
                                     std::function<void()>{});
  protocol::host_hello hello;
  hello.job = job_;
  hello.build = build_id();
  hello.host = name;
  hello.pid = ::getpid();
  hello.control = control;
  caf::anon_send(node_, std::move(hello));
  return ::getpid();
}

result<void> inproc_launcher::kill(const protocol::host_name&) {
  return fail(errc::unavailable,
              "hosts inside the driver's own process end with it");
}

void inproc_launcher::close(deadline) {
  // The hosts have ended with their shut_down; the handle would keep the node
  // alive.
  node_ = protocol::node_actor{};
}

} // namespace troupe::node
