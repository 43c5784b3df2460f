// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/order_desk.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "troupe/actors/process/message_socket.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

using process::unique_fd;

/// An address of a socket has 108 bytes, a path may have more: the folder is
/// named by a descriptor, which `folder` must keep open.
result<sockaddr_un> address_of(const std::filesystem::path& path,
                               unique_fd& folder) {
  auto parent = path.parent_path().empty() ? "." : path.parent_path().string();
  folder = unique_fd{::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!folder)
    return fail(
      process::system_error(errc::unavailable, "cannot open " + parent, errno));
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  auto text = fmt::format("/proc/self/fd/{}/{}", folder.get(),
                          path.filename().string());
  if (text.size() >= sizeof(out.sun_path))
    return fail(errc::invalid,
                fmt::format("the name of {} is too long", path.string()));
  std::memcpy(out.sun_path, text.c_str(), text.size() + 1);
  return out;
}

unique_fd make_socket() {
  return unique_fd{
    ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

/// False if nothing came in time.
bool wait_for(int fd, short events, deadline until) {
  pollfd one{fd, events, 0};
  for (;;) {
    auto ready = ::poll(&one, 1, static_cast<int>(until.left_ms().count()));
    if (ready > 0)
      return true;
    if (ready == 0 || errno != EINTR)
      return false;
  }
}

/// The next line, without its end.
result<std::string> read_line(int fd, std::size_t bytes_max, deadline until) {
  std::string out;
  std::array<char, 512> part;
  for (;;) {
    if (auto end = out.find('\n'); end != std::string::npos)
      return out.substr(0, end);
    if (out.size() > bytes_max)
      return fail(errc::invalid, "the line is too long");
    if (!wait_for(fd, POLLIN, until))
      return fail(errc::timed_out, "no answer came in time");
    auto got = ::recv(fd, part.data(), part.size(), 0);
    if (got > 0)
      out.append(part.data(), static_cast<std::size_t>(got));
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
      return fail(errc::lost, "the other side hung up");
  }
}

result<void> write_line(int fd, std::string line, deadline until) {
  line += '\n';
  std::size_t sent = 0;
  while (sent < line.size()) {
    if (!wait_for(fd, POLLOUT, until))
      return fail(errc::timed_out, "the other side takes nothing");
    auto count = ::send(fd, line.data() + sent, line.size() - sent,
                        MSG_NOSIGNAL);
    if (count > 0)
      sent += static_cast<std::size_t>(count);
    else if (errno != EAGAIN && errno != EINTR)
      return fail(errc::lost, "the other side hung up");
  }
  return {};
}

bool may_order(int fd) {
  ucred who{};
  socklen_t size = sizeof(who);
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0
         && (who.uid == ::geteuid() || who.uid == 0);
}

} // namespace

result<std::unique_ptr<order_desk>>
order_desk::open(const std::filesystem::path& path,
                 std::function<std::string(const std::string&)> obey) {
  unique_fd folder;
  auto at = address_of(path, folder);
  if (!at)
    return fail(at.error());
  auto listener = make_socket();
  auto stop = process::make_wake_fd();
  if (!stop)
    return fail(stop.error());
  // What a run that was killed has left.
  ::unlink(path.c_str());
  if (!listener
      || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&*at), sizeof(*at))
           != 0
      || ::listen(listener.get(), 8) != 0)
    return fail(
      process::system_error(errno == EACCES ? errc::refused : errc::exhausted,
                            "cannot listen at " + path.string(), errno));
  ::chmod(path.c_str(), 0600);
  // Not make_unique: the constructor is private.
  std::unique_ptr<order_desk> out{new order_desk{path, std::move(obey),
                                                 std::move(listener),
                                                 std::move(*stop)}};
  return out;
}

order_desk::order_desk(std::filesystem::path path,
                       std::function<std::string(const std::string&)> obey,
                       unique_fd listener, unique_fd stop)
  : path_(std::move(path)),
    obey_(std::move(obey)),
    listener_(std::move(listener)),
    stop_(std::move(stop)),
    thread_([this] { run(); }) {
  // nop
}

order_desk::~order_desk() {
  process::wake(stop_.get());
  thread_.join();
  ::unlink(path_.c_str());
}

void order_desk::run() {
  for (;;) {
    std::array<pollfd, 2> ready{
      {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR)
      return;
    if (ready[1].revents != 0)
      return;
    unique_fd socket{::accept4(listener_.get(), nullptr, nullptr,
                               SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (socket)
      serve(socket.get());
    else if (errno == EMFILE || errno == ENFILE)
      // It stays readable: not at once again.
      wait_for(stop_.get(), POLLIN, deadline::after(patience / 10));
  }
}

void order_desk::serve(int socket) {
  if (!may_order(socket)) {
    log::warning("order_desk", "refuses another user's order");
    return;
  }
  auto line = read_line(socket, line_max, deadline::after(patience));
  if (!line)
    return log::warning("order_desk", "an order did not come: {}",
                        to_string(line.error()));
  log::info("order_desk", "order: {}", *line);
  auto answer = obey_(*line);
  log::info("order_desk", "answer: {}", answer);
  static_cast<void>(write_line(socket, answer, deadline::after(patience)));
}

result<std::string> give_order(const std::filesystem::path& path,
                               const std::string& line, deadline until) {
  unique_fd folder;
  auto at = address_of(path, folder);
  if (!at)
    return fail(at.error());
  auto socket = make_socket();
  if (!socket)
    return fail(process::system_error(errc::exhausted, "no socket", errno));
  // A socket of this kind is connected at once, or not.
  auto connected = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&*at),
                             sizeof(*at))
                   == 0;
  if (!connected && (errno == EACCES || errno == EPERM))
    return fail(errc::refused, "the run takes orders from its own user and "
                               "from root alone");
  if (!connected && errno == EAGAIN)
    return fail(errc::exhausted, "too many orders wait already");
  if (!connected)
    return fail(errc::unavailable, "nobody takes orders there");
  if (auto sent = write_line(socket.get(), line, until); !sent)
    return fail(sent.error());
  return read_line(socket.get(), std::size_t{1} << 20, until);
}

} // namespace troupe::engine
