// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/reward_plot.hpp"

#include <cmath>
#include <filesystem>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

using namespace troupe::console;

namespace {

std::vector<episode_row> make_rows(int count, double scale = 1) {
  std::vector<episode_row> out;
  for (auto i = 1; i <= count; ++i) {
    episode_row row;
    row.episode = i;
    row.num_episode = count;
    row.mean_reward = scale * i / count;
    if (i % 5 == 0)
      row.eval_accuracy = 0.5;
    out.push_back(row);
  }
  return out;
}

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t out = 0;
  for (auto at = text.find(what); at != std::string::npos;
       at = text.find(what, at + 1))
    ++out;
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(reward_plot)

BOOST_AUTO_TEST_CASE(reward_and_accuracy_are_drawn) {
  auto text = render_plot(make_rows(20), "demo");
  BOOST_TEST(text.starts_with("<svg xmlns="));
  BOOST_TEST(text.ends_with("</svg>\n"));
  BOOST_TEST(count(text, "<polyline") == 3u);
  BOOST_TEST(count(text, "<circle") == 4u);
  BOOST_TEST(count(text, "mean reward") == 1u);
  BOOST_TEST(count(text, "eval accuracy") == 1u);
}

BOOST_AUTO_TEST_CASE(nothing_to_draw_is_said) {
  BOOST_TEST(count(render_plot({}, "demo"), "no values were recorded") == 1u);
}

BOOST_AUTO_TEST_CASE(titles_are_text) {
  auto text = render_plot({}, "<a & \"b\">\x1b");
  BOOST_TEST(count(text, "&lt;a &amp; &quot;b&quot;&gt;?") == 1u);
}

BOOST_AUTO_TEST_CASE(any_values_give_a_drawing_of_bounded_size) {
  for (auto scale : {0.0, -3.0, 1e-300, 1e300, 5000.0})
    for (auto rows : {1, 2, 57, 20000}) {
      auto text = render_plot(make_rows(rows, scale), "demo");
      BOOST_TEST(text.size() < 100000u, scale << ' ' << rows);
      BOOST_TEST(count(text, "nan") == 0u, scale << ' ' << rows);
      BOOST_TEST(count(text, "inf") == 0u, scale << ' ' << rows);
    }
  auto rows = make_rows(3);
  rows[1].mean_reward = std::nan("");
  rows[2].mean_reward = std::numeric_limits<double>::infinity();
  auto text = render_plot(rows, "demo");
  BOOST_TEST(count(text, "nan") == 0u);
  BOOST_TEST(count(text, "inf") == 0u);
}

BOOST_AUTO_TEST_CASE(the_file_is_written_or_the_reason_is_told) {
  auto file = std::filesystem::temp_directory_path()
              / ("troupe-plot-" + std::to_string(::getpid()) + ".svg");
  BOOST_TEST(write_plot(file, make_rows(5)).has_value());
  BOOST_TEST(std::filesystem::file_size(file) > 100u);
  std::filesystem::remove(file);
  BOOST_TEST(!write_plot("/proc/plot.svg", make_rows(5)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
