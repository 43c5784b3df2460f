// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/rank_files.hpp"

#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "support/scratch.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/core/exception.hpp"

using namespace troupe;

BOOST_FIXTURE_TEST_SUITE(rank_files, test::scratch)

BOOST_AUTO_TEST_CASE(ranks_have_files_of_their_own) {
  checkpoint_writer uut{path(), rank_id{3}};
  BOOST_TEST((uut.rank_file("optimizer") == path() / "optimizer.rank3"));
}

BOOST_AUTO_TEST_CASE(names_that_could_lead_elsewhere_are_refused) {
  checkpoint_writer uut{path(), rank_id{0}};
  for (const auto* name :
       {"", ".", "..", ".x", "a/b", "/etc/x", "troupe", "troupe.engine"}) {
    BOOST_TEST_CONTEXT("name '" << name << "'") {
      BOOST_CHECK_THROW((void) uut.rank_file(name), std::invalid_argument);
      BOOST_CHECK_THROW(uut.write(name, {}), std::invalid_argument);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_name_is_written_once) {
  checkpoint_writer uut{path(), rank_id{0}};
  uut.write("x", {});
  BOOST_CHECK_THROW(uut.write("x", {}), std::invalid_argument);
  BOOST_TEST(uut.take().size() == 1u);
  BOOST_TEST(uut.take().empty());
}

BOOST_AUTO_TEST_CASE(a_reader_finds_what_the_writer_handed_over) {
  checkpoint_writer to{path(), rank_id{1}};
  batch content;
  content.set_meta("calls", std::int64_t{5});
  to.write("state", content);
  for (const auto& [file, x] : to.take())
    BOOST_REQUIRE(checkpoint::write_batch(file, x));
  checkpoint_reader from{path(), rank_id{1}};
  BOOST_TEST(from.read("state").meta_number("calls") == 5);
  BOOST_CHECK_EXCEPTION((void) from.read("weights"), std::runtime_error,
                        [](const std::runtime_error& x) {
                          return std::string_view{x.what()}.find(
                                   "weights.rank1")
                                 != std::string_view::npos;
                        });
}

BOOST_AUTO_TEST_CASE(a_damaged_file_is_told_from_a_module_that_failed) {
  checkpoint_reader from{path(), rank_id{1}};
  auto file = from.rank_file("state");
  BOOST_REQUIRE(checkpoint::write_batch(file, {}));
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  BOOST_CHECK_EXCEPTION((void) from.read("state"), troupe::exception,
                        [](const troupe::exception& x) {
                          return x.why().code() == errc::corrupt;
                        });
}

BOOST_AUTO_TEST_SUITE_END()
