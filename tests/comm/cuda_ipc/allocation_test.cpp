// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "comm/cuda_ipc/pair.hpp"
#include "troupe/comm/cuda_ipc/allocation.hpp"
#include "troupe/comm/cuda_ipc/importer.hpp"
#include "troupe/comm/cuda_ipc/name.hpp"
#include "troupe/comm/cuda_ipc/process_tables.hpp"

using namespace troupe;
using namespace troupe::comm::cuda_ipc;
using comm::cuda::memory_kind;
using test::code_of;

namespace {

struct fixture : test::runtime_pair {
  ~fixture() {
    for (const auto& x : {exporter, importer})
      for (const auto& what : x->finish())
        BOOST_ERROR(what);
  }

  /// Memory that somebody else allocates.
  std::span<std::byte> foreign(std::uint64_t bytes) {
    std::byte* out = nullptr;
    BOOST_REQUIRE_EQUAL(exporter->allocate(out, bytes), 0);
    return {out, bytes};
  }
};

bool says(const error& x, std::string_view word) {
  return x.message().find(word) != std::string::npos;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(cuda_ipc_allocation, fixture)

BOOST_AUTO_TEST_CASE(it_has_whole_blocks_of_its_own) {
  auto x = make_allocation(exporter, 0, block_bytes + 1).value();
  BOOST_CHECK_EQUAL(x->memory().size(), 2 * block_bytes);
  BOOST_CHECK(x->contains(x->memory()));
  BOOST_CHECK_GE(x->fd(), 0);
  auto name = decode(x->name()).value();
  BOOST_CHECK_EQUAL(name.offset, 0u);
  BOOST_CHECK_EQUAL(name.size, 2 * block_bytes);
  BOOST_CHECK(name.device == test::stand_in_runtime::uuid_of(0));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_allocated_is_an_error) {
  BOOST_CHECK(code_of(make_allocation(exporter, 0, 0)) == errc::invalid);
  BOOST_CHECK(code_of(make_allocation(exporter, 0, ~0ull)) == errc::exhausted);
  exporter->fail_next("allocate", comm::cuda::codes::out_of_memory);
  BOOST_CHECK(code_of(make_allocation(exporter, 0, 1)) == errc::exhausted);
  exporter->fail_next("export_memory", comm::cuda::codes::invalid_value);
  BOOST_CHECK(code_of(make_allocation(exporter, 0, 1)) == errc::invalid);
  auto nowhere = make_allocation(exporter, 7, 1);
  BOOST_REQUIRE(!nowhere);
  BOOST_CHECK(says(nowhere.error(), "7"));
  // Nothing of it is left, and no error waits for the next caller.
  BOOST_CHECK(exporter->leaks().empty());
  BOOST_CHECK_EQUAL(exporter->take_last_error(), 0);
}

BOOST_AUTO_TEST_CASE(an_allocation_is_exported_once) {
  auto memory = foreign(1000);
  auto first = export_existing(exporter, memory.first(10)).value();
  auto second = export_existing(exporter, memory.subspan(990)).value();
  BOOST_CHECK_EQUAL(exporter->calls("export_memory"), 1u);
  BOOST_CHECK(decode(first->name()).value().handle
              == decode(second->name()).value().handle);
  BOOST_CHECK_EQUAL(decode(second->name()).value().offset, 990u);
  BOOST_CHECK_EQUAL(second->fd(), -1);
  // Once nobody holds a part, its owner may free it: no old name survives.
  first.reset();
  second.reset();
  auto again = export_existing(exporter, memory).value();
  BOOST_CHECK_EQUAL(exporter->calls("export_memory"), 2u);
  again.reset();
  BOOST_CHECK_EQUAL(exporter->release(memory.data()), 0);
}

BOOST_AUTO_TEST_CASE(what_stands_at_a_freed_address_is_exported_anew) {
  auto memory = foreign(block_bytes);
  comm::cuda::pointer_facts where;
  BOOST_REQUIRE_EQUAL(exporter->facts(memory.data(), where), 0);
  BOOST_REQUIRE_NE(where.allocation_id, 0u);
  auto tables = process_tables::of(exporter);
  auto first = tables->export_allocation(where).value();
  BOOST_CHECK(tables->export_allocation(where).value() == first);
  ++where.allocation_id;
  BOOST_CHECK(tables->export_allocation(where).value() != first);
  BOOST_CHECK_EQUAL(exporter->release(memory.data()), 0);
}

BOOST_AUTO_TEST_CASE(a_part_of_our_own_allocation_has_its_name) {
  auto whole = make_allocation(exporter, 0, 1).value();
  auto part = export_existing(exporter, whole->memory().last(64)).value();
  BOOST_CHECK_EQUAL(exporter->calls("export_memory"), 1u);
  BOOST_CHECK(decode(part->name()).value().handle
              == decode(whole->name()).value().handle);
}

BOOST_AUTO_TEST_CASE(memory_without_a_name_says_what_to_change) {
  std::vector<std::byte> ordinary(100);
  auto answer = [&](std::span<std::byte> memory, std::string_view word) {
    auto made = export_existing(exporter, memory);
    BOOST_REQUIRE(!made);
    BOOST_CHECK(made.error().code() == errc::invalid);
    BOOST_CHECK_MESSAGE(says(made.error(), word), made.error().message());
  };
  answer({}, "no memory");
  answer(ordinary, "ordinary memory");
  std::byte* pinned = nullptr;
  BOOST_REQUIRE_EQUAL(exporter->allocate_pinned(pinned, 64), 0);
  answer({pinned, 64}, "pinned");
  BOOST_CHECK_EQUAL(exporter->release_pinned(pinned), 0);
  auto* managed = exporter->make_memory(memory_kind::managed, 64);
  answer({managed, 64}, "cudaMallocManaged");
  BOOST_CHECK_EQUAL(exporter->release(managed), 0);
  auto* pool = exporter->make_memory(memory_kind::device, 64);
  answer({pool, 64}, "cudaMallocAsync");
  answer({pool, 64}, "expandable_segments:False");
  BOOST_CHECK_EQUAL(exporter->release(pool), 0);
  auto two = foreign(100);
  answer({two.data() + 90, 11}, "11 bytes at 90 of an allocation of 100");
  BOOST_CHECK_EQUAL(exporter->release(two.data()), 0);
}

BOOST_AUTO_TEST_CASE(a_handle_is_open_once_and_until_the_last_user_lets_go) {
  auto memory = foreign(1000);
  std::memset(memory.data(), 3, memory.size());
  auto all = export_existing(exporter, memory).value();
  auto part = export_existing(exporter, memory.subspan(100, 50)).value();
  auto a = make_importer(importer)->open(all->name()).value();
  auto b = make_importer(importer)->open(part->name()).value();
  BOOST_CHECK_EQUAL(importer->calls("import_memory"), 1u);
  BOOST_CHECK_EQUAL(a->memory().size(), 1000u);
  BOOST_CHECK_EQUAL(b->memory().size(), 50u);
  BOOST_CHECK(b->memory().data() == a->memory().data() + 100);
  // The same bytes, at another address.
  BOOST_CHECK(a->memory().data() != memory.data());
  std::memset(memory.data() + 149, 4, 2);
  BOOST_CHECK(b->memory().front() == std::byte{3});
  BOOST_CHECK(b->memory().back() == std::byte{4});
  a.reset();
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 0u);
  b.reset();
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 1u);
  a = make_importer(importer)->open(all->name()).value();
  BOOST_CHECK_EQUAL(importer->calls("import_memory"), 2u);
  a.reset();
  all.reset();
  part.reset();
  BOOST_CHECK_EQUAL(exporter->release(memory.data()), 0);
}

BOOST_AUTO_TEST_CASE(our_own_memory_is_not_opened) {
  auto memory = make_allocation(exporter, 0, 1).value();
  auto opened = make_importer(exporter)->open(memory->name());
  BOOST_REQUIRE(!opened);
  BOOST_CHECK(opened.error().code() == errc::invalid);
  BOOST_CHECK(says(opened.error(), "inproc"));
  BOOST_CHECK_EQUAL(exporter->calls("import_memory"), 0u);
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_here_is_named) {
  auto memory = make_allocation(exporter, 0, 1).value();
  auto elsewhere = make({5, 6});
  auto opened = make_importer(elsewhere)->open(memory->name());
  BOOST_REQUIRE(!opened);
  BOOST_CHECK(opened.error().code() == errc::invalid);
  for (std::uint32_t device : {0u, 5u, 6u})
    BOOST_CHECK_MESSAGE(says(opened.error(),
                             text_of(test::stand_in_runtime::uuid_of(device))),
                        opened.error().message());
  BOOST_CHECK_EQUAL(elsewhere->calls("import_memory"), 0u);
}

BOOST_AUTO_TEST_CASE(devices_are_found_by_uuid_not_by_number) {
  auto other = make({9, 0});
  other->set_device(0);
  auto memory = make_allocation(exporter, 0, 1).value();
  auto opened = make_importer(other)->open(memory->name()).value();
  comm::cuda::pointer_facts where;
  BOOST_REQUIRE_EQUAL(other->facts(opened->memory().data(), where), 0);
  BOOST_CHECK_EQUAL(where.device, 1);
  // The thread's own choice stays.
  std::int32_t current = -1;
  BOOST_REQUIRE_EQUAL(other->current_device(current), 0);
  BOOST_CHECK_EQUAL(current, 0);
  opened.reset();
  for (const auto& what : other->finish())
    BOOST_ERROR(what);
}

BOOST_AUTO_TEST_CASE(memory_that_was_freed_is_lost) {
  auto memory = foreign(64);
  auto name = export_existing(exporter, memory).value()->name();
  BOOST_CHECK_EQUAL(exporter->release(memory.data()), 0);
  auto opened = make_importer(importer)->open(name);
  BOOST_REQUIRE(code_of(opened) == errc::lost);
  // Or CUDA may not reach it: then what a person can change.
  for (const auto* word : {"freed", "--ipc", "--pid", "sync_link: gloo"})
    BOOST_TEST(opened.error().message().find(word) != std::string::npos, word);
  BOOST_CHECK_EQUAL(importer->take_last_error(), 0);
}

BOOST_AUTO_TEST_CASE(a_name_of_more_than_there_is_is_corrupt) {
  auto memory = make_allocation(exporter, 0, 1).value();
  auto forged = decode(memory->name()).value();
  forged.allocation_bytes += 1;
  forged.size += 1;
  auto opening = make_importer(importer);
  BOOST_CHECK(code_of(opening->open(encode(forged))) == errc::corrupt);
  BOOST_CHECK_EQUAL(importer->calls("close_imported"), 1u);
  // Also if somebody has it open.
  auto open = opening->open(memory->name()).value();
  BOOST_CHECK(code_of(opening->open(encode(forged))) == errc::corrupt);
  BOOST_CHECK_EQUAL(importer->calls("import_memory"), 2u);
}

BOOST_AUTO_TEST_CASE(it_is_freed_once_nobody_holds_its_tether) {
  auto memory = make_allocation(exporter, 0, 1).value();
  comm::socket held{::fcntl(memory->fd(), F_DUPFD_CLOEXEC, 0)};
  BOOST_REQUIRE(held);
  memory.reset();
  BOOST_CHECK_EQUAL(exporter->calls("release"), 0u);
  BOOST_CHECK_EQUAL(process_tables::of(exporter)->retired(), 1u);
  held = {};
  BOOST_CHECK_EQUAL(process_tables::of(exporter)->retired(), 0u);
  BOOST_CHECK_EQUAL(exporter->calls("release"), 1u);
}

BOOST_AUTO_TEST_CASE(a_dead_device_ends_in_errors) {
  auto memory = make_allocation(exporter, 0, 1).value();
  exporter->fail_next("figures", comm::cuda::codes::launch_failure);
  BOOST_CHECK(!make_allocation(exporter, 0, 1));
  importer->fail_next("device_count", comm::cuda::codes::launch_failure);
  BOOST_CHECK(!make_importer(importer)->open(memory->name()));
  importer->fail_next("import_memory", comm::cuda::codes::out_of_memory);
  BOOST_CHECK(code_of(make_importer(importer)->open(memory->name()))
              == errc::exhausted);
}

BOOST_AUTO_TEST_SUITE_END()
