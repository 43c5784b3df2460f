// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/certificates.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <sstream>

#include <sys/stat.h>

#include "support/scratch.hpp"
#include "support/why.hpp"
#include "troupe/actors/net/openssl_handles.hpp"
#include "troupe/actors/net/tls_identity.hpp"

using namespace troupe;
using namespace troupe::net;
using std::chrono::hours;
namespace fs = std::filesystem;

namespace {

struct fixture {
  /// A folder of certificates.
  fs::path make(const char* name, certificate_lifetimes lifetimes = {}) {
    auto at = folder.path() / name;
    const std::string names[] = {"node-a", "10.0.0.1", "fd00::1"};
    auto made = make_certificates(at, names, lifetimes);
    BOOST_REQUIRE_MESSAGE(made, test::why(made));
    return at;
  }

  static std::string why_not(const fs::path& at) {
    auto x = tls_identity::load(at);
    if (x)
      return "loaded";
    BOOST_TEST((x.error().code() == errc::invalid));
    return x.error().message();
  }

  static void replace(const fs::path& to, const fs::path& from) {
    fs::copy_file(from, to, fs::copy_options::overwrite_existing);
    // The copy has the modes of what it replaces or copies: 0600 and 0644.
  }

  test::scratch folder;
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

unsigned mode_of(const fs::path& x) {
  struct stat status {};
  ::stat(x.c_str(), &status);
  return status.st_mode & 0777;
}

std::string content_of(const fs::path& x) {
  std::ifstream in{x};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(certificates, fixture)

BOOST_AUTO_TEST_CASE(what_is_made_can_be_loaded_and_hides_its_keys) {
  auto at = make("a");
  BOOST_TEST(why_not(at) == "loaded");
  BOOST_TEST(mode_of(at / ca_key_file) == 0600u);
  BOOST_TEST(mode_of(at / node_key_file) == 0600u);
  // The machines do not need the authority's key.
  fs::remove(at / ca_key_file);
  BOOST_TEST(why_not(at) == "loaded");
}

BOOST_AUTO_TEST_CASE(the_certificate_names_the_machines) {
  auto at = make("a");
  auto pem = content_of(at / node_certificate_file);
  bio_handle bio{::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  certificate_handle x{
    ::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
  BOOST_REQUIRE(x);
  for (const auto* name : {"node-a", "localhost"})
    BOOST_TEST(::X509_check_host(x.get(), name, 0, 0, nullptr) == 1, name);
  for (const auto* ip : {"10.0.0.1", "127.0.0.1", "fd00::1"})
    BOOST_TEST(::X509_check_ip_asc(x.get(), ip, 0) == 1, ip);
  BOOST_TEST(::X509_check_host(x.get(), "node-b", 0, 0, nullptr) == 0);
  // It signs nobody.
  BOOST_TEST(::X509_check_ca(x.get()) == 0);
}

BOOST_AUTO_TEST_CASE(nothing_is_overwritten) {
  auto at = make("a");
  for (const auto* kept : {ca_certificate_file, ca_key_file,
                           node_certificate_file, node_key_file}) {
    for (const auto& x : fs::directory_iterator{at})
      if (x.path().filename() != kept)
        fs::remove(x.path());
    auto before = content_of(at / kept);
    auto again = make_certificates(at, {});
    BOOST_REQUIRE(!again);
    BOOST_TEST((again.error().code() == errc::refused));
    BOOST_TEST(has(again.error().message(), kept));
    BOOST_TEST(content_of(at / kept) == before);
    BOOST_TEST(std::distance(fs::directory_iterator{at}, {}) == 1);
    fs::remove(at / kept);
    make("a");
  }
}

BOOST_AUTO_TEST_CASE(a_name_that_is_none_is_refused_before_anything_is_made) {
  for (const auto* bad : {"", "a,DNS:b", "a b", "node-a:4100", "x\n"}) {
    const std::string names[] = {bad};
    auto x = make_certificates(folder.path() / "b", names);
    BOOST_REQUIRE(!x);
    BOOST_TEST((x.error().code() == errc::invalid));
  }
  BOOST_TEST(!fs::exists(folder.path() / "b"));
}

BOOST_AUTO_TEST_CASE(the_authority_signs_more_certificates) {
  auto at = make("a");
  BOOST_REQUIRE(sign_certificate(at, "node-b", {}).has_value());
  BOOST_TEST(why_not(at / "node-b") == "loaded");
  BOOST_TEST(mode_of(at / "node-b" / node_key_file) == 0600u);
  BOOST_TEST(!fs::exists(at / "node-b" / ca_key_file));
  BOOST_TEST(content_of(at / "node-b" / ca_certificate_file)
             == content_of(at / ca_certificate_file));
  BOOST_TEST(content_of(at / "node-b" / node_key_file)
             != content_of(at / node_key_file));
  auto again = sign_certificate(at, "node-b", {});
  BOOST_REQUIRE(!again);
  BOOST_TEST((again.error().code() == errc::refused));
}

BOOST_AUTO_TEST_CASE(who_is_no_authority_signs_nothing) {
  auto at = make("a");
  for (const auto* bad : {"", ".", "..", "a/b", "../x"}) {
    auto x = sign_certificate(at, bad, {});
    BOOST_REQUIRE(!x);
    BOOST_TEST((x.error().code() == errc::invalid));
  }
  auto expired = make("old",
                      {.ca = -std::chrono::minutes{1}, .node = hours{1}});
  auto old = sign_certificate(expired, "node-b", {});
  BOOST_REQUIRE(!old);
  BOOST_TEST(has(old.error().message(), "has expired"));
  replace(at / ca_key_file, expired / ca_key_file);
  BOOST_TEST(!sign_certificate(at, "node-b", {}));
  fs::remove(at / ca_key_file);
  auto without = sign_certificate(at, "node-b", {});
  BOOST_REQUIRE(!without);
  BOOST_TEST((without.error().code() == errc::invalid));
  BOOST_TEST(has(without.error().message(), "ca.key"));
  BOOST_TEST(!fs::exists(at / "node-b"));
}

BOOST_AUTO_TEST_CASE(a_missing_or_damaged_file_is_named_with_what_to_do) {
  for (const auto* file :
       {ca_certificate_file, node_certificate_file, node_key_file}) {
    auto at = make(file);
    auto path = at / file;
    auto content = content_of(path);
    std::ofstream{path} << content.substr(0, content.size() / 2);
    BOOST_TEST(has(why_not(at), path.string()));
    std::ofstream{path} << std::string(100'000, 'x');
    BOOST_TEST(has(why_not(at), "too long"));
    fs::remove(path);
    BOOST_TEST(why_not(at)
               == path.string()
                    + " is missing: make certificates with `troupe certs "
                      "DIR`");
  }
}

BOOST_AUTO_TEST_CASE(a_key_that_others_can_read_is_refused) {
  auto at = make("a");
  auto path = at / node_key_file;
  for (auto mode : {0640, 0604, 0660}) {
    ::chmod(path.c_str(), static_cast<mode_t>(mode));
    BOOST_TEST(has(why_not(at), "chmod 600 " + path.string()));
  }
  ::chmod(path.c_str(), 0400);
  BOOST_TEST(why_not(at) == "loaded");
}

BOOST_AUTO_TEST_CASE(files_of_two_folders_do_not_mix) {
  auto a = make("a");
  auto b = make("b");
  replace(a / node_key_file, b / node_key_file);
  BOOST_TEST(has(why_not(a), "node.key does not belong to"));
  replace(a / node_certificate_file, b / node_certificate_file);
  BOOST_TEST(has(why_not(a), "was not signed by"));
  replace(a / ca_certificate_file, b / ca_certificate_file);
  BOOST_TEST(why_not(a) == "loaded");
}

BOOST_AUTO_TEST_CASE(who_has_expired_is_named) {
  auto node = make("node", {.ca = hours{1}, .node = -std::chrono::minutes{1}});
  BOOST_TEST(has(why_not(node), "node.pem has expired on 20"));
  auto ca = make("ca", {.ca = -std::chrono::minutes{1}, .node = hours{1}});
  BOOST_TEST(has(why_not(ca), "ca.pem has expired on 20"));
}

BOOST_AUTO_TEST_SUITE_END()
