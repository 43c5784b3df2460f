// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/data_client.hpp"

#include <boost/test/unit_test.hpp>

#include <cstring>
#include <future>

#include "actors/net/support.hpp"
#include "troupe/actors/net/data_protocol.hpp"
#include "troupe/actors/net/gate.hpp"
#include "troupe/actors/net/knock.hpp"
#include "troupe/actors/net/proof.hpp"
#include "troupe/actors/process/memory_file.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;

namespace {

constexpr incarnation life{2};

/// A gate whose process in slot 5 has one buffer, number 7.
struct fixture {
  fixture() {
    gate->admit("job", key);
    gate->serve([this](std::int32_t slot, incarnation x, buffer_id id,
                       deadline) -> result<process::exported_file> {
      ++asked;
      if (slot != 5 || x != life)
        return fail(errc::lost, "host 5 (incarnation 1) is gone");
      if (id != buffer_id{7})
        return fail(errc::unavailable, "no such buffer");
      return process::exported_file{file, data.size()};
    });
  }

  void store(std::size_t size) {
    data = net_test::pattern(size);
    auto made = process::make_sealed_file(size, [this](auto out) {
      std::memcpy(out.data(), data.data(), out.size());
    });
    BOOST_REQUIRE(made);
    file = std::make_shared<const process::unique_fd>(std::move(*made));
  }

  [[nodiscard]] result<process::fetched_file> get(std::uint64_t id = 7,
                                                  std::uint64_t bytes_max = gib,
                                                  deadline until = soon()) {
    return client.fetch(gate->bound(), "job", key, 5, life, buffer_id{id},
                        until, bytes_max);
  }

  [[nodiscard]] bool is_data(const process::fetched_file& x) const {
    auto mapped = process::map_sealed_file(x.file, x.size);
    return mapped && same_bytes(mapped->bytes(), data);
  }

  bytes data;
  std::shared_ptr<const process::unique_fd> file;
  std::atomic<int> asked = 0;
  job_key key = *job_key::make();
  std::unique_ptr<net::gate> gate = *net::gate::start({});
  net::data_client client;
};

/// Opens the gate's side of a data channel and says what a test wants.
class false_gate {
public:
  false_gate(const job_key& key, bytes says)
    : server_([key, says](stream& x) {
        auto first = receive_opening(x, soon());
        preamble::challenge challenge{*random_secret()};
        if (!first || !send_all(x, preamble::encode(challenge), soon()))
          return;
        auto second = receive_opening(x, soon());
        if (!second)
          return;
        auto hello = std::get<preamble::hello>(*first);
        auto answer = std::get<preamble::answer>(*second);
        preamble::accepted welcome{
          make_proof(key, prover::gate, hello, challenge.nonce, answer.nonce)};
        bytes request(data_protocol::request::bytes_size);
        if (!send_all(x, preamble::encode(welcome), soon())
            || !receive_all(x, request, soon()))
          return;
        [[maybe_unused]] auto sent = send_all(x, says, soon());
      }) {
    // nop
  }

  [[nodiscard]] endpoint at() const { return server_.at(); }

private:
  net_test::server server_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(data_client, fixture)

BOOST_AUTO_TEST_CASE(sixty_four_megabytes_arrive_as_a_sealed_file) {
  store(64 * 1024 * 1024 + 3);
  auto began = steady_clock().now();
  auto x = get();
  std::chrono::duration<double> took = steady_clock().now() - began;
  std::cout << "64 MiB in " << took.count() << " s\n";
  BOOST_REQUIRE(x);
  BOOST_TEST(x->size == data.size());
  BOOST_TEST(is_data(*x));
}

BOOST_AUTO_TEST_CASE(a_connection_is_used_again) {
  store(1000);
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(get().has_value());
  BOOST_TEST(client.idle() == 1);
  BOOST_TEST(gate->connections() == 1);
  BOOST_TEST(asked == 5);
  // Also after an answer without a buffer.
  BOOST_TEST(!get(8).has_value());
  BOOST_TEST(client.idle() == 1);
}

BOOST_AUTO_TEST_CASE(what_the_other_side_says_is_what_the_caller_hears) {
  store(1000);
  auto gone = get(8);
  BOOST_REQUIRE(!gone);
  BOOST_TEST((gone.error().code() == errc::unavailable));
  BOOST_TEST(gone.error().message() == "no such buffer");
  auto older = client.fetch(gate->bound(), "job", key, 5, incarnation{1},
                            buffer_id{7}, soon());
  BOOST_REQUIRE(!older);
  BOOST_TEST((older.error().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(more_than_expected_is_corrupt_and_not_sent) {
  store(100'000);
  auto x = get(7, 99'999);
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::corrupt));
  BOOST_TEST(get(7, 100'000).has_value());
  BOOST_TEST(gate->connections() == 1);
}

BOOST_AUTO_TEST_CASE(another_key_is_refused) {
  store(1000);
  auto other = *job_key::make();
  auto x = client.fetch(gate->bound(), "job", other, 5, life, buffer_id{7},
                        soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::refused));
  // Nor does it get the connection of who has the key.
  BOOST_TEST(get().has_value());
  BOOST_TEST(
    !client.fetch(gate->bound(), "job", other, 5, life, buffer_id{7}, soon())
       .has_value());
  BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_CASE(a_gate_that_is_gone_has_lost_its_buffers) {
  store(1000);
  BOOST_TEST(get().has_value());
  auto at = gate->bound();
  gate.reset();
  auto x = client.fetch(at, "job", key, 5, life, buffer_id{7}, soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::lost));
  BOOST_TEST(client.idle() == 0);
}

BOOST_AUTO_TEST_CASE(a_handler_that_waits_costs_its_asker_alone) {
  store(1000);
  net_test::watched<bool> released;
  gate->serve([&](std::int32_t, incarnation, buffer_id id,
                  deadline until) -> result<process::exported_file> {
    if (id == buffer_id{1})
      net_test::must_hold(released.wait([](bool x) { return x; }, until),
                          "released");
    return process::exported_file{file, data.size()};
  });
  auto slow = std::async(std::launch::async, [&] { return get(1); });
  for (int i = 0; i < 10; ++i)
    BOOST_TEST(get(2).has_value());
  released.set(true);
  BOOST_TEST(slow.get().has_value());
}

BOOST_AUTO_TEST_CASE(an_answer_that_does_not_come_times_out) {
  net_test::watched<bool> over;
  gate->serve([&](std::int32_t, incarnation, buffer_id,
                  deadline) -> result<process::exported_file> {
    net_test::must_hold(over.wait([](bool x) { return x; }), "over");
    return fail(errc::unavailable, "late");
  });
  auto x = get(7, gib, deadline::after(std::chrono::milliseconds{100}));
  over.set(true);
  // Returns when the handler, which knows `over`, has.
  gate->serve({});
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::timed_out));
  BOOST_TEST(client.idle() == 0);
}

BOOST_AUTO_TEST_CASE(a_gate_that_lies_is_not_believed) {
  auto code = [&](bytes says) {
    false_gate liar{key, std::move(says)};
    auto x = client.fetch(liar.at(), "job", key, 5, life, buffer_id{7}, soon(),
                          1000);
    BOOST_REQUIRE(!x);
    return x.error().code();
  };
  namespace protocol = data_protocol;
  auto found = [](std::uint64_t size) {
    return protocol::encode(protocol::answer{true, errc::internal, size});
  };
  BOOST_TEST((code(found(1001)) == errc::corrupt));
  BOOST_TEST((code(found(~0ull)) == errc::corrupt));
  BOOST_TEST((code(bytes(100, std::byte{7})) == errc::corrupt));
  // Ends before the bytes are complete.
  auto half = found(1000);
  half.resize(half.size() + 500);
  BOOST_TEST((code(half) == errc::lost));
  BOOST_TEST((code({}) == errc::lost));
}

BOOST_AUTO_TEST_CASE(many_threads_fetch_at_once_and_few_connections_stay) {
  store(300'000);
  std::vector<std::future<bool>> all;
  for (int i = 0; i < 12; ++i)
    all.push_back(std::async(std::launch::async, [&] {
      for (int j = 0; j < 5; ++j) {
        auto x = get();
        if (!x || !is_data(*x))
          return false;
      }
      return true;
    }));
  for (auto& x : all)
    BOOST_TEST(x.get());
  BOOST_TEST(client.idle() <= net::data_client::idle_max);
  BOOST_TEST(net_test::becomes(
    [&] { return gate->connections() <= net::data_client::idle_max; }));
}

BOOST_AUTO_TEST_CASE(a_gate_drops_who_sends_no_request) {
  auto x = net_test::connect_to(gate->bound());
  BOOST_REQUIRE(knock(*x, "the gate",
                      {preamble::channel::data, process::node_slot, "job"},
                      &key, soon()));
  BOOST_REQUIRE(send_all(*x, bytes(64, std::byte{1}), soon()));
  BOOST_TEST(net_test::ends(*x));
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 0; }));
  BOOST_TEST(asked == 0);
}

BOOST_AUTO_TEST_SUITE_END()
