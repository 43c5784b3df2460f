// SPDX-License-Identifier: Apache-2.0
#include "apps/faulty/fault.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

namespace troupe::test {

namespace {

/// What a process may still take once it is short of memory.
constexpr std::size_t spare_bytes = 32u << 20;

/// Takes memory until there is none, as a leak in a limited process would.
void exhaust_memory() {
  std::ifstream in{"/proc/self/statm"};
  std::size_t pages = 0;
  in >> pages;
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))
                   + spare_bytes;
  ::setrlimit(RLIMIT_AS, &limit);
  std::vector<std::unique_ptr<char[]>> kept;
  for (;;)
    kept.push_back(std::make_unique<char[]>(1u << 20));
}

/// Blocks until a byte comes; false if there is no such FIFO.
bool wait_for_byte(const std::string& fifo) {
  auto fd = ::open(fifo.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  char byte = 0;
  auto got = ::read(fd, &byte, 1);
  ::close(fd);
  return got == 1;
}

/// True for the first that asks for this file, in whatever process.
bool first_at(const std::string& file) {
  auto fd = ::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0)
    return false;
  ::close(fd);
  return true;
}

} // namespace

std::vector<option_spec> fault::options() {
  return {{"fault_phase", std::string{}, "where something goes wrong"},
          {"fault_action", std::string{}, "what goes wrong"},
          {"fault_replica", std::int64_t{0}, "in which replica"},
          {"fault_rank", std::int64_t{0}, "in which rank"},
          {"fault_nth", std::int64_t{0}, "at which time only, counted from 1"},
          {"fault_once", std::string{}, "a file: only whoever makes it fails"},
          {"fault_while", std::string{}, "a file: only while it is there"},
          {"fault_order", std::string{},
           "a FIFO: a thread of the module's fails when a byte comes"},
          {"fault_fifo", std::string{}, "where the worker says so before"}};
}

fault::fault(const worker_context& ctx)
  : phase_(ctx.config().string("fault_phase")),
    action_(ctx.config().string("fault_action")),
    fifo_(ctx.config().string("fault_fifo")),
    once_(ctx.config().string("fault_once")),
    while_(ctx.config().string("fault_while")),
    worker_(fmt::format("{}/{}/{}", ctx.model(), ctx.replica().value(),
                        ctx.rank().value())),
    nth_(ctx.config().integer("fault_nth")),
    mine_(ctx.config().integer("fault_replica") == ctx.replica().value()
          && ctx.config().integer("fault_rank") == ctx.rank().value()) {
  auto order = ctx.config().string("fault_order");
  if (!mine_ || order.empty())
    return;
  // Nobody joins it: it ends with the process, mostly by ending it.
  std::thread{[=, action = action_, fifo = fifo_, worker = worker_] {
    if (!wait_for_byte(order))
      return;
    say(fifo, worker, "order");
    act(action, "order");
  }}.detach();
}

fault fault::of_driver() {
  fault out;
  const auto* given = std::getenv("FAULTY_DRIVER");
  if (!given)
    return out;
  std::istringstream in{given};
  in >> out.phase_ >> out.action_ >> out.nth_ >> out.fifo_;
  out.worker_ = "driver";
  out.mine_ = true;
  return out;
}

void fault::reach(std::string_view phase) {
  if (!mine_ || phase != phase_)
    return;
  ++times_;
  if (nth_ > 0 && times_ != nth_)
    return;
  if (!while_.empty() && ::access(while_.c_str(), F_OK) != 0)
    return;
  if (!once_.empty() && !first_at(once_))
    return;
  if (action_ == "hold")
    return hold(fifo_, worker_, phase);
  if (!fifo_.empty())
    say(fifo_, worker_, phase);
  act(action_, phase);
}

void act(std::string_view action, std::string_view phase) {
  if (action == "throw")
    throw std::runtime_error(fmt::format("the {} broke on purpose", phase));
  if (action == "starve")
    throw std::bad_alloc{};
  if (action == "slow")
    ::poll(nullptr, 0, 400);
  if (action == "exit0")
    std::_Exit(0);
  if (action == "exit3")
    std::_Exit(3);
  if (action == "quit0")
    std::exit(0);
  if (action == "quit1")
    std::exit(1);
  if (action == "abort")
    std::abort();
  if (action == "oom")
    exhaust_memory();
  if (action == "segv") {
    // A sanitizer would turn it into an exit code.
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  }
}

bool fault::wanted(std::string_view phase, std::string_view action) const {
  return mine_ && phase == phase_ && action == action_;
}

void say(const std::string& fifo, std::string_view worker,
         std::string_view phase) {
  auto fd = ::open(fifo.c_str(), O_WRONLY | O_CLOEXEC);
  auto line = fmt::format("{} {} {}\n", worker, phase, ::getpid());
  // Less than PIPE_BUF: whole or not at all.
  auto said = ::write(fd, line.data(), line.size());
  if (said != static_cast<ssize_t>(line.size()))
    std::abort();
  ::close(fd);
}

void hold(const std::string& fifo, std::string_view worker,
          std::string_view phase) {
  say(fifo, worker, phase);
  if (wait_for_byte(fifo + ".go"))
    return;
  for (;;)
    ::pause();
}

} // namespace troupe::test
