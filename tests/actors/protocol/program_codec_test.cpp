// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/program_codec.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;
using protocol::decode_program;
using protocol::encode;
using protocol::payload;

namespace {

const protocol::worker_name somebody{"policy", replica_id{1}, rank_id{2}};

rank_program program_of(std::size_t parts) {
  rank_program x;
  x.rank = rank_id{7};
  program_channel channel;
  channel.peer = rank_id{3};
  channel.link = link_kind::shm;
  program_bucket bucket;
  bucket.wire_type = dtype::bfloat16;
  for (std::size_t i = 0; i < parts; ++i) {
    program_part part;
    part.tensor = static_cast<std::uint32_t>(i);
    part.key = ~i;
    part.wire_begin = 16 * i;
    part.wire_bytes = 12;
    part.offset_bytes = i;
    part.run_elements = 3;
    part.loops = {{2, 64}, {1, i}};
    bucket.parts.push_back(part);
  }
  bucket.wire_bytes = 16 * parts;
  channel.buckets = {bucket, {}};
  x.receives = {channel, {}};
  return x;
}

payload joined(const std::vector<protocol::program_chunk>& pieces) {
  payload out;
  for (const auto& x : pieces)
    out.insert(out.end(), x.bytes.begin(), x.bytes.end());
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(protocol_program_codec)

BOOST_AUTO_TEST_CASE(a_program_comes_back_as_it_was) {
  for (auto parts : {0u, 1u, 1000u}) {
    auto x = program_of(parts);
    auto back = decode_program(joined(encode(x, somebody)));
    BOOST_REQUIRE(back);
    BOOST_TEST((*back == x));
  }
}

BOOST_AUTO_TEST_CASE(a_long_program_is_cut_into_pieces_with_numbers) {
  auto pieces = encode(program_of(20'000), somebody);
  BOOST_TEST(pieces.size() > 2u);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    BOOST_TEST(pieces[i].index == i);
    BOOST_TEST(pieces[i].count == pieces.size());
    BOOST_TEST(pieces[i].bytes.size() <= protocol::program_chunk_bytes_max);
    BOOST_TEST((pieces[i].to == somebody));
  }
  BOOST_TEST(decode_program(joined(pieces)).has_value());
}

BOOST_AUTO_TEST_CASE(a_program_that_ends_early_is_refused) {
  auto all = joined(encode(program_of(3), somebody));
  for (auto cut : {std::size_t{0}, all.size() / 2, all.size() - 1}) {
    auto got = decode_program(
      {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(cut)});
    BOOST_REQUIRE(!got);
    BOOST_TEST((got.error().code() == errc::corrupt));
  }
}

BOOST_AUTO_TEST_SUITE_END()
