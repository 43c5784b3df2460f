// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/terminal.hpp"

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

using namespace troupe::console;

namespace {

/// Sets a variable of the environment and puts the old value back.
class scoped_variable {
public:
  scoped_variable(const char* name, const char* value) : name_(name) {
    if (const auto* old = std::getenv(name))
      old_ = old;
    if (value != nullptr)
      ::setenv(name, value, 1);
    else
      ::unsetenv(name);
  }

  ~scoped_variable() {
    if (old_)
      ::setenv(name_, old_->c_str(), 1);
    else
      ::unsetenv(name_);
  }

private:
  const char* name_;
  std::optional<std::string> old_;
};

struct fixture {
  fixture() {
    main_fd = ::posix_openpt(O_RDWR | O_NOCTTY);
    BOOST_REQUIRE(main_fd >= 0);
    BOOST_REQUIRE(::grantpt(main_fd) == 0);
    BOOST_REQUIRE(::unlockpt(main_fd) == 0);
    terminal_fd = ::open(::ptsname(main_fd), O_RDWR | O_NOCTTY);
    BOOST_REQUIRE(terminal_fd >= 0);
  }

  ~fixture() {
    ::close(terminal_fd);
    ::close(main_fd);
  }

  int main_fd = -1;
  int terminal_fd = -1;
  scoped_variable term{"TERM", "xterm"};
  scoped_variable no_colour{"NO_COLOR", nullptr};
  scoped_variable all{"LC_ALL", "C.UTF-8"};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(terminal, fixture)

BOOST_AUTO_TEST_CASE(a_terminal_is_live_and_knows_its_width) {
  auto uut = make_terminal(terminal_fd);
  BOOST_TEST(uut->live());
  BOOST_TEST(uut->colour());
  BOOST_TEST(uut->unicode());
  winsize size{};
  size.ws_col = 47;
  BOOST_REQUIRE(::ioctl(terminal_fd, TIOCSWINSZ, &size) == 0);
  BOOST_TEST(uut->columns() == 47);
  size.ws_col = 0;
  BOOST_REQUIRE(::ioctl(terminal_fd, TIOCSWINSZ, &size) == 0);
  BOOST_TEST(uut->columns() == 80);
}

BOOST_AUTO_TEST_CASE(the_environment_is_respected) {
  {
    scoped_variable dumb{"TERM", "dumb"};
    BOOST_TEST(!make_terminal(terminal_fd)->live());
  }
  {
    scoped_variable unset{"TERM", nullptr};
    BOOST_TEST(!make_terminal(terminal_fd)->live());
  }
  {
    scoped_variable plain{"NO_COLOR", "1"};
    auto uut = make_terminal(terminal_fd);
    BOOST_TEST(uut->live());
    BOOST_TEST(!uut->colour());
  }
  {
    scoped_variable empty{"NO_COLOR", ""};
    BOOST_TEST(make_terminal(terminal_fd)->colour());
  }
  {
    scoped_variable latin{"LC_ALL", "C"};
    BOOST_TEST(!make_terminal(terminal_fd)->unicode());
  }
}

BOOST_AUTO_TEST_CASE(what_is_lost_is_told) {
  auto full = ::open("/dev/full", O_WRONLY);
  BOOST_REQUIRE(full >= 0);
  auto uut = make_terminal(full);
  BOOST_TEST(check_written(*uut).has_value());
  uut->write("hello\n");
  auto written = check_written(*uut);
  BOOST_REQUIRE(!written);
  BOOST_TEST(written.error().message()
             == "the output cannot be written: No space left on device");
  ::close(full);
}

BOOST_AUTO_TEST_CASE(a_pipe_is_not_live_and_its_end_is_survived) {
  auto* before = std::signal(SIGPIPE, SIG_IGN);
  int fds[2];
  BOOST_REQUIRE(::pipe(fds) == 0);
  auto uut = make_terminal(fds[1]);
  BOOST_TEST(!uut->live());
  BOOST_TEST(!uut->colour());
  uut->write("hello\n");
  char text[6];
  BOOST_REQUIRE(::read(fds[0], text, 6) == 6);
  BOOST_TEST(std::string(text, 6) == "hello\n");
  BOOST_TEST(uut->lost() == 0);
  ::close(fds[0]);
  uut->write("nobody reads this\n");
  uut->write("nor this\n");
  BOOST_TEST(uut->lost() == EPIPE);
  // Whoever goes has read enough.
  BOOST_TEST(check_written(*uut).has_value());
  ::close(fds[1]);
  std::signal(SIGPIPE, before);
}

BOOST_AUTO_TEST_SUITE_END()
