// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/plain_view.hpp"

#include <sstream>

#include <boost/test/unit_test.hpp>

#include "apps/console/fake_terminal.hpp"

using namespace troupe;
using namespace troupe::console;
using namespace std::chrono_literals;

namespace {

struct fixture {
  fixture() : uut(make_progress(out, "grpo demo-1", time)) {
    // nop
  }

  episode_row row(std::int64_t number) const {
    episode_row out;
    out.episode = number;
    out.num_episode = 200;
    out.mean_reward = 0.412;
    out.tokens_per_second = 1234.4;
    out.sync_ms = 3.14;
    return out;
  }

  fake_terminal out;
  manual_clock time;
  std::unique_ptr<progress_view> uut;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(plain_view, fixture)

BOOST_AUTO_TEST_CASE(each_event_is_a_line) {
  uut->phase("warm start", 0, 200);
  time.advance(63s);
  auto first = row(1);
  first.eval_accuracy = 0.5;
  uut->episode(first);
  uut->note("host-1 was restarted");
  uut->finish();
  BOOST_TEST(out.raw
             == "00:00  grpo demo-1\n"
                "00:00  warm start 0/200\n"
                "01:03  episode 1/200  reward 0.412  accuracy 0.500  "
                "1,234 tokens/s  sync 3.1 ms\n"
                "01:03  host-1 was restarted\n");
}

BOOST_AUTO_TEST_CASE(episodes_have_a_line_a_second_but_none_that_matters_less) {
  uut->episode(row(1));
  time.advance(500ms);
  uut->episode(row(2));
  auto evaluated = row(3);
  evaluated.eval_accuracy = 0.9;
  uut->episode(evaluated);
  uut->episode(row(4));
  uut->episode(row(200));
  auto has = [&](const char* text) {
    return out.raw.find(text) != std::string::npos;
  };
  BOOST_TEST(has("episode 1/200"));
  BOOST_TEST(!has("episode 2/200"));
  BOOST_TEST(has("episode 3/200"));
  BOOST_TEST(!has("episode 4/200"));
  BOOST_TEST(has("episode 200/200"));
}

BOOST_AUTO_TEST_CASE(phases_have_a_line_when_new_and_every_ten_seconds) {
  for (auto i = 0; i < 1000; ++i) {
    uut->phase("generation", i, 1000);
    uut->phase("training", i, 0);
    uut->tick();
    time.advance(25ms);
  }
  BOOST_TEST(out.raw
             == "00:00  grpo demo-1\n"
                "00:00  generation 0/1000\n"
                "00:00  training\n"
                "00:10  generation 400/1000\n"
                "00:20  generation 800/1000\n");
}

BOOST_AUTO_TEST_CASE(no_line_reaches_column_eighty) {
  time.advance(99h);
  auto full = row(100000);
  full.num_episode = 5000000;
  full.mean_reward = -123456789.0;
  full.eval_accuracy = 0.123456;
  full.tokens_per_second = 1e8;
  full.sync_ms = 1234567;
  full.loss = -1e-12;
  full.kl = 3e300;
  uut->episode(full);
  uut->phase(std::string(300, 'p'), 1, 2);
  uut->note("a note of many words that goes on and on and on and on and on and "
            "on and on and on\nand has a second line "
            + std::string(100, 'x'));
  std::istringstream lines{out.raw};
  std::string line;
  while (std::getline(lines, line))
    BOOST_TEST(line.size() < 80u, line);
}

BOOST_AUTO_TEST_CASE(nothing_is_shown_after_the_end) {
  uut->finish();
  auto before = out.raw;
  uut->phase("generation", 1, 2);
  uut->episode(row(1));
  uut->note("late");
  uut->finish();
  BOOST_TEST(out.raw == before);
}

BOOST_AUTO_TEST_CASE(foreign_text_is_made_harmless) {
  uut->note("a\x1b[2Jb");
  BOOST_TEST(out.raw == "00:00  grpo demo-1\n00:00  a?[2Jb\n");
}

BOOST_AUTO_TEST_SUITE_END()
