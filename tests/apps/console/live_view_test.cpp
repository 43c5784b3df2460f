// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/live_view.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "apps/console/fake_terminal.hpp"

using namespace troupe;
using namespace troupe::console;
using namespace std::chrono_literals;

namespace {

struct fixture {
  fixture() {
    out.is_live = true;
    uut = make_progress(out, "grpo demo-1", time);
  }

  void run_episode(std::int64_t number) {
    episode_row row;
    row.episode = number;
    row.num_episode = 200;
    row.mean_reward = 0.3 + 0.01 * static_cast<double>(number);
    if (number % 5 == 0)
      row.eval_accuracy = 0.35 + 0.02 * static_cast<double>(number);
    row.tokens_per_second = 1234.4;
    row.sync_ms = 3.14;
    row.loss = 0.12;
    row.kl = 0.031;
    row.elapsed = time.now().time_since_epoch();
    uut->episode(row);
    time.advance(1s);
    uut->tick();
  }

  fake_terminal out;
  manual_clock time;
  std::unique_ptr<progress_view> uut;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(live_view, fixture)

BOOST_AUTO_TEST_CASE(before_the_first_episode_the_phase_has_the_bar) {
  time.advance(63s);
  uut->phase("warm start", 50, 200);
  BOOST_TEST(
    out.screen()
    == "grpo demo-1                                                        "
       "       01:03\n"
       "phase     warm start 50/200  "
       "############--------------------------------------\n");
}

BOOST_AUTO_TEST_CASE(a_run_is_shown_in_six_lines) {
  for (auto i = 1; i <= 12; ++i)
    run_episode(i);
  uut->phase("generation", 37, 64);
  time.advance(1s);
  uut->tick();
  BOOST_TEST(
    out.screen()
    == "grpo demo-1                                                        "
       "       00:13\n"
       "episode   12/200  ##-----------------------------------------------"
       "  03:08 left\n"
       "phase     generation 37/64\n"
       "reward    0.420  _..-~~==+**#\n"
       "accuracy  0.550  from 0.450  _#\n"
       "speed     1,234 tokens/s  sync 3.1 ms  loss 0.120  kl 0.031\n");
  BOOST_TEST(out.overflows == 0u);
  BOOST_TEST(out.unknown_sequences == 0u);
}

BOOST_AUTO_TEST_CASE(notes_stay_above_the_redrawn_lines) {
  uut->phase("generation", 1, 0);
  uut->note("host-1 was restarted");
  uut->note("host-2 was restarted");
  BOOST_TEST(out.screen()
             == "host-1 was restarted\n"
                "host-2 was restarted\n"
                "grpo demo-1                                                 "
                "              00:00\n"
                "phase     generation 1\n");
}

BOOST_AUTO_TEST_CASE(frames_are_few_and_whole) {
  for (auto i = 0; i < 1000; ++i) {
    uut->phase("generation", i, 1000);
    time.advance(1ms);
  }
  BOOST_TEST(out.writes == 10u);
  // Between two frames the cursor is there: nothing to restore.
  BOOST_TEST(out.cursor_visible);
}

BOOST_AUTO_TEST_CASE(the_last_frame_stays_and_nothing_follows) {
  uut->phase("generation", 1, 2);
  run_episode(1);
  uut->finish();
  auto before = out.raw;
  BOOST_TEST(out.screen().find("generation") == std::string::npos);
  BOOST_TEST(out.screen().find("episode   1/200") != std::string::npos);
  uut->note("late");
  uut->finish();
  uut.reset();
  BOOST_TEST(out.raw == before);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_view_is_its_finish) {
  uut->phase("generation", 1, 2);
  auto before = out.writes;
  uut.reset();
  BOOST_TEST(out.writes == before + 1);
  BOOST_TEST(out.cursor_visible);
}

BOOST_AUTO_TEST_CASE(every_width_is_respected) {
  for (auto width : {1, 5, 12, 20, 30, 40, 60, 79, 80, 81, 200}) {
    fake_terminal narrow;
    narrow.is_live = true;
    narrow.width = width;
    narrow.has_colour = true;
    narrow.has_unicode = true;
    auto view = make_progress(narrow, std::string(100, 't'), time);
    episode_row row;
    row.num_episode = 100;
    for (row.episode = 1; row.episode <= 50; ++row.episode) {
      row.mean_reward = static_cast<double>(row.episode);
      row.eval_accuracy = 0.5;
      row.tokens_per_second = 1e9;
      row.elapsed += 1h;
      view->phase(std::string(100, 'p'), 1, 2);
      view->episode(row);
      time.advance(1s);
    }
    view->finish();
    auto text = narrow.screen();
    BOOST_TEST(std::count(text.begin(), text.end(), '\n')
               <= 8 * (12 / width + 1));
    if (width >= 12)
      BOOST_TEST(narrow.overflows == 0u, "width " << width);
  }
}

BOOST_AUTO_TEST_CASE(a_narrowed_terminal_keeps_no_remains) {
  run_episode(1);
  // Title, episode and speed are wider than 40 columns: each is two rows now.
  out.width = 40;
  out.raw.clear();
  time.advance(1s);
  uut->tick();
  BOOST_TEST(out.raw.starts_with("\x1b[?25l\r\x1b[7A"));
  out.raw.clear();
  time.advance(1s);
  uut->tick();
  BOOST_TEST(out.raw.starts_with("\x1b[?25l\r\x1b[4A"));
}

BOOST_AUTO_TEST_CASE(colour_and_unicode_are_used_where_they_are_welcome) {
  out.has_colour = true;
  out.has_unicode = true;
  run_episode(1);
  run_episode(2);
  BOOST_TEST(out.raw.find("\x1b[36m▁█\x1b[0m") != std::string::npos);
  BOOST_TEST(out.unknown_sequences == 0u);
  BOOST_TEST(out.overflows == 0u);
}

BOOST_AUTO_TEST_CASE(threads_may_report_at_once) {
  auto view = make_progress(out, "grpo", steady_clock());
  std::vector<std::thread> threads;
  for (auto t = 0; t < 4; ++t)
    threads.emplace_back([&view, t] {
      for (auto i = 0; i < 200; ++i) {
        view->phase("generation", i, 200);
        if (i % 50 == 0)
          view->note("note of thread " + std::to_string(t));
      }
    });
  for (auto& thread : threads)
    thread.join();
  view->finish();
  BOOST_TEST(out.unknown_sequences == 0u);
  BOOST_TEST(out.cursor_visible);
}

BOOST_AUTO_TEST_SUITE_END()
