// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/peer_user.hpp"

#include <boost/test/unit_test.hpp>

#include <netinet/in.h>
#include <unistd.h>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

net::socket_address at(const char* text) {
  return resolve(*parse_endpoint(text), net_test::soon())->front();
}

// As the kernel writes them; the fourth line is one that nobody holds any more.
constexpr std::string_view
  table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
          "retrnsmt   uid  timeout inode\n"
          "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 "
          "00000000  1000        0 1 1 0 100 0 0 10 0\n"
          "   1: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 "
          "00000000  1234        0 2 1 0 20 4 30 10 -1\n"
          "   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 "
          "00000000  1000        0 3 1 0 20 4 30 10 -1\n"
          "   3: 0100007F:9C41 0100007F:1F90 06 00000000:00000000 03:00000B2C "
          "00000000     0        0 0 3 0\n";

constexpr std::string_view table6 =
  "   0: 00000000000000000000000001000000:9C40 "
  "00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 "
  "00000000  77        0 2 1 0 20 4 30 10 -1\n"
  "   1: 0000000000000000FFFF00000100007F:9C42 "
  "0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 "
  "00000000  88        0 2 1 0 20 4 30 10 -1\n";

} // namespace

BOOST_AUTO_TEST_SUITE(peer_user)

BOOST_AUTO_TEST_CASE(the_line_of_the_other_end_names_its_user) {
  auto user = find_user(table, at("127.0.0.1:40000"), at("127.0.0.1:8080"));
  BOOST_REQUIRE(user);
  BOOST_TEST(*user == 1234u);
  BOOST_TEST(
    (find_user(table6, at("[::1]:40000"), at("[::1]:8080")) == uid_t{77}));
  BOOST_TEST((find_user(table6, at("127.0.0.1:40002"), at("127.0.0.1:8080"))
              == uid_t{88}));
}

BOOST_AUTO_TEST_CASE(a_connection_that_nobody_holds_has_no_user) {
  BOOST_TEST(!find_user(table, at("127.0.0.1:40001"), at("127.0.0.1:8080")));
  BOOST_TEST(!find_user(table, at("127.0.0.1:40009"), at("127.0.0.1:8080")));
  BOOST_TEST(!find_user(table.substr(0, table.find("1234")),
                        at("127.0.0.1:40000"), at("127.0.0.1:8080")));
  BOOST_TEST(!find_user("", at("127.0.0.1:1"), at("127.0.0.1:2")));
}

BOOST_AUTO_TEST_CASE(this_process_is_its_own_peer) {
  net_test::server there{net_test::hold};
  auto x = net_test::connect_to(there.at());
  BOOST_REQUIRE(x);
  auto user = net::peer_user(x->fd());
  BOOST_REQUIRE(user);
  BOOST_TEST(*user == ::geteuid());
  BOOST_TEST(peer_is_us(x->fd()));
}

BOOST_AUTO_TEST_SUITE_END()
