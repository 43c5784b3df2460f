// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/order_desk.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include <boost/test/unit_test.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scratch.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

constexpr uid_t nobody = 65'534;

struct fixture {
  fixture() {
    auto opened = engine::order_desk::open(path, [](const std::string& line) {
      return "heard " + line;
    });
    BOOST_REQUIRE_MESSAGE(opened, test::why(opened));
    desk = std::move(*opened);
  }

  test::scratch folder;
  std::filesystem::path path = folder.path() / "orders";
  std::unique_ptr<engine::order_desk> desk;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_order_desk, fixture)

BOOST_AUTO_TEST_CASE(a_line_is_answered_with_a_line) {
  auto answer = engine::give_order(path, "stand up", deadline::after(10s));
  BOOST_REQUIRE_MESSAGE(answer, test::why(answer));
  BOOST_TEST(*answer == "heard stand up");
}

BOOST_AUTO_TEST_CASE(a_run_that_has_ended_takes_no_orders) {
  desk.reset();
  auto answer = engine::give_order(path, "stand up", deadline::after(10s));
  BOOST_REQUIRE(!answer);
  BOOST_TEST((answer.error().code() == errc::unavailable));
}

// Which is no reason to say that the run has ended.
BOOST_AUTO_TEST_CASE(another_user_hears_that_the_run_is_not_theirs) {
  if (::geteuid() != 0) {
    BOOST_TEST_MESSAGE("not root: nobody else can be played");
    return;
  }
  std::filesystem::permissions(folder.path(), std::filesystem::perms{0755});
  auto child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    if (::setresuid(nobody, nobody, nobody) != 0)
      ::_exit(2);
    auto answer = engine::give_order(path, "stand up", deadline::after(10s));
    ::_exit(!answer && answer.error().code() == errc::refused ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
