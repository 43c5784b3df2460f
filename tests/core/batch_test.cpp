// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/batch.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <boost/test/unit_test.hpp>

#include "support/random_seed.hpp"

using namespace troupe;

namespace {

troupe::batch sample_batch(std::int64_t rows) {
  tensor ids{dtype::int64, {rows, 2}};
  std::int64_t next = 0;
  for (auto& x : ids.values<std::int64_t>())
    x = next++;
  tensor reward{dtype::float32, {rows}};
  for (auto& x : reward.values<float>())
    x = 0.5f;
  troupe::batch out;
  out.set("ids", ids);
  out.set("reward", reward);
  out.set_meta("episode", std::int64_t{3});
  out.set_meta("loss", -0.0);
  out.set_meta("note", std::string{"hello"});
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(batch)

BOOST_AUTO_TEST_CASE(what_is_encoded_comes_back) {
  auto x = sample_batch(5);
  auto wire = encode(x);
  BOOST_TEST(wire.size() == encoded_size(x));
  auto back = decode_batch(wire);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->rows().value() == 5);
  BOOST_TEST(back->find("ids")->same_elements(*x.find("ids")));
  BOOST_TEST((back->meta() == x.meta()));
  BOOST_TEST(std::signbit(back->meta_number("loss", 1)));
}

BOOST_AUTO_TEST_CASE(empty_batches_travel_too) {
  auto back = decode_batch(encode(troupe::batch{}));
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->empty());
  auto none = decode_batch(encode(sample_batch(0)));
  BOOST_REQUIRE(none.has_value());
  BOOST_TEST(none->rows().value() == 0);
}

BOOST_AUTO_TEST_CASE(special_numbers_arrive_as_sent) {
  using limits = std::numeric_limits<double>;
  for (double x : {limits::quiet_NaN(), limits::infinity(), -limits::infinity(),
                   limits::denorm_min(), -0.0}) {
    troupe::batch in;
    in.set_meta("x", x);
    auto out = decode_batch(encode(in));
    BOOST_REQUIRE(out.has_value());
    auto y = out->meta_number("x");
    BOOST_TEST(std::memcmp(&x, &y, sizeof(x)) == 0);
  }
}

BOOST_AUTO_TEST_CASE(truncated_and_flipped_bytes_never_crash) {
  auto wire = encode(sample_batch(3));
  for (std::size_t size = 0; size < wire.size(); ++size)
    BOOST_TEST(!decode_batch(buffer::copy_of(wire.bytes().first(size))));
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 20'000; ++i) {
    auto damaged = buffer::copy_of(wire.bytes());
    for (auto flips = random() % 4 + 1; flips > 0; --flips)
      damaged.data()[random() % damaged.size()] = std::byte(random());
    auto x = decode_batch(damaged);
    if (x)
      for (const auto& [name, value] : x->tensors())
        BOOST_REQUIRE(value.bytes().size()
                      == static_cast<std::size_t>(value.size())
                           * size_of(value.type()));
  }
}

BOOST_AUTO_TEST_CASE(split_and_concat_are_inverse) {
  auto x = sample_batch(7);
  for (std::size_t parts = 1; parts <= 9; ++parts) {
    auto pieces = x.split(parts);
    BOOST_REQUIRE(pieces.has_value());
    BOOST_TEST(pieces->size() == parts);
    auto whole = troupe::batch::concat(*pieces);
    BOOST_REQUIRE(whole.has_value());
    BOOST_TEST(whole->find("ids")->same_elements(*x.find("ids")));
    BOOST_TEST((pieces->front().rows().value() - pieces->back().rows().value())
               <= 1);
  }
  BOOST_TEST(!x.split(0));
}

BOOST_AUTO_TEST_CASE(batches_that_do_not_match_are_not_joined) {
  auto a = sample_batch(2);
  auto b = sample_batch(2);
  b.set("ids", tensor{dtype::int64, {2, 3}});
  std::vector<troupe::batch> parts{a, b};
  auto joined = troupe::batch::concat(parts);
  BOOST_REQUIRE(!joined);
  BOOST_TEST(joined.error().message().find("ids") != std::string::npos);
  a.set("extra", tensor{dtype::uint8, {5}});
  BOOST_TEST(!a.rows());
  BOOST_TEST(!a.get("missing"));
}

BOOST_AUTO_TEST_SUITE_END()
