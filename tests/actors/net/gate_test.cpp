// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/gate.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>

#include "actors/net/support.hpp"
#include "troupe/actors/net/knock.hpp"
#include "troupe/actors/net/proof.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;
using preamble::channel;

namespace {

struct fixture {
  explicit fixture(gate_settings config = {})
    : gate(*net::gate::start(std::move(config))) {
    gate->admit("job", key);
    gate->route(process::node_slot, there.port());
  }

  [[nodiscard]] std::unique_ptr<stream> come() const {
    return net_test::connect_to(gate->bound());
  }

  /// Opens a channel; the error's code or nothing.
  static std::optional<errc> try_opening(stream& x, preamble::hello opening,
                                         const job_key* with = nullptr) {
    auto opened = knock(x, "the gate", opening, with, soon());
    return opened ? std::nullopt : std::optional{opened.error().code()};
  }

  net_test::server there{net_test::echo};
  job_key key = *job_key::make();
  std::unique_ptr<net::gate> gate;
};

/// A gate at a port that nobody else gets when it goes.
struct at_held_port : private test::held_port, fixture {
  static gate_settings settings(std::uint16_t port) {
    gate_settings x;
    x.listen.port = port;
    return x;
  }

  at_held_port() : fixture(settings(number())) {
    // nop
  }
};

/// A gate that gives nobody much time.
struct hasty : fixture {
  static gate_settings settings() {
    gate_settings x;
    x.opening_max = std::chrono::seconds{3};
    return x;
  }

  hasty() : fixture(settings()) {
    // nop
  }
};

const preamble::hello to_node{channel::control, process::node_slot, ""};

bool echoes(stream& x) {
  auto data = net_test::pattern(10'000);
  bytes back(data.size());
  return send_all(x, data, soon()) && receive_all(x, back, soon())
         && back == data;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(gate, fixture)

BOOST_AUTO_TEST_CASE(control_leads_to_the_port_of_its_slot) {
  net_test::server other{net_test::hold};
  gate->route(3, other.port());
  auto x = come();
  BOOST_TEST((try_opening(*x, to_node) == std::nullopt));
  BOOST_TEST(echoes(*x));
  BOOST_TEST(there.accepted() == 1);
  auto y = come();
  BOOST_TEST((try_opening(*y, {channel::control, 3, "job"}) == std::nullopt));
  BOOST_TEST(net_test::becomes([&] { return other.accepted() == 1; }));
  BOOST_TEST(gate->connections() == 2);
  x.reset();
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 1; }));
}

BOOST_AUTO_TEST_CASE(no_process_in_a_slot_is_a_sentence) {
  test::held_port held;
  gate->route(4, held.number());
  gate->route(5, there.port());
  gate->unroute(5);
  for (auto slot : {3, 4, 5}) {
    auto x = come();
    auto opened = knock(*x, "a:1", {channel::control, slot, ""}, nullptr,
                        soon());
    BOOST_REQUIRE(!opened);
    BOOST_TEST((opened.error().code() == errc::unavailable));
    BOOST_TEST(opened.error().message()
               == "a:1: no process in slot " + std::to_string(slot));
    BOOST_TEST(net_test::ends(*x));
  }
}

BOOST_AUTO_TEST_CASE(others_addresses_are_refused_without_tls) {
  for (const auto* host : {"0.0.0.0", "::", "192.0.2.1"}) {
    gate_settings config;
    config.listen.host = host;
    auto x = net::gate::start(config);
    BOOST_REQUIRE(!x);
    BOOST_TEST((x.error().code() == errc::refused));
    BOOST_TEST(x.error().message().find("troupe certs DIR")
               != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_taken_port_is_unavailable) {
  gate_settings config;
  config.listen = gate->bound();
  auto x = net::gate::start(config);
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_pulse_is_handed_out_after_its_proof) {
  auto x = come();
  BOOST_TEST(
    (try_opening(*x, {channel::pulse, -1, "job"}, &key) == errc::unavailable));
  net_test::watched<std::unique_ptr<stream>> taken;
  gate->on_pulse([&taken](process::unique_fd fd) {
    taken.set(make_plain_stream(std::move(fd)));
  });
  auto y = come();
  BOOST_TEST(
    (try_opening(*y, {channel::pulse, -1, "job"}, &key) == std::nullopt));
  BOOST_REQUIRE(taken.wait([](const auto& z) { return z != nullptr; }));
  bytes sign(1);
  BOOST_TEST(send_all(*y, sign, soon()).has_value());
  taken.update([&sign](auto& z) {
    BOOST_TEST(receive_all(*z, sign, soon()).has_value());
  });
}

BOOST_AUTO_TEST_CASE(another_key_and_an_unknown_job_are_refused) {
  gate->on_pulse([](process::unique_fd) { BOOST_ERROR("a pulse got in"); });
  auto other = *job_key::make();
  for (auto kind : {channel::data, channel::pulse}) {
    auto x = come();
    BOOST_TEST((try_opening(*x, {kind, -1, "job"}, &other) == errc::refused));
    auto y = come();
    BOOST_TEST((try_opening(*y, {kind, -1, "jab"}, &key) == errc::refused));
  }
  gate->dismiss("job");
  auto z = come();
  BOOST_TEST(
    (try_opening(*z, {channel::data, -1, "job"}, &key) == errc::refused));
}

BOOST_AUTO_TEST_CASE(a_proof_that_was_overheard_is_worth_nothing) {
  gate->on_pulse([](process::unique_fd) { BOOST_ERROR("a pulse got in"); });
  // What an honest dialer says: heard between it and the gate.
  preamble::hello opening{channel::data, process::node_slot, "job"};
  auto honest = come();
  BOOST_REQUIRE(send_all(*honest, preamble::encode(opening), soon()));
  auto said = receive_opening(*honest, soon());
  BOOST_REQUIRE(said);
  auto first = std::get<preamble::challenge>(*said);
  auto nonce = *random_secret();
  auto answer = preamble::encode(
    preamble::answer{nonce, make_proof(key, prover::dialer, opening,
                                       first.nonce, nonce)});
  BOOST_REQUIRE(send_all(*honest, answer, soon()));
  auto welcome = receive_opening(*honest, soon());
  BOOST_REQUIRE(welcome);
  BOOST_TEST(std::holds_alternative<preamble::accepted>(*welcome));
  // Once more, for the same channel and for another.
  for (auto kind : {channel::data, channel::pulse}) {
    opening.kind = kind;
    auto thief = come();
    BOOST_REQUIRE(send_all(*thief, preamble::encode(opening), soon()));
    auto second = receive_opening(*thief, soon());
    BOOST_REQUIRE(second);
    BOOST_TEST((std::get<preamble::challenge>(*second) != first));
    BOOST_REQUIRE(send_all(*thief, answer, soon()));
    auto refusal = receive_opening(*thief, soon());
    BOOST_REQUIRE(refusal);
    BOOST_TEST(std::holds_alternative<preamble::refused>(*refusal));
    BOOST_TEST(net_test::ends(*thief));
  }
}

BOOST_AUTO_TEST_CASE(a_gate_without_the_key_does_not_fool_a_dialer) {
  // It lets everybody in, but cannot prove itself.
  net_test::server imposter{[](stream& x) {
    auto hello = receive_opening(x, soon());
    net_test::must_hold(send_all(x, preamble::encode(preamble::challenge{}),
                                 soon())
                          .has_value(),
                        "it is said");
    auto answer = receive_opening(x, soon());
    net_test::must_hold(hello && answer, "both came");
    net_test::must_hold(send_all(x, preamble::encode(preamble::accepted{}),
                                 soon())
                          .has_value(),
                        "it is said");
    net_test::hold(x);
  }};
  auto x = net_test::connect_to(imposter.at());
  BOOST_TEST(
    (try_opening(*x, {channel::data, -1, "job"}, &key) == errc::refused));
}

BOOST_AUTO_TEST_CASE(another_version_gets_a_sentence) {
  auto raw = preamble::encode(to_node);
  raw[4] = std::byte{2};
  auto x = come();
  BOOST_REQUIRE(send_all(*x, raw, soon()));
  auto said = receive_opening(*x, soon());
  BOOST_REQUIRE(said);
  auto& why = std::get<preamble::refused>(*said).reason;
  BOOST_TEST((why.code() == errc::refused));
  BOOST_TEST(why.message().find("version 2") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(noise_neither_gets_in_nor_stays) {
  auto random = net_test::seeded_generator();
  const bytes seeds[] = {preamble::encode(
                           preamble::hello{channel::data, 3, "job"}),
                         preamble::encode(
                           preamble::hello{channel::control, 99, ""}),
                         preamble::encode(preamble::answer{})};
  for (int i = 0; i < 300; ++i) {
    auto x = come();
    BOOST_REQUIRE(x);
    auto noise = net_test::mutate(seeds[random() % 3], random);
    [[maybe_unused]] auto sent = send_all(*x, noise, soon());
  }
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 0; }));
  auto x = come();
  BOOST_TEST((try_opening(*x, to_node) == std::nullopt));
  BOOST_TEST(echoes(*x));
}

BOOST_FIXTURE_TEST_CASE(a_silent_or_slow_stranger_stalls_nobody, hasty) {
  auto silent = come();
  auto slow = come();
  auto half = preamble::encode(to_node);
  half.resize(3);
  BOOST_REQUIRE(send_all(*slow, half, soon()));
  // TLS that never goes on, to a gate without and with it alike.
  auto began = steady_clock().now();
  auto quick = come();
  BOOST_TEST((try_opening(*quick, to_node) == std::nullopt));
  BOOST_TEST((steady_clock().now() - began < settings().opening_max));
  // And they are not waited for.
  BOOST_TEST(net_test::ends(*silent));
  BOOST_TEST(net_test::ends(*slow));
  BOOST_TEST(echoes(*quick));
}

BOOST_AUTO_TEST_CASE(strangers_beyond_the_bound_are_closed_at_once) {
  gate_settings config;
  config.connections_max = 4;
  config.opening_max = std::chrono::minutes{1};
  auto small = *net::gate::start(config);
  std::vector<std::unique_ptr<stream>> silent;
  for (int i = 0; i < 4; ++i)
    silent.push_back(net_test::connect_to(small->bound()));
  BOOST_TEST(net_test::becomes([&] { return small->connections() == 4; }));
  auto fifth = net_test::connect_to(small->bound());
  BOOST_TEST(net_test::ends(*fifth));
  BOOST_TEST(small->connections() == 4);
  silent.pop_back();
  BOOST_TEST(net_test::becomes([&] { return small->connections() == 3; }));
  small->route(process::node_slot, there.port());
  auto sixth = net_test::connect_to(small->bound());
  BOOST_TEST((try_opening(*sixth, to_node) == std::nullopt));
}

BOOST_FIXTURE_TEST_CASE(a_gate_that_goes_leaves_nothing_open, at_held_port) {
  auto before = process_test::open_descriptors();
  auto x = come();
  BOOST_TEST((try_opening(*x, to_node) == std::nullopt));
  BOOST_TEST(echoes(*x));
  auto at = gate->bound();
  gate.reset();
  BOOST_TEST(net_test::ends(*x));
  x.reset();
  BOOST_TEST(!net_test::connect_to(at));
  BOOST_TEST(net_test::becomes(
    [&] { return process_test::open_descriptors() < before; }));
}

BOOST_AUTO_TEST_SUITE_END()
