// SPDX-License-Identifier: Apache-2.0
#include "apps/faulty/fault.hpp"

#include <csignal>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

namespace troupe::test {

std::vector<option_spec> fault::options() {
  return {{"fault_phase", std::string{}, "where something goes wrong"},
          {"fault_action", std::string{}, "what goes wrong"},
          {"fault_replica", std::int64_t{0}, "in which replica"},
          {"fault_rank", std::int64_t{0}, "in which rank"},
          {"fault_fifo", std::string{}, "where a held worker says so"}};
}

fault::fault(const worker_context& ctx)
  : phase_(ctx.config().string("fault_phase")),
    action_(ctx.config().string("fault_action")),
    fifo_(ctx.config().string("fault_fifo")),
    worker_(fmt::format("{}/{}/{}", ctx.model(), ctx.replica().value(),
                        ctx.rank().value())),
    mine_(ctx.config().integer("fault_replica") == ctx.replica().value()
          && ctx.config().integer("fault_rank") == ctx.rank().value()) {
  // nop
}

void fault::reach(std::string_view phase) const {
  if (!mine_ || phase != phase_)
    return;
  if (action_ == "hold")
    hold(fifo_, worker_, phase);
  if (action_ == "throw")
    throw std::runtime_error(fmt::format("the {} broke on purpose", phase));
  if (action_ == "starve")
    throw std::bad_alloc{};
  if (action_ == "slow")
    ::poll(nullptr, 0, 400);
  if (action_ == "exit0")
    std::_Exit(0);
  if (action_ == "exit3")
    std::_Exit(3);
  if (action_ == "abort")
    std::abort();
  if (action_ == "segv") {
    // A sanitizer would turn it into an exit code.
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  }
}

bool fault::wanted(std::string_view phase, std::string_view action) const {
  return mine_ && phase == phase_ && action == action_;
}

void hold(const std::string& fifo, std::string_view worker,
          std::string_view phase) {
  auto fd = ::open(fifo.c_str(), O_WRONLY | O_CLOEXEC);
  auto line = fmt::format("{} {} {}\n", worker, phase, ::getpid());
  // Less than PIPE_BUF: whole or not at all.
  auto said = ::write(fd, line.data(), line.size());
  if (said != static_cast<ssize_t>(line.size()))
    std::abort();
  for (;;)
    ::pause();
}

} // namespace troupe::test
