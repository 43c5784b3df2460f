// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_screen.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

#include <fmt/core.h>

#include "troupe/apps/console/text.hpp"

using namespace troupe;
using monitoring::changes;
using monitoring::draw;
using monitoring::run_picture;
using monitoring::screen_style;

namespace {

run_picture sample(int hosts = 2) {
  run_picture x;
  x.app = "grpo";
  x.run = "demo-1";
  x.uptime_ms = 63'000;
  x.phase = "generation";
  x.phase_done = 11;
  x.phase_total = 200;
  x.phase_ms = 3200;
  x.episode = 11;
  x.num_episode = 200;
  x.metrics = {{"loss", 0.12}, {"kl", std::nullopt}};
  x.models = {{"policy", 2, 1, false, 12}, {"trainer", 1, 2, true, 0}};
  for (auto i = 0; i < hosts; ++i) {
    auto name = fmt::format("policy/{}/0", i);
    x.hosts.push_back({0,
                       i,
                       fmt::format("cpu:{}", i),
                       7000 + i,
                       true,
                       1,
                       {name, fmt::format("trainer/0/{}", i)}});
    x.workers.push_back({name, "generate", 3100, true, 12});
    x.workers.push_back({fmt::format("trainer/0/{}", i), "idle", 90, true, 0});
  }
  return x;
}

protocol::error_report report(std::uint64_t id, std::string text,
                              std::uint64_t cause = 0) {
  protocol::error_report x;
  x.id = id;
  x.code = errc::failed;
  x.model = "trainer";
  x.operation = "train_step";
  x.message = std::move(text);
  x.cause = cause;
  return x;
}

std::string text_of(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& x : lines)
    out += x + '\n';
  return out;
}

bool says(const std::vector<std::string>& lines, const std::string& part) {
  BOOST_TEST_INFO(text_of(lines));
  return text_of(lines).find(part) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(run_screen)

BOOST_AUTO_TEST_CASE(a_run_reads_from_where_it_stands_to_its_errors) {
  auto x = sample();
  x.errors = 1;
  x.reports = {report(1, "out of tea")};
  auto got = draw(x, {});
  BOOST_REQUIRE(got.size() > 8u);
  BOOST_TEST(got[0].starts_with("grpo demo-1 "));
  BOOST_TEST(got[0].ends_with("up 01:03"));
  BOOST_TEST(got[0].size() == 79u);
  BOOST_TEST(got[1] == "episode   11/200  generation for 3.2 s");
  BOOST_TEST(got[2] == "metrics   loss 0.120  kl not finite");
  BOOST_TEST(got[3] == "models    policy 2x1 v12, trainer 1x2 v0 trains");
  BOOST_TEST(says(got, "policy/1/0        12  generate  3.1 s\n"));
  BOOST_TEST(says(got, "errors    1 error, 0 warnings\n"));
  BOOST_TEST(got.back().ends_with("error    trainer, train_step: out of tea"));
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_window_whatever_it_says) {
  auto x = sample(5);
  x.run = std::string(300, 'r');
  x.workers[0].operation = std::string(300, 'o');
  x.hosts[1].device = "\x1b[31m\xf0\x9f\x98\x80 wide";
  x.reports = {report(1, std::string(500, 'm')), report(2, "next", 1)};
  x.silent = {std::string(200, 's')};
  x.metrics.assign(40, {"metric", 1.5});
  for (std::size_t columns : {11u, 30u, 50u, 79u})
    for (const auto& line : draw(x, {columns, 0, true, false})) {
      BOOST_TEST(line.find('\x1b') == std::string::npos);
      if (columns >= 50)
        BOOST_TEST(console::display_width(line) <= columns, line);
    }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_the_height_is_counted) {
  auto x = sample(40);
  x.reports = {report(1, "out of tea")};
  for (std::size_t rows : {15u, 24u, 60u}) {
    auto got = draw(x, {79, rows, false, false});
    BOOST_TEST(got.size() < rows);
    if (rows >= 24) {
      BOOST_TEST(says(got, "more; a taller window shows them"));
      // The errors are still there.
      BOOST_TEST(says(got, "out of tea"));
    }
  }
  BOOST_TEST(!says(draw(x, {79, 0, false, false}), "taller"));
  for (std::size_t rows : {2u, 3u, 5u})
    BOOST_TEST(draw(x, {79, rows, false, false}).size() == rows - 1);
}

BOOST_AUTO_TEST_CASE(a_cause_stands_with_the_number_of_its_consequences) {
  auto x = sample();
  x.reports = {report(1, "lost", 2), report(2, "the cause"),
               report(3, "aborted", 2), report(4, "another")};
  auto got = draw(x, {});
  BOOST_TEST(says(got, "the cause (+2 consequences)"));
  BOOST_TEST(!says(got, "aborted"));
  BOOST_TEST(!says(got, ": lost"));
  // The newest first.
  auto text = text_of(got);
  BOOST_TEST(text.find("another") < text.find("the cause"));
  // A cause that was dropped from the history leaves its consequences.
  x.reports.erase(x.reports.begin() + 1);
  BOOST_TEST(says(draw(x, {}), ": lost"));
}

BOOST_AUTO_TEST_CASE(a_phase_that_counts_something_else_says_how_far_it_is) {
  auto x = sample();
  x.phase = "set-up";
  x.phase_done = 2;
  x.phase_total = 3;
  x.phase_ms = 0;
  BOOST_TEST(says(draw(x, {}), "11/200  set-up 2/3 for 0 ms\n"));
}

BOOST_AUTO_TEST_CASE(workers_that_are_gone_or_silent_say_so) {
  auto x = sample();
  x.hosts[0].alive = false;
  x.workers[2].answers = false;
  x.workers[2].operation = "its process does not answer";
  x.workers.pop_back();
  auto got = draw(x, {});
  BOOST_TEST(says(got, "its process has ended"));
  BOOST_TEST(says(got, "its process does not answer"));
  BOOST_TEST(says(got, "starting"));
  x.hosts.push_back({0, 9, "cpu host", 1, true, 1, {}});
  BOOST_TEST(says(draw(x, {}), "no workers"));
}

BOOST_AUTO_TEST_CASE(the_end_and_its_cause_take_the_place_of_the_episode) {
  auto x = sample();
  x.end = "failed";
  x.cause = "trainer, train_step: loss is nan in episode 12";
  BOOST_TEST(
    says(draw(x, {}), "ended     failed: trainer, train_step: loss is nan"));
}

BOOST_AUTO_TEST_CASE(a_note_takes_the_place_of_the_time) {
  auto got = draw(sample(), {}, "no word for 5 s");
  BOOST_TEST(got[0].ends_with("no word for 5 s"));
  BOOST_TEST(!says(got, "up 01:03"));
}

BOOST_AUTO_TEST_CASE(colours_are_used_if_they_are_welcome) {
  auto x = sample();
  x.reports = {report(1, "out of tea")};
  BOOST_TEST(!says(draw(x, {}), "\x1b["));
  screen_style style;
  style.colour = true;
  BOOST_TEST(says(draw(x, style), "\x1b[31m"));
}

BOOST_AUTO_TEST_CASE(only_what_is_new_is_worth_a_line) {
  auto before = sample();
  auto now = before;
  now.uptime_ms += 500;
  now.phase_ms += 500;
  BOOST_TEST(changes(before, now).empty());
  now.reports = {report(1, "out of tea")};
  auto got = changes(before, now);
  BOOST_REQUIRE(got.size() == 1u);
  BOOST_TEST(got[0].ends_with("out of tea"));
  BOOST_TEST(changes(now, now).empty());
  before = now;
  now.phase = "training";
  got = changes(before, now);
  BOOST_REQUIRE(got.size() == 1u);
  BOOST_TEST(got[0].starts_with("01:03  episode 11/200  training"));
  before = now;
  now.end = "finished";
  BOOST_TEST(changes(before, now).back() == "01:03  finished");
}

BOOST_AUTO_TEST_SUITE_END()
