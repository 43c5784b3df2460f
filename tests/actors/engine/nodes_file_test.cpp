// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/nodes_file.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include <fstream>

#include "support/scratch.hpp"

using namespace troupe;

namespace {

struct fixture : test::scratch {
  std::filesystem::path file = path() / "nodes.json";

  static protocol::joined node(std::string machine, std::int32_t pid,
                               std::string logs) {
    protocol::joined out;
    out.machine = std::move(machine);
    out.pid = pid;
    out.log_dir = std::move(logs);
    return out;
  }

  [[nodiscard]] result<void> write() const {
    return engine::write_nodes_file(file, "78e3",
                                    {{"10.0.0.2", 4100}, {"10.0.0.3", 4101}},
                                    {node("m1", 11, "/srv/logs/78e3"),
                                     node("m\xff", 12, "/var/logs/78e3")});
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_nodes_file, fixture)

BOOST_AUTO_TEST_CASE(it_names_the_job_and_each_machine) {
  BOOST_REQUIRE(write().has_value());
  std::ifstream in{file};
  auto x = nlohmann::json::parse(in);
  BOOST_TEST(x["job"] == "78e3");
  BOOST_REQUIRE(x["nodes"].size() == 2u);
  BOOST_TEST(x["nodes"][0]["node"] == 0);
  BOOST_TEST(x["nodes"][0]["address"] == "10.0.0.2:4100");
  BOOST_TEST(x["nodes"][0]["machine"] == "m1");
  BOOST_TEST(x["nodes"][0]["pid"] == 11);
  BOOST_TEST(x["nodes"][1]["log_dir"] == "/var/logs/78e3");
  // Nothing half written stays.
  BOOST_TEST(std::distance(std::filesystem::directory_iterator{path()}, {})
             == 1);
}

BOOST_AUTO_TEST_CASE(logs_are_found_by_the_number_of_the_node) {
  BOOST_REQUIRE(write().has_value());
  BOOST_REQUIRE(write().has_value());
  BOOST_TEST(engine::find_node_logs(file, node_id{0}).value_or("")
             == "/srv/logs/78e3 on m1 (10.0.0.2:4100)");
  BOOST_TEST(!engine::find_node_logs(file, node_id{2}));
}

BOOST_AUTO_TEST_CASE(what_is_no_such_file_says_nothing) {
  BOOST_TEST(!engine::find_node_logs(file, node_id{0}));
  for (const auto* text :
       {"", "[", "[]", R"({"nodes":1})", R"({"nodes":[1,{"node":"0"}]})",
        R"({"nodes":[{"node":0}]})", R"({"nodes":[{"node":0,"log_dir":7}]})"}) {
    std::ofstream{file} << text;
    BOOST_TEST(!engine::find_node_logs(file, node_id{0}));
  }
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_gone_is_said) {
  file = path() / "none" / "nodes.json";
  auto written = write();
  BOOST_REQUIRE(!written);
  BOOST_TEST((written.error().code() == errc::refused));
}

BOOST_AUTO_TEST_SUITE_END()
