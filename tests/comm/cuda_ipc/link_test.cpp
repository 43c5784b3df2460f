// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <array>
#include <csignal>
#include <cstring>

#include "comm/conformance.hpp"
#include "comm/cuda_ipc/pair.hpp"
#include "support/forked_ranks.hpp"
#include "support/rank_threads.hpp"
#include "support/why.hpp"
#include "troupe/comm/cuda_ipc/allocation.hpp"
#include "troupe/comm/cuda_ipc/process_tables.hpp"
#include "troupe/comm/shm/wire.hpp"

using namespace troupe;
using namespace troupe::comm::cuda_ipc;
using comm::shm::notice;
using test::ample;
using test::code_of;

namespace {

using memory_ptr = std::shared_ptr<comm::shared_memory>;

const test::conformance::link_maker make_ends = [] {
  return test::runtime_pair{}.link();
};

struct fixture : test::runtime_pair {
  ~fixture() {
    for (const auto& x : {exporter, importer})
      for (const auto& what : x->finish())
        BOOST_ERROR(what);
  }
};

/// Like `sender.lend(1)` and the receiver's answer; what it has read.
result<std::byte> read_one(comm::link& sender, comm::link& receiver,
                           std::span<const std::byte> data,
                           std::uint64_t round) {
  auto* source = sender.source_windows();
  auto* sink = receiver.sink_windows();
  if (auto lent = source->lend(1, ample()); !lent)
    return fail(lent.error());
  auto where = source->locate(data);
  if (!where)
    return fail(errc::invalid, "not shared");
  if (auto mine = sink->borrow(round, ample()); !mine)
    return fail(mine.error());
  auto seen = sink->view(*where, data.size());
  if (!seen)
    return fail(seen.error());
  auto out = seen->back();
  if (auto back = sink->give_back(round, ample()); !back)
    return fail(back.error());
  if (auto all = source->reclaim(round - 1, ample()); !all)
    return fail(all.error());
  return out;
}

/// Sends a handover by hand; what the receiver says to it.
struct forged_sender {
  explicit forged_sender(const comm::cuda::runtime_ptr& runtime) {
    auto fds = comm::shm::make_sockets().value();
    line.emplace(comm::socket{fds.first});
    receiver = make_receiver(fds.second, runtime).value();
  }

  errc answer(std::span<const std::byte> name, std::uint64_t length,
              int fd = -1) {
    notice what;
    what.magic = notice::handover;
    what.region = 1;
    what.length = length;
    BOOST_REQUIRE(line->send(&what, sizeof(what), fd, ample()));
    if (!name.empty())
      BOOST_REQUIRE(line->send(name.data(), name.size(), -1, ample()));
    return code_of(
      receiver->sink_windows()->borrow(1, deadline::after(duration{1})));
  }

  std::optional<comm::shm::wire> line;
  comm::link_ptr receiver;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cuda_ipc_link, fixture)

TROUPE_LINK_CONFORMANCE(make_ends)

BOOST_AUTO_TEST_CASE(the_backend_is_usable_where_memory_has_names) {
  auto ends = link();
  BOOST_CHECK_EQUAL(ends.first->backend(), "cuda_ipc");
  auto found = probe(exporter);
  BOOST_CHECK_MESSAGE(found.usable, found.reason);
  BOOST_CHECK(!probe(exporter, 3).usable);
  exporter->fail_next("export_memory", comm::cuda::codes::invalid_value);
  auto without = probe(exporter);
  BOOST_CHECK(!without.usable);
  BOOST_CHECK(!without.reason.empty());
}

BOOST_AUTO_TEST_CASE(windows_show_device_memory_in_place) {
  auto first = make_allocation(exporter, 0, 100).value();
  auto second = make_allocation(exporter, 0, 100).value();
  std::byte* theirs = nullptr;
  BOOST_REQUIRE_EQUAL(exporter->allocate(theirs, 500), 0);
  auto third = export_existing(exporter, {theirs, 500}).value();
  {
    auto [sender, receiver] = link({first});
    auto* source = sender->source_windows();
    // Shared later, one of them twice.
    BOOST_REQUIRE(source->share(second));
    BOOST_REQUIRE(source->share(third));
    BOOST_REQUIRE(source->share(second));
    std::uint64_t round = 0;
    for (int value = 1; value < 4; ++value)
      for (const auto& x : {first, second, third}) {
        auto part = x->memory().subspan(7, 90);
        part.back() = static_cast<std::byte>(value);
        auto seen = read_one(*sender, *receiver, part, ++round);
        BOOST_REQUIRE_MESSAGE(seen, test::why(seen));
        BOOST_CHECK(*seen == static_cast<std::byte>(value));
      }
    BOOST_CHECK_EQUAL(importer->calls("import_memory"), 3u);
    std::byte local{};
    BOOST_CHECK(!source->locate({&local, 1}));
    // In host memory beside it, as tables of channels are.
    auto done = test::in_threads(2, [&, &s = *sender,
                                     &r = *receiver](std::size_t end) {
      std::array<std::byte, 5> data{};
      return end == 0 ? s.push(data, ample()) : r.pull(data, ample());
    });
    for (const auto& x : done)
      BOOST_CHECK_MESSAGE(x, test::why(x));
  }
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 3u);
  third.reset();
  BOOST_CHECK_EQUAL(exporter->release(theirs), 0);
}

BOOST_AUTO_TEST_CASE(two_links_open_memory_once) {
  auto memory = make_allocation(exporter, 0, 100).value();
  auto one = link({memory});
  auto two = link({memory});
  BOOST_CHECK(read_one(*one.first, *one.second, memory->memory(), 1));
  BOOST_CHECK(read_one(*two.first, *two.second, memory->memory(), 1));
  BOOST_CHECK_EQUAL(importer->calls("import_memory"), 1u);
  one = {};
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 0u);
  BOOST_CHECK(read_one(*two.first, *two.second, memory->memory(), 2));
  two = {};
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 1u);
}

BOOST_AUTO_TEST_CASE(a_sender_that_goes_first_frees_nothing_that_is_open) {
  auto memory = make_allocation(exporter, 0, 100).value();
  auto ends = link({memory});
  BOOST_REQUIRE(read_one(*ends.first, *ends.second, memory->memory(), 1));
  ends.first.reset();
  memory.reset();
  BOOST_CHECK_EQUAL(exporter->calls("release"), 0u);
  BOOST_CHECK(code_of(ends.second->sink_windows()->borrow(2, ample()))
              == errc::lost);
  ends.second.reset();
  BOOST_CHECK_EQUAL(process_tables::of(exporter)->retired(), 0u);
  BOOST_CHECK_EQUAL(exporter->calls("release"), 1u);
}

BOOST_AUTO_TEST_CASE(device_memory_is_not_pushed) {
  auto memory = make_allocation(exporter, 0, 100).value();
  auto ends = link({memory});
  BOOST_CHECK(code_of(ends.first->push(memory->memory(), ample()))
              == errc::invalid);
}

BOOST_AUTO_TEST_CASE(memory_of_another_device_does_not_begin_a_link) {
  auto two = make({0, 1});
  auto memory = make_allocation(two, 1, 100).value();
  auto fds = comm::shm::make_sockets().value();
  comm::socket rest{fds.second};
  BOOST_CHECK(code_of(make_sender(fds.first, two, 0, {memory}))
              == errc::invalid);
  memory.reset();
  for (const auto& what : two->finish())
    BOOST_ERROR(what);
}

BOOST_AUTO_TEST_CASE(other_sockets_are_refused) {
  BOOST_CHECK(code_of(make_sender(-1, exporter, 0)) == errc::invalid);
  BOOST_CHECK(code_of(make_receiver(-1, importer)) == errc::invalid);
}

BOOST_AUTO_TEST_CASE(a_link_of_shm_opens_no_names) {
  auto memory = make_allocation(exporter, 0, 100).value();
  auto fds = comm::shm::make_sockets().value();
  auto sender = comm::shm::make_sender(fds.first, {memory}).value();
  auto receiver = comm::shm::make_receiver(fds.second).value();
  BOOST_REQUIRE(sender->source_windows()->lend(1, ample()));
  BOOST_CHECK(code_of(receiver->sink_windows()->borrow(1, ample()))
              == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(arenas_go_over_the_same_link) {
  auto home = comm::shm::arena::create(4096).value();
  auto ends = link({home});
  home->memory()[99] = std::byte{8};
  auto seen = read_one(*ends.first, *ends.second, home->memory().first(100), 1);
  BOOST_CHECK(seen.value() == std::byte{8});
}

BOOST_AUTO_TEST_CASE(forged_handovers_are_corrupt) {
  auto memory = make_allocation(exporter, 0, 100).value();
  auto name = memory->name();
  auto answer = [&](std::span<const std::byte> x, std::uint64_t length,
                    int fd = -1) {
    return forged_sender{importer}.answer(x, length, fd);
  };
  // A real one: nothing is lent yet.
  BOOST_CHECK(answer(name, name.size()) == errc::timed_out);
  BOOST_CHECK(answer(name, name.size(), memory->fd()) == errc::timed_out);
  BOOST_CHECK(answer(name, name.size() - 1) == errc::corrupt);
  BOOST_CHECK(answer(name, name.size() + 1) == errc::corrupt);
  BOOST_CHECK(answer({}, comm::shared_name_bytes_max + 1) == errc::corrupt);
  BOOST_CHECK(answer({}, ~0ull) == errc::corrupt);
  BOOST_CHECK(answer({}, 0) == errc::corrupt);
  BOOST_CHECK(answer({}, 0, memory->fd()) == errc::corrupt);
  BOOST_CHECK(answer(bytes(20), 20) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(bytes_on_the_device_cannot_be_pulled) {
  auto memory = make_allocation(exporter, 0, 100).value();
  forged_sender forged{importer};
  BOOST_REQUIRE(forged.line);
  notice what;
  what.magic = notice::handover;
  what.region = 1;
  what.length = memory->name().size();
  BOOST_REQUIRE(forged.line->send(&what, sizeof(what), -1, ample()));
  BOOST_REQUIRE(forged.line->send(memory->name().data(), memory->name().size(),
                                  -1, ample()));
  notice pushed;
  pushed.region = 1;
  pushed.length = 1;
  pushed.total = 1;
  BOOST_REQUIRE(forged.line->send(&pushed, sizeof(pushed), -1, ample()));
  std::byte target{};
  BOOST_CHECK(code_of(forged.receiver->pull({&target, 1}, ample()))
              == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_killed_receiver_is_lost_and_its_memory_comes_back) {
  auto fds = comm::shm::make_sockets().value();
  // It takes what is handed over, and is killed while it holds it.
  test::forked_ranks peer{1, [&](std::size_t, test::pipe_end& parent) {
                            ::close(fds.first);
                            comm::shm::wire line{comm::socket{fds.second}};
                            notice what;
                            comm::socket tether;
                            if (!line.receive(&what, sizeof(what), tether,
                                              ample())
                                || !tether || !parent.say(bytes(1)))
                              return 97;
                            return parent.hear(ample()) ? 0 : 96;
                          }};
  ::close(fds.second);
  auto memory = make_allocation(exporter, 0, 100).value();
  auto sender = make_sender(fds.first, exporter, 0, {memory}).value();
  auto* source = sender->source_windows();
  BOOST_REQUIRE(source->lend(1, ample()));
  BOOST_REQUIRE(peer.to(0).hear(ample()));
  peer.signal(0, SIGSTOP);
  BOOST_CHECK(code_of(source->reclaim(0, deadline::after(duration{20})))
              == errc::timed_out);
  sender.reset();
  memory.reset();
  // It may thaw and read on.
  BOOST_CHECK_EQUAL(process_tables::of(exporter)->retired(), 1u);
  peer.signal(0, SIGKILL);
  BOOST_CHECK_EQUAL(peer.wait(0, ample()).value_or(0), -SIGKILL);
  BOOST_CHECK_EQUAL(process_tables::of(exporter)->retired(), 0u);
  BOOST_CHECK_EQUAL(exporter->calls("release"), 1u);
}

BOOST_AUTO_TEST_CASE(a_killed_sender_is_lost_and_its_memory_is_closed) {
  auto memory = make_allocation(exporter, 0, 100).value();
  auto fds = comm::shm::make_sockets().value();
  test::forked_ranks peer{1, [&](std::size_t, test::pipe_end& parent) {
                            ::close(fds.second);
                            comm::shm::wire line{comm::socket{fds.first}};
                            notice what;
                            what.magic = notice::handover;
                            what.region = 1;
                            what.length = memory->name().size();
                            notice loan;
                            loan.magic = notice::loan;
                            loan.sequence = 1;
                            if (!line.send(&what, sizeof(what), memory->fd(),
                                           ample())
                                || !line.send(memory->name().data(),
                                              memory->name().size(), -1,
                                              ample())
                                || !line.send(&loan, sizeof(loan), -1, ample())
                                || !parent.say(bytes(1)))
                              return 97;
                            return parent.hear(ample()) ? 0 : 96;
                          }};
  ::close(fds.first);
  auto receiver = make_receiver(fds.second, importer).value();
  auto* sink = receiver->sink_windows();
  BOOST_REQUIRE(sink->borrow(1, ample()));
  BOOST_REQUIRE(sink->view({1, 0}, 100));
  BOOST_REQUIRE(peer.to(0).hear(ample()));
  peer.signal(0, SIGKILL);
  BOOST_CHECK_EQUAL(peer.wait(0, ample()).value_or(0), -SIGKILL);
  BOOST_CHECK(code_of(sink->give_back(1, ample())) == errc::lost);
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 0u);
  receiver.reset();
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 1u);
}

BOOST_AUTO_TEST_SUITE_END()
