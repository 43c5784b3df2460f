// SPDX-License-Identifier: Apache-2.0
// Floating point between two actor systems, over a real socket.
#include <boost/test/unit_test.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>

#include <bit>

#include "actors/protocol/odd_doubles.hpp"
#include "support/actor_fixture.hpp"
#include "support/stub_model.hpp"
#include "troupe/actors/process/batch_store.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

constexpr std::chrono::seconds soon{20};

std::uint64_t bits(double x) {
  return std::bit_cast<std::uint64_t>(x);
}

using mirror_actor = caf::typed_actor<
  caf::replies_to<wire_double>::with<wire_double>>;

/// Sends back what it gets.
class mirror : public mirror_actor::base {
public:
  explicit mirror(caf::actor_config& config) : mirror_actor::base(config) {
    // nop
  }

  const char* name() const override { return "mirror"; }

protected:
  behavior_type make_behavior() override {
    return {[](wire_double x) { return x; }};
  }
};

/// Two systems as two processes of a job run them.
struct fixture {
  node::system_config here_config;
  node::system_config there_config;
  caf::actor_system here{here_config};
  caf::actor_system there{there_config};
  caf::scoped_actor self{here};
  std::vector<caf::actor> spawned;

  ~fixture() {
    for (const auto& x : spawned)
      caf::anon_send_exit(x, caf::exit_reason::kill);
  }

  /// Spawns T over there and connects to it from here.
  template <class T, class... Ts>
  caf::infer_handle_from_class_t<T> remote(Ts&&... xs) {
    using handle = caf::infer_handle_from_class_t<T>;
    auto x = there.spawn<T>(std::forward<Ts>(xs)...);
    spawned.push_back(caf::actor_cast<caf::actor>(x));
    auto port = there.middleman().publish(x, 0, "127.0.0.1");
    BOOST_REQUIRE(port);
    auto find = [&] {
      return here.middleman().remote_actor<handle>("127.0.0.1", *port);
    };
    auto until = deadline::after(soon);
    auto got = find();
    while (!got && is_dropped_early(from_caf(got.error())) && !until.passed())
      got = find();
    BOOST_REQUIRE_MESSAGE(got, here.render(got ? caf::error{} : got.error()));
    BOOST_REQUIRE(got->node() != here.node());
    return *got;
  }

  template <class Reply, class Handle, class Message>
  Reply ask(const Handle& target, Message message) {
    Reply out;
    std::string failure;
    self->request(target, soon, std::move(message))
      .receive([&](Reply& x) { out = std::move(x); },
               [&](caf::error& x) { failure = to_string(from_caf(x)); });
    BOOST_REQUIRE_MESSAGE(failure.empty(), failure);
    return out;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(protocol_socket, fixture)

BOOST_AUTO_TEST_CASE(wire_doubles_cross_a_socket_bit_for_bit) {
  auto far = remote<mirror>();
  for (auto x : test::odd_doubles())
    BOOST_TEST(bits(ask<wire_double>(far, wire_double{x}).value()) == bits(x));
}

BOOST_AUTO_TEST_CASE(an_inline_batch_crosses_a_socket_bit_for_bit) {
  const auto& values = test::odd_doubles();
  auto rows = static_cast<std::int64_t>(values.size());
  std::vector<float> floats;
  for (auto x : values)
    floats.push_back(static_cast<float>(x));
  batch sent;
  sent.set("double", tensor::copy_of(std::span<const double>{values}, {rows}));
  sent.set("float", tensor::copy_of(std::span<const float>{floats}, {rows}));
  for (std::size_t i = 0; i < values.size(); ++i)
    sent.set_meta(std::to_string(i), values[i]);
  process::batch_store store{{}};
  invoke request;
  request.function = "echo";
  request.input.parts.push_back(store.put(sent, 1).value());
  BOOST_REQUIRE(request.input.parts[0].is_inline());
  auto script = std::make_shared<test::model_script>();
  auto got = ask<invoked>(remote<test::stub_model>(script), request);
  auto back = store.get(got.output, deadline::after(soon));
  BOOST_REQUIRE(back);
  BOOST_TEST(back->find("double")->same_elements(*sent.find("double")));
  BOOST_TEST(back->find("float")->same_elements(*sent.find("float")));
  for (std::size_t i = 0; i < values.size(); ++i)
    BOOST_TEST(bits(back->meta_number(std::to_string(i))) == bits(values[i]));
}

BOOST_AUTO_TEST_CASE(an_error_crosses_a_socket_with_its_code_and_text) {
  auto script = std::make_shared<test::model_script>();
  script->failures["echo"] = {errc::exhausted, "out of tea"};
  invoke request;
  request.function = "echo";
  error got;
  self->request(remote<test::stub_model>(script), soon, request)
    .receive([](invoked&) {}, [&](caf::error& x) { got = from_caf(x); });
  BOOST_TEST((got == error{errc::exhausted, "out of tea"}));
}

BOOST_AUTO_TEST_SUITE_END()
