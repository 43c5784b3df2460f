// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/gpu_probe.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/process/spawn_process.hpp"
#include "troupe/comm/cuda/factory.hpp"

namespace troupe::node {

namespace {

/// More than the list of any machine takes.
constexpr std::size_t answer_bytes_max = std::size_t{1} << 20;

/// What a killed process may take to go. One that hangs in the kernel's driver
/// stays, and ends with us.
constexpr auto end_max = std::chrono::seconds{2};

/// The exit code of a child that could not execute the program.
constexpr int not_executed = 127;

std::string uuid_text(const comm::cuda::device_uuid& x) {
  std::string out = "GPU";
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10)
      out += '-';
    out += fmt::format("{:02x}", std::to_integer<unsigned>(x[i]));
  }
  return out;
}

[[noreturn]] void execute(const gpu_probe_settings& settings, int pipe,
                          pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto kept = process::keep_only({pipe});
  if (kept.empty() || ::getppid() != parent
      || ::dup2(kept.front().get(), STDOUT_FILENO) < 0)
    ::_exit(not_executed);
  std::vector<char*> argv;
  for (const auto& x : settings.argv)
    argv.push_back(const_cast<char*>(x.c_str()));
  argv.push_back(nullptr);
  process::default_signals();
  process::block_signals(process::signal_set::none);
  ::execv(settings.executable.c_str(), argv.data());
  ::_exit(not_executed);
}

/// Waits until `file` can be read or, of a process, has ended.
bool wait_for(int file, deadline until) {
  pollfd event{file, POLLIN, 0};
  for (;;) {
    auto ready = ::poll(&event, 1, static_cast<int>(until.left_ms().count()));
    if (ready > 0)
      return true;
    if (ready == 0 || errno != EINTR)
      return false;
  }
}

/// All that comes until the other end is closed.
result<std::string> read_all(int file, deadline until) {
  std::string out;
  std::array<char, 4096> part{};
  while (out.size() <= answer_bytes_max) {
    if (!wait_for(file, until))
      return fail(errc::timed_out, "the CUDA driver did not answer in time; "
                                   "does nvidia-smi answer?");
    auto got = ::read(file, part.data(), part.size());
    if (got == 0)
      return out;
    if (got > 0)
      out.append(part.data(), static_cast<std::size_t>(got));
    else if (errno != EINTR && errno != EAGAIN)
      break;
  }
  return fail(errc::corrupt, "the process that looks for GPUs says what cannot "
                             "be read");
}

/// How the child ended, as waitpid has it; killed if it does not end by itself.
result<int> end_of(pid_t child, bool kill, deadline until) {
  process::unique_fd handle{
    static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
  if (kill || !handle || !wait_for(handle.get(), until)) {
    ::kill(child, SIGKILL);
    if (handle && !wait_for(handle.get(), deadline::after(end_max)))
      return fail(errc::timed_out,
                  "the process that looks for GPUs hangs in the kernel; look "
                  "at the machine's driver");
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return fail(errc::lost, "the process that looks for GPUs is gone");
  return status;
}

} // namespace

config::gpu_inventory gpus_of(comm::cuda::runtime& cuda) {
  config::gpu_inventory out;
  if (const auto* mask = ::getenv("CUDA_VISIBLE_DEVICES"); mask != nullptr)
    out.mask = mask;
  std::int32_t count = 0;
  auto failed = [&](comm::cuda::status status) {
    out.gpus.clear();
    out.why = fmt::format("{} ({})", cuda.text_of(status),
                          cuda.name_of(status));
    return out;
  };
  if (auto status = cuda.device_count(count);
      status != comm::cuda::codes::success)
    return failed(status);
  for (std::int32_t i = 0; i < count; ++i) {
    comm::cuda::device_figures x;
    if (auto status = cuda.figures(i, x); status != comm::cuda::codes::success)
      return failed(status);
    out.gpus.push_back({x.name, uuid_text(x.uuid), x.memory_bytes,
                        fmt::format("{}.{}", x.major, x.minor),
                        x.mode == comm::cuda::compute_mode::nobody});
  }
  if (out.gpus.empty())
    out.why = "CUDA finds no device";
  return out;
}

config::gpu_inventory look_for_gpus() {
  if (auto seen = comm::cuda::probe(); !seen.usable)
    return {{}, seen.reason};
  auto cuda = comm::cuda::make_runtime();
  if (!cuda)
    return {{}, cuda.error().message()};
  return gpus_of(**cuda);
}

int tell_gpus() {
  // Whoever asked may be gone already.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto text = to_json(look_for_gpus());
  fmt::print("{}\n", text);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

result<config::gpu_inventory> find_gpus(const gpu_probe_settings& settings) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(errc::exhausted, "no descriptor left to look for GPUs");
  process::unique_fd from{ends[0]};
  process::unique_fd to{ends[1]};
  auto until = deadline::after(settings.patience);
  auto self = ::getpid();
  auto child = process::fork_unheard("looking for GPUs");
  if (!child)
    return fail(child.error());
  if (*child == 0)
    execute(settings, to.get(), self);
  to.reset();
  auto text = read_all(from.get(), until);
  auto status = end_of(*child, !text, until);
  if (!text)
    return fail(text.error());
  if (!status)
    return fail(status.error());
  if (WIFSIGNALED(*status))
    return fail(errc::lost, fmt::format("the process that looks for GPUs was "
                                        "killed by signal {}",
                                        WTERMSIG(*status)));
  if (WEXITSTATUS(*status) != 0)
    return fail(errc::lost, fmt::format("the process that looks for GPUs ended "
                                        "with code {}",
                                        WEXITSTATUS(*status)));
  return parse_gpus(*text);
}

// -- JSON ----------------------------------------------------------------------

std::string to_json(const config::gpu_inventory& x) {
  using json = nlohmann::ordered_json;
  auto devices = json::array();
  for (const auto& gpu : x.gpus)
    devices.push_back(json{{"name", gpu.name},
                           {"uuid", gpu.uuid},
                           {"memory_bytes", gpu.memory_bytes},
                           {"capability", gpu.capability},
                           {"closed", gpu.closed}});
  json out{{"count", x.gpus.size()},
           {"devices", std::move(devices)},
           {"why", x.why},
           {"mask", x.mask ? json(*x.mask) : json()}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

result<config::gpu_inventory> parse_gpus(const std::string& text) {
  // Libraries print, too: ours is the last line.
  auto end = text.find_last_not_of('\n');
  auto begin = end == std::string::npos ? end : text.rfind('\n', end);
  auto line = end == std::string::npos
                ? std::string{}
                : text.substr(begin == std::string::npos ? 0 : begin + 1);
  try {
    auto in = nlohmann::json::parse(line);
    config::gpu_inventory out;
    for (const auto& x : in.at("devices"))
      out.gpus.push_back(
        {x.at("name").get<std::string>(), x.at("uuid").get<std::string>(),
         x.at("memory_bytes").get<std::uint64_t>(),
         x.at("capability").get<std::string>(), x.at("closed").get<bool>()});
    out.why = in.at("why").get<std::string>();
    if (const auto& mask = in.at("mask"); !mask.is_null())
      out.mask = mask.get<std::string>();
    if (in.at("count").get<std::size_t>() == out.gpus.size()
        && out.gpus.size() <= static_cast<std::size_t>(config::max_devices))
      return out;
  } catch (const nlohmann::json::exception&) {
    // Told below.
  }
  return fail(errc::corrupt, "the process that looks for GPUs says what cannot "
                             "be read");
}

} // namespace troupe::node
