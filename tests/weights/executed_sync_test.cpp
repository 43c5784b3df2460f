// SPDX-License-Identifier: Apache-2.0
// Thousands of random syncs, from two layouts to the last byte: planned,
// compiled, and run by the executors of all ranks over real links, staged or in
// place; compared with a reference computed in one place.
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "comm/gloo/link_ends.hpp"
#include "planner/weights/sample_layouts.hpp"
#include "support/random_seed.hpp"
#include "support/rank_threads.hpp"
#include "support/weight_memory.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"
#include "troupe/planner/weights/compile.hpp"
#include "troupe/planner/weights/figures.hpp"
#include "troupe/planner/weights/reshard.hpp"
#include "troupe/planner/weights/two_stage.hpp"
#include "troupe/planner/weights/verify.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::planner::weights;
using comm::transfer::executor;
using comm::transfer::run_mode;

namespace {

constexpr int num_syncs = 2000;

/// Sockets are dear: syncs of more channels go through shared memory.
constexpr std::size_t gloo_channels_max = 16;

/// Another number can be asked for: TROUPE_TEST_COUNT.
int count() {
  const auto* text = std::getenv("TROUPE_TEST_COUNT");
  return text == nullptr ? num_syncs : std::atoi(text);
}

using link_pair = std::pair<comm::link_ptr, comm::link_ptr>;

/// Tensors of all ranks of a layout, in memory that executors can use.
class rank_tensors {
public:
  /// With an arena for each rank, or none.
  rank_tensors(const weight_layout& layout, const test::layout_memory& content,
               bool in_arenas) {
    for (std::size_t r = 0; r < content.size(); ++r) {
      std::size_t bytes = 0;
      for (const auto& x : content[r])
        bytes += x.size() + buffer::alignment;
      if (in_arenas)
        arenas.push_back(
          comm::shm::arena::create(std::max<std::size_t>(bytes, 1)).value());
      auto& tensors = all.emplace_back();
      for (std::size_t t = 0; t < content[r].size(); ++t) {
        const auto& stored = layout.ranks[r].tensors[t];
        auto size = content[r][t].size();
        auto made = in_arenas ? arenas.back()->allocate(size).value()
                              : buffer::allocate(size);
        tensors.push_back({stored.name, stored.type, made.bytes()});
        buffers_.push_back(std::move(made));
      }
    }
    write(content);
  }

  void write(const test::layout_memory& content) {
    for (std::size_t r = 0; r < all.size(); ++r)
      for (std::size_t t = 0; t < all[r].size(); ++t)
        if (!content[r][t].empty())
          std::memcpy(all[r][t].memory.data(), content[r][t].data(),
                      content[r][t].size());
  }

  [[nodiscard]] test::layout_memory held() const {
    test::layout_memory out;
    for (const auto& rank : all) {
      auto& tensors = out.emplace_back();
      for (const auto& x : rank)
        tensors.emplace_back(x.memory.begin(), x.memory.end());
    }
    return out;
  }

  std::vector<std::vector<comm::transfer::local_tensor>> all;
  std::vector<std::shared_ptr<comm::shm::arena>> arenas;

private:
  std::vector<buffer> buffers_;
};

/// What syncs were made of: a test of one kind only would prove little.
struct tally {
  std::map<link_kind, std::uint64_t> bytes;
  std::map<std::string, int> modes;
  std::size_t ranks_max = 0;
  int two_stage = 0;
};

/// One random sync.
class random_run {
public:
  explicit random_run(std::uint64_t seed) : seed_(seed), random_(seed) {
    random_.choose_model();
    source_ = random_.make("trainer", true);
    destination_ = random_.make("policy", false);
    // ChatLearn's ways do not look for the copy of the best precision.
    like_chatlearn_ = random_.pick(0, 1) == 0;
    if (like_chatlearn_)
      for (auto& rank : source_.ranks)
        for (auto& x : rank.tensors)
          x.type = dtype::float32;
  }

  /// What is wrong; empty if nothing is.
  std::string run(tally& seen) {
    auto from = shared_layout::make(source_);
    auto to = shared_layout::make(destination_);
    if (!from || !to)
      return "a layout is refused";
    auto plan = reshard(*from, *to);
    auto figures = measure(plan, *from, *to);
    if (figures.bytes_total != test::naive_lower_bound(source_, destination_))
      return "the plan does not move the lower bound";
    // ChatLearn's ways, where it has one that leaves nothing out: else a sync
    // refuses it.
    if (auto other = two_stage(*from, *to);
        other && like_chatlearn_ && verify(*other, *from, *to).empty()) {
      plan = std::move(*other);
      way_ = "two_stage";
      ++seen.two_stage;
    }
    choose_links(plan);
    figures = measure(plan, *from, *to);
    // Tiny buckets, so that small tensors need several.
    compile_options sizes{static_cast<std::uint64_t>(8 << random_.pick(0, 10))};
    auto programs = compile(plan, *from, *to, sizes);
    if (!programs)
      return programs.error().message();
    auto mode = random_.pick(0, 1) == 0 ? run_mode::in_place : run_mode::staged;
    auto written = test::make_memory(source_, std::byte{0xA5});
    auto before = test::make_memory(destination_, std::byte{0x5A});
    rank_tensors sources{source_, written, random_.pick(0, 1) == 0};
    rank_tensors destinations{destination_, before, false};
    if (auto wrong = connect(*programs, sources, destinations); !wrong.empty())
      return wrong;
    // The second sync takes the same plan, executors and links.
    for (std::uint64_t round = 0; round < 2; ++round) {
      test::write_weights(source_, seed_ + round, written);
      sources.write(written);
      auto expected = test::expected_memory(source_, written, destination_,
                                            before);
      if (auto wrong = sync(mode); !wrong.empty())
        return wrong;
      if (mode == run_mode::staged) {
        if (destinations.held() != before)
          return "a staged sync has written before its commit";
        for (auto& x : receivers_)
          if (auto done = x->commit(); !done)
            return to_string(done.error());
      }
      if (destinations.held() != expected)
        return fmt::format("the destination does not hold what it should ({}, "
                           "{})",
                           to_string(mode), way_);
      if (auto wrong = check_reports(figures); !wrong.empty())
        return wrong;
      before = expected;
    }
    for (auto link : all_links)
      seen.bytes[link] += figures.by_link[link];
    ++seen.modes[std::string{to_string(mode)}];
    seen.ranks_max = std::max(
      {seen.ranks_max, source_.ranks.size(), destination_.ranks.size()});
    return {};
  }

private:
  /// As planned, or as a user may override them.
  void choose_links(transfer_plan& plan) {
    std::set<std::pair<rank_id, rank_id>> channels;
    for (const auto& x : plan.transfers)
      for (auto rank : x.destinations)
        channels.emplace(x.source, rank);
    auto sockets = random_.pick(0, 3) == 0;
    auto few = channels.size() <= gloo_channels_max;
    for (auto& x : plan.transfers) {
      if (sockets)
        x.link = link_kind::gloo;
      if (x.link == link_kind::gloo && !few)
        x.link = link_kind::shm;
    }
  }

  std::string connect(const compiled_plan& programs, rank_tensors& from,
                      rank_tensors& to) {
    std::vector<std::vector<comm::link_ptr>> out(source_.ranks.size());
    std::vector<std::vector<comm::link_ptr>> in(destination_.ranks.size());
    for (std::size_t d = 0; d < in.size(); ++d)
      in[d].resize(programs.destinations[d].receives.size());
    for (std::size_t s = 0; s < out.size(); ++s)
      for (const auto& channel : programs.sources[s].sends) {
        auto ends = make_link(channel.link, from, s);
        out[s].push_back(std::move(ends.first));
        auto d = static_cast<std::size_t>(channel.peer.value());
        const auto& receives = programs.destinations[d].receives;
        auto self = std::ranges::find(receives, programs.sources[s].rank,
                                      &program_channel::peer);
        if (self == receives.end())
          return "a channel has one end";
        in[d][static_cast<std::size_t>(self - receives.begin())] = std::move(
          ends.second);
      }
    auto add = [&](const rank_program& program, auto& tensors, auto sends,
                   auto receives, auto& into) -> std::string {
      auto made = executor::make(program, tensors, std::move(sends),
                                 std::move(receives));
      if (!made)
        return to_string(made.error());
      into.push_back(std::move(*made));
      return {};
    };
    using links = std::vector<comm::link_ptr>;
    for (std::size_t s = 0; s < out.size(); ++s)
      if (auto wrong = add(programs.sources[s], from.all[s], std::move(out[s]),
                           links{}, senders_);
          !wrong.empty())
        return wrong;
    for (std::size_t d = 0; d < in.size(); ++d)
      if (auto wrong = add(programs.destinations[d], to.all[d], links{},
                           std::move(in[d]), receivers_);
          !wrong.empty())
        return wrong;
    return {};
  }

  static link_pair make_link(link_kind kind, const rank_tensors& from,
                             std::size_t source) {
    if (kind == link_kind::inproc)
      return comm::inproc::make_link();
    if (kind == link_kind::gloo)
      return test::make_gloo_ends();
    std::vector<std::shared_ptr<comm::shm::arena>> arenas;
    if (!from.arenas.empty())
      arenas.push_back(from.arenas[source]);
    auto fds = comm::shm::make_sockets().value();
    return {comm::shm::make_sender(fds.first, std::move(arenas)).value(),
            comm::shm::make_receiver(fds.second).value()};
  }

  std::string sync(run_mode mode) {
    auto ranks = senders_.size() + receivers_.size();
    auto until = deadline::after(60s);
    auto ends = test::in_threads(ranks, [&](std::size_t i) {
      auto& rank = i < senders_.size() ? senders_[i]
                                       : receivers_[i - senders_.size()];
      return rank->run({mode, true}, until);
    });
    for (const auto& x : ends)
      if (!x)
        return to_string(x.error());
    return {};
  }

  /// Bytes on each link, and by rank, are the plan's; both ends saw the same.
  std::string check_reports(const plan_figures& figures) const {
    link_bytes sent;
    for (std::size_t i = 0; i < senders_.size(); ++i) {
      std::uint64_t mine = 0;
      for (const auto& x : senders_[i]->reports()) {
        sent[x.link] += x.bytes;
        mine += x.bytes;
        const auto* other = other_end(source_.ranks[i].rank, x.peer);
        if (!other || other->bytes != x.bytes || !other->digested || !x.digested
            || !(other->sum == x.sum))
          return "the ends of a channel disagree";
      }
      if (mine != figures.sent[i].total())
        return "a rank sends other bytes than the plan says";
    }
    for (auto link : all_links)
      if (sent[link] != figures.by_link[link])
        return fmt::format("{} carries {} bytes, but the plan says {}",
                           to_string(link), sent[link], figures.by_link[link]);
    return {};
  }

  [[nodiscard]] const comm::transfer::channel_report*
  other_end(rank_id source, rank_id destination) const {
    auto d = static_cast<std::size_t>(destination.value());
    for (const auto& x : receivers_[d]->reports())
      if (x.peer == source)
        return &x;
    return nullptr;
  }

  std::uint64_t seed_;
  bool like_chatlearn_ = false;
  std::string_view way_ = "reshard";
  test::random_layouts random_;
  weight_layout source_;
  weight_layout destination_;
  std::vector<std::unique_ptr<executor>> senders_;
  std::vector<std::unique_ptr<executor>> receivers_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(executed_sync)

BOOST_AUTO_TEST_CASE(any_layout_arrives_in_any_other_over_any_link) {
  auto first = test::random_seed();
  BOOST_TEST_MESSAGE("seeds from " << first << " on; TROUPE_SEED and "
                                   << "TROUPE_TEST_COUNT=1 repeat one");
  tally seen;
  for (int i = 0; i < count(); ++i) {
    auto seed = first + static_cast<std::uint64_t>(i);
    auto wrong = random_run{seed}.run(seen);
    BOOST_REQUIRE_MESSAGE(wrong.empty(), "seed " << seed << ": " << wrong);
  }
  for (const auto& [link, bytes] : seen.bytes)
    BOOST_TEST_MESSAGE(to_string(link) << ": " << bytes << " bytes");
  if (count() < 200)
    return;
  for (auto link : all_links)
    BOOST_TEST(seen.bytes[link] > 0, to_string(link));
  for (auto mode : {run_mode::in_place, run_mode::staged})
    BOOST_TEST(seen.modes[std::string{to_string(mode)}] > 0, to_string(mode));
  BOOST_TEST(seen.ranks_max == 16u);
  BOOST_TEST(seen.two_stage > 0);
}

BOOST_AUTO_TEST_SUITE_END()
