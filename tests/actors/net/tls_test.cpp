// SPDX-License-Identifier: Apache-2.0
// The gate and the tunnel with certificates.
#include <boost/test/unit_test.hpp>

#include <fstream>
#include <sstream>

#include "actors/net/support.hpp"
#include "support/scratch.hpp"
#include "support/why.hpp"
#include "troupe/actors/net/certificates.hpp"
#include "troupe/actors/net/data_client.hpp"
#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/gate.hpp"
#include "troupe/actors/net/knock.hpp"
#include "troupe/actors/net/tls_identity.hpp"
#include "troupe/actors/net/tls_stream.hpp"
#include "troupe/actors/net/tunnel.hpp"
#include "troupe/actors/process/memory_file.hpp"
#include "troupe/core/log.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;
using preamble::channel;
using process::node_slot;

namespace {

tls_identity identity_in(const std::filesystem::path& folder) {
  auto made = make_certificates(folder, {});
  BOOST_REQUIRE_MESSAGE(made, test::why(made));
  auto loaded = tls_identity::load(folder);
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  return *loaded;
}

struct fixture {
  fixture() {
    BOOST_REQUIRE(log::open({log_path(), "test", log::level::info}));
    gate_settings config;
    config.listen.host = "0.0.0.0";
    config.tls = ours;
    gate = *gate::start(config);
    gate->route(node_slot, there.port());
  }

  ~fixture() { log::close(); }

  [[nodiscard]] std::string log_path() const {
    return (folder.path() / "log").string();
  }

  /// What the log says; waits until it says `part`.
  [[nodiscard]] bool logged(const std::string& part) const {
    return net_test::becomes([&] {
      std::ifstream in{log_path()};
      std::ostringstream out;
      out << in.rdbuf();
      return out.str().find(part) != std::string::npos;
    });
  }

  [[nodiscard]] endpoint at() const {
    return {"127.0.0.1", gate->bound().port};
  }

  [[nodiscard]] error why_not(const tls_identity* with) const {
    auto x = tunnel::open(at(), with, node_slot, soon());
    BOOST_REQUIRE(!x);
    return x.error();
  }

  /// A TLS client with settings of its own.
  [[nodiscard]] std::unique_ptr<stream> raw_client(SSL_CTX* context) const {
    auto socket = dial(at(), soon());
    BOOST_REQUIRE(socket);
    return make_tls_stream(context, std::move(*socket), tls_role::client);
  }

  test::scratch folder;
  net_test::server there{net_test::echo};
  tls_identity ours = identity_in(folder.path() / "ours");
  tls_identity theirs = identity_in(folder.path() / "theirs");
  std::unique_ptr<net::gate> gate;
};

bool has(const error& x, std::string_view part) {
  return x.message().find(part) != std::string::npos;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(tls, fixture)

BOOST_AUTO_TEST_CASE(sixteen_megabytes_come_back_as_sent) {
  auto way = tunnel::open(at(), &ours, node_slot, soon());
  BOOST_REQUIRE_MESSAGE(way, test::why(way));
  auto x = net_test::connect_to({"127.0.0.1", (*way)->local_port()});
  BOOST_REQUIRE(x);
  auto data = net_test::pattern(16 * 1024 * 1024);
  std::thread sender{[&] {
    net_test::must_hold(send_all(*x, data, soon()).has_value(), "all is sent");
  }};
  bytes back(data.size());
  BOOST_TEST(receive_all(*x, back, soon()).has_value());
  sender.join();
  BOOST_TEST((back == data));
  x.reset();
  BOOST_TEST(net_test::becomes([&] { return (*way)->ended(); }));
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 0; }));
}

BOOST_AUTO_TEST_CASE(who_speaks_first_there_is_heard_here) {
  // Bytes that TLS holds before anybody has asked for them.
  net_test::server talker{[](stream& x) {
    net_test::must_hold(send_all(x, net_test::pattern(100), soon()).has_value(),
                        "all is sent");
    net_test::hold(x);
  }};
  gate->route(3, talker.port());
  auto way = tunnel::open(at(), &ours, 3, soon());
  BOOST_REQUIRE(way);
  auto x = net_test::connect_to({"127.0.0.1", (*way)->local_port()});
  bytes word(100);
  BOOST_TEST(receive_all(*x, word, soon()).has_value());
  BOOST_TEST((word == net_test::pattern(100)));
}

BOOST_AUTO_TEST_CASE(
  the_certificate_of_another_authority_is_refused_and_logged) {
  auto x = why_not(&theirs);
  BOOST_TEST((x.code() == errc::refused));
  BOOST_TEST(has(x, to_string(at())));
  BOOST_TEST(has(x, "`troupe certs DIR`"));
  BOOST_TEST(logged("refused 127.0.0.1:"));
  BOOST_TEST(there.accepted() == 0);
}

BOOST_AUTO_TEST_CASE(a_dialer_does_not_trust_another_authoritys_gate) {
  // It takes anybody's certificate; the dialer is the one who refuses.
  ssl_context_handle any{::SSL_CTX_new(::TLS_server_method())};
  auto file = [this](const char* name) {
    return (folder.path() / "theirs" / name).string();
  };
  BOOST_REQUIRE(
    ::SSL_CTX_use_certificate_file(any.get(),
                                   file(node_certificate_file).c_str(),
                                   SSL_FILETYPE_PEM)
    == 1);
  BOOST_REQUIRE(::SSL_CTX_use_PrivateKey_file(any.get(),
                                              file(node_key_file).c_str(),
                                              SSL_FILETYPE_PEM)
                == 1);
  net_test::server imposter{[&any](stream& x) {
    auto secure = make_tls_stream(any.get(), x.release(), tls_role::server);
    net_test::must_hold(!finish_handshake(*secure, soon()).has_value(),
                        "the dialer refuses");
  }};
  auto x = tunnel::open(imposter.at(), &ours, node_slot, soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::refused));
  BOOST_TEST(has(x.error(), "certificate is not accepted"));
}

BOOST_AUTO_TEST_CASE(no_certificate_is_refused_and_logged) {
  ssl_context_handle bare{::SSL_CTX_new(::TLS_client_method())};
  auto x = raw_client(bare.get());
  // In TLS 1.3 the dialer's handshake ends before the gate has judged.
  if (finish_handshake(*x, soon())) {
    auto opened = knock(*x, "the gate", {channel::control, node_slot, ""},
                        nullptr, soon());
    BOOST_REQUIRE(!opened);
    BOOST_TEST((opened.error().code() == errc::refused));
    BOOST_TEST(has(opened.error(), "certificate required"));
  }
  BOOST_TEST(logged("shows no certificate"));
  BOOST_TEST(there.accepted() == 0);
}

BOOST_AUTO_TEST_CASE(older_tls_is_refused) {
  ssl_context_handle old{::SSL_CTX_new(::TLS_client_method())};
  ::SSL_CTX_set_max_proto_version(old.get(), TLS1_2_VERSION);
  auto x = raw_client(old.get());
  BOOST_TEST(!finish_handshake(*x, soon()).has_value());
  BOOST_TEST(logged("TLS failed"));
}

BOOST_AUTO_TEST_CASE(plain_control_is_refused_with_the_fix) {
  auto x = why_not(nullptr);
  BOOST_TEST((x.code() == errc::refused));
  BOOST_TEST(has(x, "--certs DIR"));
  BOOST_TEST(logged("over TLS alone"));
}

BOOST_AUTO_TEST_CASE(a_gate_without_certificates_is_told_from_a_refusal) {
  auto plain = *gate::start({});
  auto x = tunnel::open(plain->bound(), &ours, node_slot, soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::refused));
  BOOST_TEST(has(x.error(), "without `--certs DIR`"));
  BOOST_TEST(logged("which this gate has no certificates for"));
}

BOOST_AUTO_TEST_CASE(no_process_in_a_slot_is_a_sentence_over_tls_too) {
  auto x = tunnel::open(at(), &ours, 9, soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::unavailable));
  BOOST_TEST(x.error().message() == to_string(at()) + ": no process in slot 9");
}

BOOST_AUTO_TEST_CASE(data_comes_plain_with_the_key_and_never_over_tls) {
  auto key = *job_key::make();
  gate->admit("job", key);
  auto made = process::make_sealed_file(1000, [](std::span<std::byte>) {});
  auto file = std::make_shared<const process::unique_fd>(std::move(*made));
  gate->serve([&file](std::int32_t, incarnation, buffer_id, deadline) {
    return result<process::exported_file>{{file, 1000}};
  });
  data_client client;
  BOOST_TEST(
    client.fetch(at(), "job", key, 0, {}, buffer_id{1}, soon()).has_value());
  auto x = ours.connect(std::move(*dial(at(), soon())));
  BOOST_REQUIRE(finish_handshake(*x, soon()));
  auto opened = knock(*x, "the gate", {channel::data, node_slot, "job"}, &key,
                      soon());
  BOOST_REQUIRE(!opened);
  BOOST_TEST((opened.error().code() == errc::refused));
  BOOST_TEST(has(opened.error(), "without TLS"));
}

BOOST_AUTO_TEST_CASE(a_handshake_that_stalls_stalls_nobody) {
  gate_settings config;
  config.tls = ours;
  config.opening_max = std::chrono::seconds{3};
  auto hasty = *gate::start(config);
  hasty->route(node_slot, there.port());
  std::vector<std::unique_ptr<stream>> stalled;
  // The first bytes of a record of 512, and no more.
  const bytes hello{std::byte{0x16}, std::byte{3}, std::byte{1},
                    std::byte{2},    std::byte{0}, std::byte{1}};
  for (int i = 0; i < 20; ++i) {
    stalled.push_back(net_test::connect_to(hasty->bound()));
    BOOST_REQUIRE(send_all(*stalled.back(), hello, soon()));
  }
  BOOST_TEST(
    tunnel::open(hasty->bound(), &ours, node_slot, soon()).has_value());
  for (auto& x : stalled)
    BOOST_TEST(net_test::ends(*x));
  BOOST_TEST(logged("was not complete after 3000 ms"));
}

BOOST_AUTO_TEST_CASE(noise_after_the_first_byte_of_tls_is_dropped) {
  auto random = net_test::seeded_generator();
  for (int i = 0; i < 200; ++i) {
    bytes noise(1 + random() % 2000);
    for (auto& x : noise)
      x = static_cast<std::byte>(random());
    noise[0] = std::byte{0x16};
    // Half of them look like a record whose length is true.
    if (noise.size() > 5 && i % 2 == 0) {
      auto size = noise.size() - 5;
      noise[1] = std::byte{3};
      noise[2] = std::byte{1};
      noise[3] = static_cast<std::byte>(size >> 8);
      noise[4] = static_cast<std::byte>(size);
    }
    auto x = net_test::connect_to(at());
    BOOST_REQUIRE(x);
    [[maybe_unused]] auto sent = send_all(*x, noise, soon());
  }
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 0; }));
  BOOST_TEST(tunnel::open(at(), &ours, node_slot, soon()).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
