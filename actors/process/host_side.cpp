// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/host_side.hpp"

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "troupe/actors/process/guard_protocol.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/spawn_process.hpp"

namespace troupe::process {

namespace protocol = guard_protocol;

namespace {

// sysexits' EX_SOFTWARE: the machinery around us failed, not our work.
constexpr int guard_lost_code = 70;

template <class T>
std::optional<T> number_from(const char* variable) {
  auto* text = std::getenv(variable);
  if (!text)
    return std::nullopt;
  std::string_view all{text};
  T value{};
  auto [at, bad] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (bad != std::errc{} || at != all.data() + all.size())
    return std::nullopt;
  return value;
}

} // namespace

struct host_side::impl {
  impl(host_identity who, unique_fd guard, unique_fd wake_fd,
       std::optional<std::int32_t> interval_ms, std::function<void()> lost)
    : identity(std::move(who)),
      control(std::move(guard)),
      waker(std::move(wake_fd)),
      pulse_ms(interval_ms.value_or(-1)),
      on_guard_lost(std::move(lost)),
      mesh(identity.slot) {
    reader = std::thread{[this] { read_loop(); }};
  }

  ~impl() {
    stopping = true;
    wake(waker.get());
    reader.join();
  }

  void read_loop() {
    // Who computes on every core must not look frozen; without the right to it
    // the thread stays what it is.
    if (pulse_ms > 0)
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), -15);
    auto next = deadline::after(duration::zero());
    while (!stopping) {
      if (pulse_ms > 0 && next.passed()) {
        give_sign();
        next = deadline::after(std::chrono::milliseconds{pulse_ms});
      }
      auto timeout = pulse_ms > 0 ? static_cast<int>(next.left_ms().count())
                                  : -1;
      pollfd events[] = {{control.get(), POLLIN, 0}, {waker.get(), POLLIN, 0}};
      if (::poll(events, 2, timeout) < 0)
        continue;
      if (events[0].revents && !read_all()) {
        if (!stopping)
          guard_lost();
        return;
      }
    }
  }

  /// A guard that does not read has heard enough.
  void give_sign() const {
    std::byte sign{1};
    [[maybe_unused]] auto sent = ::send(control.get(), &sign, sizeof(sign),
                                        MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  /// False if the guard is gone or not a guard.
  bool read_all() {
    incoming in;
    for (;;) {
      switch (receive_message(control.get(), protocol::message_bytes_max, in)) {
        case io_status::would_block: return true;
        case io_status::done: break;
        default: return false;
      }
      auto message = protocol::decode(in.message);
      if (!message)
        return false;
      if (auto* x = std::get_if<protocol::peer>(&*message)) {
        if (in.files.size() != 1)
          return false;
        mesh.add_peer(x->slot, x->incarnation, std::move(in.files[0]));
      } else if (auto* x = std::get_if<protocol::peer_gone>(&*message)) {
        mesh.drop_peer(x->slot, x->incarnation);
      } else {
        return false;
      }
    }
  }

  void guard_lost() {
    if (!on_guard_lost)
      ::_exit(guard_lost_code);
    on_guard_lost();
  }

  host_identity identity;
  unique_fd control;
  unique_fd waker;
  /// Between signs of life; negative if nobody watches.
  std::int32_t pulse_ms;
  std::function<void()> on_guard_lost;
  peer_mesh mesh;
  std::atomic<bool> stopping = false;
  std::thread reader;
};

bool host_side::present() noexcept {
  return std::getenv(guard_fd_variable) != nullptr;
}

result<std::unique_ptr<host_side>>
host_side::from_environment(std::function<void()> on_guard_lost) {
  auto fd = number_from<int>(guard_fd_variable);
  auto slot = number_from<std::int32_t>(slot_variable);
  auto life = number_from<std::uint32_t>(incarnation_variable);
  auto* job = std::getenv(job_variable);
  if (!fd || !slot || !life || !job || *slot < 0 || *slot >= slots_max
      || !is_job_id(job))
    return fail(errc::invalid, "no guard started this process");
  // Whoever sets the variables by hand gets an answer, not a closed stdout.
  if (*fd < 3 || ::fcntl(*fd, F_SETFD, FD_CLOEXEC) != 0
      || ::fcntl(*fd, F_SETFL, O_NONBLOCK) != 0)
    return fail(errc::invalid, fmt::format("{}={} names no socket to a guard",
                                           guard_fd_variable, *fd));
  unique_fd control{*fd};
  host_identity identity{job, *slot, incarnation{*life}};
  auto pulse_ms = number_from<std::int32_t>(pulse_variable);
  for (auto* x : {guard_fd_variable, slot_variable, incarnation_variable,
                  job_variable, pulse_variable})
    ::unsetenv(x);
  auto waker = make_wake_fd();
  if (!waker)
    return fail(waker.error());
  return std::unique_ptr<host_side>{
    new host_side(std::make_unique<impl>(std::move(identity),
                                         std::move(control), std::move(*waker),
                                         pulse_ms, std::move(on_guard_lost)))};
}

host_side::host_side(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

host_side::~host_side() = default;

const host_identity& host_side::identity() const noexcept {
  return impl_->identity;
}

peer_mesh& host_side::mesh() noexcept {
  return impl_->mesh;
}

} // namespace troupe::process
