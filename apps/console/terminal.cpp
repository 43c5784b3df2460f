// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/terminal.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace troupe::console {

namespace {

std::string_view variable(const char* name) {
  const auto* value = std::getenv(name);
  return value != nullptr ? std::string_view{value} : std::string_view{};
}

bool speaks_utf8() {
  // The first that is set decides, as in setlocale(3).
  for (const auto* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    auto value = variable(name);
    if (value.empty())
      continue;
    return value.find("UTF-8") != std::string_view::npos
           || value.find("utf8") != std::string_view::npos
           || value.find("UTF8") != std::string_view::npos
           || value.find("utf-8") != std::string_view::npos;
  }
  return false;
}

class descriptor_terminal final : public terminal {
public:
  explicit descriptor_terminal(int descriptor)
    : fd_(descriptor),
      live_(::isatty(descriptor) == 1 && !variable("TERM").empty()
            && variable("TERM") != "dumb"),
      colour_(live_ && variable("NO_COLOR").empty()),
      unicode_(speaks_utf8()) {
    // nop
  }

  void write(std::string_view text) override {
    // Longest wait for somebody who stopped reading.
    constexpr int patience_ms = 1000;
    while (!text.empty() && lost_ == 0) {
      auto count = ::write(fd_, text.data(), text.size());
      if (count >= 0) {
        text.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN) {
        pollfd ready{fd_, POLLOUT, 0};
        if (::poll(&ready, 1, patience_ms) == 0)
          return;
      } else if (errno != EINTR) {
        lost_ = errno;
      }
    }
  }

  [[nodiscard]] int lost() const override { return lost_; }

  [[nodiscard]] bool live() const override { return live_; }

  [[nodiscard]] bool colour() const override { return colour_; }

  [[nodiscard]] bool unicode() const override { return unicode_; }

  [[nodiscard]] int columns() const override {
    winsize size{};
    if (::ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
      return size.ws_col;
    return 80;
  }

  [[nodiscard]] int rows() const override {
    winsize size{};
    if (::ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
      return size.ws_row;
    return 24;
  }

private:
  int fd_;
  bool live_;
  bool colour_;
  bool unicode_;
  int lost_ = 0;
};

} // namespace

std::unique_ptr<terminal> make_terminal(int descriptor) {
  return std::make_unique<descriptor_terminal>(descriptor);
}

result<void> check_written(const terminal& x) {
  if (x.lost() == 0 || x.lost() == EPIPE)
    return {};
  return fail(errc::exhausted, fmt::format("the output cannot be written: {}",
                                           std::strerror(x.lost())));
}

} // namespace troupe::console
