// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/run_directory.hpp"

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "support/why.hpp"

using namespace troupe;
using namespace troupe::console;

namespace fs = std::filesystem;

namespace {

/// A folder of its own, removed afterwards.
struct fixture {
  fixture() {
    auto name = (fs::temp_directory_path() / "troupe-run-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    root = name;
  }

  ~fixture() {
    std::error_code ignored;
    fs::remove_all(root, ignored);
  }

  static std::string content(const fs::path& file) {
    std::ifstream in{file};
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }

  fs::path root;
  /// 2026-11-21 10:15:00 UTC.
  std::chrono::system_clock::time_point noon{std::chrono::seconds{1795256100}};
};

std::string message(const result<run_directory>& x) {
  BOOST_REQUIRE(!x.has_value());
  return x.error().message();
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(run_directory, fixture)

using uut_type = troupe::console::run_directory;

BOOST_AUTO_TEST_CASE(a_named_run_gets_its_folders) {
  auto uut = uut_type::create(root / "a/b", "demo-1", "grpo");
  BOOST_REQUIRE_MESSAGE(uut.has_value(), test::why(uut));
  BOOST_TEST(uut->name() == "demo-1");
  BOOST_TEST(uut->path() == root / "a/b/demo-1");
  BOOST_TEST(fs::is_directory(uut->log_dir()));
  BOOST_REQUIRE(uut->write_config("app: grpo\n").has_value());
  BOOST_TEST(content(uut->config_file()) == "app: grpo\n");
}

BOOST_AUTO_TEST_CASE(a_run_that_has_not_begun_leaves_its_name) {
  auto uut = uut_type::create(root, "demo-1", "grpo");
  BOOST_REQUIRE(uut.has_value());
  BOOST_REQUIRE(uut->write_config("app: grpo\n").has_value());
  uut->discard();
  BOOST_TEST(!fs::exists(root / "demo-1"));
  BOOST_TEST(uut_type::create(root, "demo-1", "grpo").has_value());
}

BOOST_AUTO_TEST_CASE(a_nameless_run_is_called_after_application_and_time) {
  auto first = uut_type::create(root, "", "grpo", noon);
  auto second = uut_type::create(root, "", "grpo", noon);
  BOOST_REQUIRE(first.has_value());
  BOOST_REQUIRE(second.has_value());
  BOOST_TEST(first->name() == "grpo-20261121-101500");
  BOOST_TEST(second->name() == "grpo-20261121-101500-2");
}

BOOST_AUTO_TEST_CASE(an_existing_run_is_refused) {
  BOOST_REQUIRE(uut_type::create(root, "demo", "grpo").has_value());
  auto again = uut_type::create(root, "demo", "grpo");
  BOOST_TEST(message(again)
             == "a run named 'demo' exists already; choose another "
                "runtime.run_name or remove "
                  + (root / "demo").string());
  BOOST_TEST((again.error().code() == errc::refused));
}

BOOST_AUTO_TEST_CASE(names_that_are_no_names_are_refused) {
  BOOST_TEST(message(uut_type::create(root, "a/b", "grpo"))
             == "run name 'a/b' contains a slash; the folder around it is "
                "runtime.output_dir; choose another");
  BOOST_TEST(message(uut_type::create(root, "..", "grpo"))
             == "run name '..' begins with a dot or a dash; choose another");
  BOOST_TEST(message(uut_type::create(root, "-x", "grpo"))
             == "run name '-x' begins with a dot or a dash; choose another");
  BOOST_TEST(message(uut_type::create(root, "a\nb", "grpo"))
             == "run name 'a b' contains control characters; choose another");
  auto long_name = std::string(129, 'x');
  BOOST_TEST(message(uut_type::create(root, long_name, "grpo"))
             == "run name '" + long_name
                  + "' is longer than 128 bytes; choose another");
  BOOST_TEST(fs::is_empty(root));
}

BOOST_AUTO_TEST_CASE(a_place_that_cannot_be_is_named_with_the_reason) {
  std::ofstream{root / "file"} << "x";
  auto below = uut_type::create(root / "file/runs", "demo", "grpo");
  BOOST_TEST(message(below)
             == "cannot make a folder below " + (root / "file").string()
                  + ": Not a directory; choose another place with "
                    "runtime.output_dir");
  // Not even root may write here.
  auto system = uut_type::create("/proc/troupe", "demo", "grpo");
  BOOST_TEST(
    message(system).starts_with("cannot make the folder /proc/troupe: "));
  BOOST_TEST(message(uut_type::create("", "demo", "grpo"))
             == "runtime.output_dir must not be empty");
}

BOOST_AUTO_TEST_CASE(missing_rights_are_refused) {
  if (::geteuid() == 0) {
    BOOST_TEST_MESSAGE("root has every right; checked as a user only");
    return;
  }
  fs::permissions(root, fs::perms::owner_read | fs::perms::owner_exec);
  auto uut = uut_type::create(root, "demo", "grpo");
  fs::permissions(root, fs::perms::owner_all);
  BOOST_TEST((uut.error().code() == errc::refused));
}

BOOST_AUTO_TEST_CASE(the_summary_has_the_promised_keys) {
  auto uut = uut_type::create(root, "demo", "grpo");
  BOOST_REQUIRE(uut.has_value());
  run_summary summary;
  summary.app = "grpo";
  summary.run_name = "demo";
  summary.version = "0.1.0";
  summary.seed = 3;
  summary.episodes = 12;
  summary.wall = std::chrono::milliseconds{1500};
  summary.warm_start_accuracy = 0.25;
  summary.final_accuracy = 0.75;
  summary.weights_identical = true;
  summary.processes = {{"host-0", "cpu:0", 7, {"policy"}, 1}};
  summary.times = {{"training", std::chrono::seconds{1}}};
  summary.more = {{"kl", 0.5}, {"seed", 99.0}};
  BOOST_REQUIRE(uut->write_summary(summary).has_value());
  auto json = nlohmann::json::parse(content(uut->summary_file()));
  BOOST_TEST(json["warm_start_accuracy"] == 0.25);
  BOOST_TEST(json["final_accuracy"] == 0.75);
  BOOST_TEST(json["wall_seconds"] == 1.5);
  BOOST_TEST(json["episodes"] == 12);
  BOOST_TEST(json["weights_identical"] == true);
  BOOST_TEST(json["exit_reason"] == "finished");
  BOOST_TEST(json["seed"] == 3);
  BOOST_TEST(json["kl"] == 0.5);
  BOOST_TEST(json["tokens_per_second"].is_null());
  BOOST_TEST(json["processes"][0]["models"][0] == "policy");
  BOOST_TEST(json["processes"][0]["restarts"] == 1);
  BOOST_TEST(json["times"]["training"] == 1.0);
  // Written anew it replaces the old one and leaves no draft.
  summary.weights_identical.reset();
  BOOST_REQUIRE(uut->write_summary(summary).has_value());
  json = nlohmann::json::parse(content(uut->summary_file()));
  BOOST_TEST(json["weights_identical"].is_null());
  BOOST_TEST(!fs::exists(uut->path() / "summary.json.part"));
  fs::remove_all(uut->path());
  BOOST_TEST(!uut->write_summary(summary).has_value());
}

BOOST_AUTO_TEST_CASE(each_episode_is_one_line_of_metrics) {
  line_writer uut;
  auto file = root / "metrics.jsonl";
  BOOST_REQUIRE(uut.open(file).has_value());
  episode_row row;
  row.episode = 1;
  row.num_episode = 2;
  row.mean_reward = 0.5;
  row.loss = std::nan("");
  row.kl = -std::numeric_limits<double>::infinity();
  row.elapsed = std::chrono::milliseconds{2500};
  row.more = {{"clip_fraction", 0.25}, {"episode", 9.0}};
  BOOST_REQUIRE(uut.write(row).has_value());
  BOOST_TEST(content(file)
             == "{\"episode\":1,\"num_episode\":2,\"mean_reward\":0.5,"
                "\"eval_accuracy\":null,\"tokens_per_second\":null,"
                "\"sync_ms\":null,\"loss\":null,\"kl\":null,"
                "\"elapsed_seconds\":2.5,\"clip_fraction\":0.25}\n");
  nlohmann::ordered_json other;
  other["text"] = "not \xff UTF-8\n";
  BOOST_REQUIRE(uut.write(other).has_value());
  auto text = content(file);
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 2);
  BOOST_TEST(!uut.write(nlohmann::ordered_json{3}).has_value());
}

BOOST_AUTO_TEST_CASE(threads_do_not_mix_their_lines) {
  line_writer uut;
  auto file = root / "metrics.jsonl";
  BOOST_REQUIRE(uut.open(file).has_value());
  std::vector<std::thread> threads;
  for (auto t = 0; t < 4; ++t)
    threads.emplace_back([&uut] {
      for (auto i = 0; i < 100; ++i) {
        episode_row row;
        row.episode = i;
        (void) uut.write(row);
      }
    });
  for (auto& thread : threads)
    thread.join();
  std::ifstream in{file};
  std::string line;
  auto lines = 0;
  for (; std::getline(in, line); ++lines)
    BOOST_REQUIRE(nlohmann::json::accept(line));
  BOOST_TEST(lines == 400);
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error_that_says_so) {
  line_writer uut;
  BOOST_REQUIRE(uut.open("/dev/full").has_value());
  auto written = uut.write(episode_row{});
  BOOST_REQUIRE(!written.has_value());
  BOOST_TEST((written.error().code() == errc::exhausted));
  BOOST_TEST(written.error().message()
             == "cannot write /dev/full: No space left on device; free some "
                "space or choose another place with runtime.output_dir");
}

BOOST_AUTO_TEST_CASE(metrics_want_an_open_file) {
  line_writer uut;
  BOOST_TEST(!uut.write(episode_row{}).has_value());
  BOOST_TEST(!uut.open(root / "no/such/folder").has_value());
}

// -- going on -----------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_run_is_found_by_name_or_by_path) {
  auto made = uut_type::create(root, "first", "grpo");
  BOOST_REQUIRE(made);
  BOOST_REQUIRE(!uut_type::find(root, "first"));
  BOOST_REQUIRE(made->write_config("app: grpo\n"));
  BOOST_TEST((uut_type::find(root, "first").value() == root / "first"));
  auto path = (root / "first").string();
  BOOST_TEST((uut_type::find("elsewhere", path).value() == root / "first"));
  BOOST_TEST(
    (uut_type::find("elsewhere", path + "/").value() == root / "first"));
  auto none = uut_type::find(root, "second");
  BOOST_REQUIRE(!none);
  BOOST_TEST((none.error().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(a_run_belongs_to_one_at_a_time) {
  {
    auto made = uut_type::create(root, "first", "grpo");
    BOOST_REQUIRE(made);
    auto second = uut_type::reopen(root / "first");
    BOOST_REQUIRE(!second);
    BOOST_TEST((second.error().code() == errc::unavailable));
  }
  auto second = uut_type::reopen(root / "first");
  BOOST_REQUIRE_MESSAGE(second, test::why(second));
  BOOST_TEST(second->name() == "first");
}

BOOST_AUTO_TEST_CASE(a_run_that_cannot_be_rewound_keeps_its_summary) {
  auto uut = uut_type::create(root, "first", "grpo");
  BOOST_REQUIRE(uut);
  std::ofstream{uut->summary_file()} << "{}";
  std::filesystem::create_directory(uut->metrics_file());
  BOOST_TEST(!uut->rewind(2));
  BOOST_TEST(content(uut->summary_file()) == "{}");
}

BOOST_AUTO_TEST_CASE(a_rewound_run_keeps_whole_lines_up_to_the_episode) {
  auto uut = uut_type::create(root, "first", "grpo");
  BOOST_REQUIRE(uut);
  {
    line_writer metrics;
    BOOST_REQUIRE(metrics.open(uut->metrics_file()));
    for (auto episode : {1, 2, 3}) {
      episode_row row;
      row.episode = episode;
      row.mean_reward = episode / 8.0;
      row.more["entropy"] = 0.1;
      BOOST_REQUIRE(metrics.write(row));
    }
  }
  auto before = content(uut->metrics_file());
  std::ofstream{uut->metrics_file(), std::ios::app} << "{\"episode\": 2, \"mea";
  std::ofstream{uut->ledger_file()} << "{\"episode\":1,\"end\":4}\n"
                                    << "{\"episode\":3,\"end\":12}\n";
  auto done = uut->rewind(2);
  BOOST_REQUIRE_MESSAGE(done, test::why(done));
  auto rows = uut->rows();
  BOOST_REQUIRE(rows.size() == 2u);
  BOOST_TEST((rows[1].mean_reward == 0.25));
  BOOST_TEST(content(uut->ledger_file()) == "{\"episode\":1,\"end\":4}\n");
  // Byte by byte what was written.
  auto after = content(uut->metrics_file());
  BOOST_TEST(before.substr(0, after.size()) == after);
  BOOST_TEST(std::count(after.begin(), after.end(), '\n') == 2);
}

BOOST_AUTO_TEST_SUITE_END()
