// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/node_command.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include <fmt/chrono.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/net/certificates.hpp"
#include "troupe/actors/node/gpu_probe.hpp"
#include "troupe/actors/node/node_process.hpp"
#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/core/log.hpp"

namespace troupe::app_command {

namespace {

constexpr int exit_bad_input = 2;

/// Between the crash of a node process and the next one.
constexpr timespec crash_pause{1, 0};

int refuse(const error& why) {
  console::complain(why.message());
  return exit_bad_input;
}

void tell(std::string_view text) {
  auto now = std::chrono::system_clock::now();
  fmt::print("{:%H:%M:%S} node: {}\n", fmt::localtime(now), text);
  std::fflush(stdout);
}

result<node::node_process_settings> settings_of(const node_arguments& args) {
  node::node_process_settings x;
  auto listen = net::parse_endpoint(args.listen);
  if (!listen)
    return fail(listen.error().within("--listen"));
  x.listen = *listen;
  if (!args.certs.empty()) {
    auto identity = net::tls_identity::load(args.certs);
    if (!identity)
      return fail(identity.error().within("--certs"));
    x.identity = std::move(*identity);
  }
  auto devices = config::parse_devices(args.devices);
  if (!devices)
    return fail(devices.error());
  if (devices->kind == config::device_kind::inproc)
    return fail(errc::invalid, "a node's devices are processes; use --devices "
                               "cpu:N or cuda");
  devices = config::name_devices(*devices, [] { return node::find_gpus(); });
  if (!devices)
    return fail(devices.error());
  x.devices = std::move(*devices);
  std::error_code problem;
  x.log_dir = std::filesystem::absolute(args.log_dir, problem);
  if (!problem)
    std::filesystem::create_directories(x.log_dir, problem);
  if (problem)
    return fail(errc::refused, fmt::format("--log-dir: cannot make {}: {}",
                                           args.log_dir, problem.message()));
  x.debug = args.debug;
  x.tell = tell;
  return x;
}

/// The life of one job's process. Does not return.
[[noreturn]] void serve(const node::node_process_settings& settings,
                        pid_t parent) {
  // Ctrl-C is for the parent to hear and to pass on.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(static_cast<int>(node::node_end::refused));
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_UNBLOCK, &children, nullptr);
  auto end = node::run_node_process(settings);
  log::close();
  std::fflush(nullptr);
  ::_exit(static_cast<int>(end));
}

/// True if a signal comes in that time.
bool told_to_stop(const timespec& time) {
  auto set = process::ending_signals();
  return ::sigtimedwait(&set, nullptr, &time) > 0;
}

/// Waits for the process to end and hands signals on: the first in good order,
/// the second at once. Returns how it ended, as waitpid has it.
int wait_for(pid_t child, bool& stopped) {
  auto set = process::ending_signals();
  sigaddset(&set, SIGCHLD);
  auto has_asked = false;
  for (;;) {
    auto signal = ::sigwaitinfo(&set, nullptr);
    if (signal > 0 && signal != SIGCHLD) {
      // That the terminal is gone may be told twice, beside another signal.
      auto asked = signal != SIGHUP;
      if (asked || !stopped)
        ::kill(child, asked && has_asked ? SIGKILL : SIGTERM);
      has_asked = has_asked || asked;
      stopped = true;
      continue;
    }
    int status = 0;
    auto got = ::waitpid(child, &status, WNOHANG);
    if (got == child)
      return status;
    if (got < 0 && errno == ECHILD)
      return 0;
  }
}

} // namespace

int run_node(const node_arguments& args) {
  auto settings = settings_of(args);
  if (!settings)
    return refuse(settings.error());
  auto log_file = settings->log_dir / "node.log";
  if (auto opened = log::open({log_file.string(), "node", log::level::info});
      !opened)
    return refuse(opened.error());
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &children, nullptr);
  auto stopped = false;
  for (;;) {
    std::fflush(nullptr);
    auto parent = ::getpid();
    auto child = ::fork();
    if (child < 0)
      return refuse({errc::exhausted, "no process left"});
    if (child == 0)
      serve(*settings, parent);
    auto status = wait_for(child, stopped);
    if (stopped) {
      tell("stopped");
      return 0;
    }
    auto code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == static_cast<int>(node::node_end::refused))
      return exit_bad_input;
    auto good = code == static_cast<int>(node::node_end::job_over);
    if (!good)
      tell(WIFSIGNALED(status)
             ? fmt::format("the node process was killed by signal {}; another "
                           "one takes its place",
                           WTERMSIG(status))
             : fmt::format("the node process ended with code {}; another one "
                           "takes its place",
                           code));
    if (args.once)
      return good ? 0 : 1;
    if (!good && told_to_stop(crash_pause))
      return 0;
  }
}

int make_certs(const certs_arguments& args) {
  if (!args.sign.empty()) {
    auto made = net::sign_certificate(args.folder, args.sign, args.names);
    if (!made)
      return refuse(made.error());
    fmt::
      print("Made {0}/{1}/ca.pem, node.pem and node.key, good for a year.\n\n"
            "Copy these three to {1} alone; the job's other machines let it "
            "in.\n",
            args.folder, args.sign);
    return 0;
  }
  auto made = net::make_certificates(args.folder, args.names);
  if (!made)
    return refuse(made.error());
  fmt::print("Made {0}/ca.pem, node.pem and node.key, good for a year.\n\n"
             "Copy these three to every machine of the job (the keys are for "
             "your eyes\nalone), then\n"
             "  node --listen ADDRESS:4100 --certs {0}\n"
             "  run my.yaml --nodes ADDRESS:4100,... --certs {0}\n\n"
             "{0}/ca.key signs more certificates (certs {0} --sign MACHINE); "
             "keep it where\nno job runs.\n",
             args.folder);
  return 0;
}

} // namespace troupe::app_command
