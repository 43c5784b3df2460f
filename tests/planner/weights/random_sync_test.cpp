// SPDX-License-Identifier: Apache-2.0
// Thousands of random pairs of layouts: planned, verified, compiled, run by a
// naive interpreter, and compared element by element with a reference.
#include <algorithm>
#include <cstdlib>
#include <random>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "planner/weights/sample_layouts.hpp"
#include "support/random_seed.hpp"
#include "support/weight_memory.hpp"
#include "troupe/planner/weights/compile.hpp"
#include "troupe/planner/weights/figures.hpp"
#include "troupe/planner/weights/flows.hpp"
#include "troupe/planner/weights/reshard.hpp"
#include "troupe/planner/weights/verify.hpp"

using namespace troupe;
using namespace troupe::planner::weights;

namespace {

constexpr int num_pairs = 2000;

/// Another number can be asked for: TROUPE_TEST_COUNT.
int count() {
  const auto* text = std::getenv("TROUPE_TEST_COUNT");
  return text == nullptr ? num_pairs : std::atoi(text);
}

/// One random pair.
class random_sync {
public:
  explicit random_sync(std::uint64_t seed) : random_(seed) {
    random_.choose_model();
    source_ = random_.make("trainer", true);
    destination_ = random_.make("policy", false);
    bucket_bytes_ = static_cast<std::uint64_t>(8 << random_.pick(0, 10));
    source_memory_ = test::make_memory(source_, std::byte{0xA5});
    test::write_weights(source_, seed, source_memory_);
    before_ = test::make_memory(destination_, std::byte{0x5A});
  }

  /// What is wrong; empty if nothing is.
  std::string run() {
    auto from = shared_layout::make(source_);
    auto to = shared_layout::make(destination_);
    if (!from || !to)
      return "a layout is refused: "
             + (from ? to.error() : from.error()).message();
    auto plan = reshard(*from, *to);
    auto bound = test::naive_lower_bound(source_, destination_);
    auto figures = measure(plan, *from, *to);
    if (figures.bytes_total != bound)
      return fmt::format("the plan moves {} bytes, but {} must move",
                         figures.bytes_total, bound);
    if (lower_bound(*from, *to) != bound)
      return "the planner's lower bound is another";
    if (auto text = check_links(plan); !text.empty())
      return text;
    auto programs = compile(plan, *from, *to, {bucket_bytes_});
    if (!programs)
      return programs.error().message();
    auto memory = before_;
    auto moved = test::run_programs(programs->sources, source_, source_memory_,
                                    programs->destinations, destination_,
                                    memory, bucket_bytes_);
    if (!moved.problems.empty())
      return moved.problems.front();
    for (auto link : all_links)
      if (moved.bytes[link] != figures.by_link[link])
        return fmt::format("{} moved {} bytes, but the plan says {}",
                           to_string(link), moved.bytes[link],
                           figures.by_link[link]);
    for (std::size_t i = 0; i < source_.ranks.size(); ++i)
      if (moved.sent[source_.ranks[i].rank] != figures.sent[i].total())
        return "a rank sends other bytes than the plan says";
    if (auto text = difference(memory); !text.empty())
      return text;
    auto complete = covers_all();
    auto problems = verify(plan, *from, *to);
    if (complete != problems.empty())
      return complete ? "the verifier complains: " + problems.front()
                      : "the verifier does not see what is uncovered";
    return {};
  }

private:
  using place = std::pair<node_id, device_id>;

  /// Whether a source rank that holds the box whole is nearer than the one that
  /// sends it, and whether the link is the right one.
  std::string check_links(const transfer_plan& plan) {
    for (const auto& x : plan.transfers) {
      const auto& from = source_
                           .ranks[static_cast<std::size_t>(x.source.value())];
      for (auto rank : x.destinations) {
        const auto& to = destination_
                           .ranks[static_cast<std::size_t>(rank.value())];
        if (x.link != link(from, to))
          return "a link joins no such ranks";
      }
    }
    return {};
  }

  /// Where the destination's memory is not what it should be.
  std::string difference(const test::layout_memory& memory) const {
    auto expected = test::expected_memory(source_, source_memory_, destination_,
                                          before_);
    for (std::size_t r = 0; r < memory.size(); ++r)
      for (std::size_t t = 0; t < memory[r].size(); ++t)
        if (memory[r][t] != expected[r][t]) {
          auto at = std::ranges::mismatch(memory[r][t], expected[r][t]);
          const auto& tensor = destination_.ranks[r].tensors[t];
          return fmt::format("rank {}: '{}' {} {} differs from byte {} on", r,
                             tensor.name, to_string(tensor.type),
                             to_string(tensor.extents),
                             at.in1 - memory[r][t].begin());
        }
    return {};
  }

  static link_kind link(const rank_layout& a, const rank_layout& b) {
    return a.node != b.node       ? link_kind::gloo
           : a.device != b.device ? link_kind::shm
                                  : link_kind::inproc;
  }

  /// Whether the source holds all that the destination stores: then a
  /// destination that is its own source needs as many elements.
  bool covers_all() const {
    auto as_bytes = [](weight_layout x) {
      for (auto& rank : x.ranks)
        for (auto& tensor : rank.tensors)
          tensor.type = dtype::uint8;
      return x;
    };
    auto own = as_bytes(destination_);
    return test::naive_lower_bound(as_bytes(source_), own)
           == test::naive_lower_bound(own, own);
  }

  test::random_layouts random_;
  weight_layout source_;
  weight_layout destination_;
  std::uint64_t bucket_bytes_ = 0;
  test::layout_memory source_memory_;
  test::layout_memory before_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(weights_random_sync)

BOOST_AUTO_TEST_CASE(any_layout_gets_into_any_other) {
  auto first = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seeds from " << first << " on; TROUPE_SEED and "
                                   << "TROUPE_TEST_COUNT=1 repeat one");
  for (int i = 0; i < count(); ++i) {
    auto seed = first + static_cast<std::uint64_t>(i);
    auto wrong = random_sync{seed}.run();
    BOOST_REQUIRE_MESSAGE(wrong.empty(), "seed " << seed << ": " << wrong);
  }
}

BOOST_AUTO_TEST_SUITE_END()
