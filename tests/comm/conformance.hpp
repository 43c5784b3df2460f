// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/link.hpp"
#include "troupe/comm/options.hpp"

/// What every communicator, endpoint and link must do, whatever carries it. A
/// backend's test file says how to make one and lists the cases with the macros
/// at the end.
namespace troupe::test::conformance {

struct backend {
  std::function<
    std::vector<comm::endpoint_ptr>(std::int32_t size,
                                    const comm::collective_options& options)>
    make_endpoints;
};

/// Connects endpoints, one thread a rank.
std::vector<comm::communicator_ptr>
connect_all(const backend& with, std::int32_t size,
            const comm::collective_options& options = {});

// -- communicator -------------------------------------------------------------

void send_and_recv_move_bytes(const backend& with);
void collectives_follow_their_formulas(const backend& with);
void ranks_get_identical_bits(const backend& with);
void bfloat16_is_rounded_once(const backend& with);
void max_and_min_let_nan_through(const backend& with);
void wrong_arguments_kill(const backend& with);
void unexpected_sizes_fail(const backend& with);
void passed_deadline_kills(const backend& with);
void failed_receive_leaves_memory_alone(const backend& with);
void abort_wakes_every_waiter(const backend& with);
void abort_in_a_large_transfer_ends_it(const backend& with);
void dropped_communicator_is_lost(const backend& with);

// -- endpoint -----------------------------------------------------------------

void malformed_addresses_are_invalid(const backend& with);
void absent_rank_times_out(const backend& with);
void abort_ends_connect(const backend& with);

// -- link ---------------------------------------------------------------------

/// Makes both ends of a link: the first pushes, the second pulls.
using link_maker = std::function<std::pair<comm::link_ptr, comm::link_ptr>()>;

void link_moves_what_is_pushed(const link_maker& make);
void link_deadline_kills(const link_maker& make);
void link_abort_wakes_both_ends(const link_maker& make);
void link_of_unequal_sizes_fails(const link_maker& make);
void link_dropped_end_is_lost(const link_maker& make);

} // namespace troupe::test::conformance

#define TROUPE_CONFORMANCE_CASE(name, subject) \
  BOOST_AUTO_TEST_CASE(name) {                 \
    troupe::test::conformance::name(subject);  \
  }

#define TROUPE_COMMUNICATOR_CONFORMANCE(subject)                       \
  TROUPE_CONFORMANCE_CASE(send_and_recv_move_bytes, subject)           \
  TROUPE_CONFORMANCE_CASE(collectives_follow_their_formulas, subject)  \
  TROUPE_CONFORMANCE_CASE(ranks_get_identical_bits, subject)           \
  TROUPE_CONFORMANCE_CASE(bfloat16_is_rounded_once, subject)           \
  TROUPE_CONFORMANCE_CASE(max_and_min_let_nan_through, subject)        \
  TROUPE_CONFORMANCE_CASE(wrong_arguments_kill, subject)               \
  TROUPE_CONFORMANCE_CASE(unexpected_sizes_fail, subject)              \
  TROUPE_CONFORMANCE_CASE(passed_deadline_kills, subject)              \
  TROUPE_CONFORMANCE_CASE(failed_receive_leaves_memory_alone, subject) \
  TROUPE_CONFORMANCE_CASE(abort_wakes_every_waiter, subject)           \
  TROUPE_CONFORMANCE_CASE(abort_in_a_large_transfer_ends_it, subject)  \
  TROUPE_CONFORMANCE_CASE(dropped_communicator_is_lost, subject)       \
  TROUPE_CONFORMANCE_CASE(malformed_addresses_are_invalid, subject)    \
  TROUPE_CONFORMANCE_CASE(absent_rank_times_out, subject)              \
  TROUPE_CONFORMANCE_CASE(abort_ends_connect, subject)

#define TROUPE_LINK_CONFORMANCE(maker)                        \
  TROUPE_CONFORMANCE_CASE(link_moves_what_is_pushed, maker)   \
  TROUPE_CONFORMANCE_CASE(link_deadline_kills, maker)         \
  TROUPE_CONFORMANCE_CASE(link_abort_wakes_both_ends, maker)  \
  TROUPE_CONFORMANCE_CASE(link_of_unequal_sizes_fails, maker) \
  TROUPE_CONFORMANCE_CASE(link_dropped_end_is_lost, maker)
