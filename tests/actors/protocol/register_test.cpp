// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/register.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include <concepts>
#include <limits>
#include <random>

#include "support/actor_fixture.hpp"
#include "support/error_recorder.hpp"

using namespace troupe;

namespace {

/// Gives each member of a message a value, by way of its `inspect`.
class filler {
public:
  using result_type = void;
  enum class mode { random, largest, to_be_cut };

  filler(std::mt19937_64& random, mode how) : random_(random), how_(how) {
    // nop
  }

  template <class... Ts>
  void operator()(Ts&... xs) {
    (fill(xs), ...);
  }

  template <class T>
  void fill(T& x) {
    if constexpr (std::is_same_v<T, bool>)
      x = how_ == mode::largest || random_() % 2 == 0;
    else if constexpr (std::is_enum_v<T>)
      x = static_cast<T>(whole<std::underlying_type_t<T>>());
    else if constexpr (std::is_integral_v<T>)
      x = whole<T>();
    else if constexpr (requires { x.address(); })
      x = T{}; // nobody
    else if constexpr (std::is_same_v<T, caf::message>)
      // CAF takes a cut message inside another one for empty and reads on
      // behind it, so those that are cut hold none.
      x = how_ == mode::to_be_cut ? caf::message{}
                                  : caf::make_message(protocol::get_errors{});
    else if constexpr (std::is_same_v<T, caf::error>)
      x = how_ == mode::to_be_cut ? caf::error{}
                                  : protocol::to_caf({errc::lost, "gone"});
    else if constexpr (std::is_same_v<T, std::string>)
      fill_bytes(x);
    else if constexpr (std::is_same_v<T, protocol::payload>)
      fill_bytes(x);
    else if constexpr (requires { x.resize(1); })
      fill_items(x);
    else if constexpr (requires { x.first, x.second; })
      (*this)(x.first, x.second);
    else
      inspect(*this, x);
  }

private:
  template <class T>
  T whole() {
    return how_ == mode::largest ? std::numeric_limits<T>::max()
                                 : static_cast<T>(random_());
  }

  template <class T>
  void fill_bytes(T& x) {
    x.resize(how_ == mode::largest ? 70'000 : random_() % 40);
    for (auto& c : x)
      c = static_cast<typename T::value_type>(random_());
  }

  template <class T>
  void fill_items(T& x) {
    x.resize(how_ == mode::largest ? 3 : random_() % 4);
    for (auto& item : x)
      fill(item);
  }

  std::mt19937_64& random_;
  mode how_;
};

/// Calls `f.operator()<T>()` for each registered message.
template <class F>
void for_each_message(F f) {
  using block = caf::id_block::troupe;
  [&]<std::size_t... Is>(std::index_sequence<Is...>) {
    (f.template operator()<typename caf::type_by_id<block::begin + Is>::type>(),
     ...);
  }
  (std::make_index_sequence<block::end - block::begin>{});
}

struct fixture : test::actor_fixture {
  std::vector<char> pack(const caf::message& x) {
    std::vector<char> buffer;
    caf::binary_serializer sink{system(), buffer};
    BOOST_REQUIRE(!sink(x));
    return buffer;
  }

  /// False if it is refused.
  bool unpack(const std::vector<char>& buffer, caf::message& x) {
    caf::binary_deserializer source{system(), buffer};
    return !source(x);
  }

  template <class T>
  void round_trip(const T& x) {
    auto sent = pack(caf::make_message(x));
    caf::message got;
    BOOST_REQUIRE(unpack(sent, got));
    BOOST_REQUIRE(got.match_elements<T>());
    if constexpr (std::equality_comparable<T>)
      BOOST_TEST((got.get_as<T>(0) == x));
    BOOST_TEST((pack(got) == sent));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(protocol_register, fixture)

BOOST_AUTO_TEST_CASE(every_message_arrives_as_sent_when_empty) {
  for_each_message([this]<class T>() { round_trip(T{}); });
}

BOOST_AUTO_TEST_CASE(every_message_arrives_as_sent_at_its_largest) {
  std::mt19937_64 random{1};
  for_each_message([&]<class T>() {
    T x{};
    filler{random, filler::mode::largest}.fill(x);
    round_trip(x);
  });
}

BOOST_AUTO_TEST_CASE(every_message_arrives_as_sent_with_random_contents) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  for_each_message([&]<class T>() {
    for (auto round = 0; round < 20; ++round) {
      T x{};
      filler{random, filler::mode::random}.fill(x);
      round_trip(x);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_message_cut_short_is_refused) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  for_each_message([&]<class T>() {
    T x{};
    filler{random, filler::mode::to_be_cut}.fill(x);
    auto whole = pack(caf::make_message(x));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      caf::message got;
      if (!unpack({whole.begin(), whole.begin() + static_cast<long>(size)},
                  got))
        continue;
      // CAF takes the first bytes alone for an empty message.
      BOOST_TEST((got.empty() || pack(got).size() <= size));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_damaged_message_is_refused_or_read_never_worse) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  for_each_message([&]<class T>() {
    T x{};
    filler{random, filler::mode::random}.fill(x);
    auto whole = pack(caf::make_message(x));
    for (auto round = 0; round < 100; ++round) {
      auto damaged = whole;
      for (auto flips = 1 + random() % 3; flips > 0; --flips)
        // The top bit stays: it says that a length goes on, and CAF makes room
        // for a length before it looks how many bytes there are.
        damaged[random() % damaged.size()] ^= static_cast<char>(
          1 << (random() % 7));
      caf::message got;
      if (unpack(damaged, got))
        BOOST_TEST(got.size() < damaged.size());
    }
  });
}

BOOST_AUTO_TEST_CASE(a_handle_arrives_as_the_same_actor) {
  using protocol::error_report;
  auto got = std::make_shared<test::error_notes>();
  protocol::error_listener_actor listener = spawn<test::error_recorder>(got);
  auto buffer = pack(caf::make_message(protocol::subscribe_errors{listener}));
  caf::message x;
  BOOST_REQUIRE(unpack(buffer, x));
  tell(x.get_as<protocol::subscribe_errors>(0).listener,
       protocol::error_news{{error_report{}}, 0});
  BOOST_TEST(got->reports.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
