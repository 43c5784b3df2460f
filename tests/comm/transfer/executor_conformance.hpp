// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "comm/transfer/sync_sample.hpp"

/// What an executor must do, whatever its links are.
namespace troupe::test::conformance {

/// A fresh backend: an arena, for example, belongs to one sync.
using backend_maker = std::function<sync_backend()>;

void every_element_arrives(const backend_maker& make);
void staged_is_seen_after_the_commit(const backend_maker& make);
void comparing_names_tensor_element_and_values(const backend_maker& make);
void ranks_cross_in_any_order(const backend_maker& make);
void an_absent_peer_meets_the_deadline(const backend_maker& make);
void abort_ends_both_runs(const backend_maker& make);
void a_dropped_peer_is_lost(const backend_maker& make);
void other_parts_are_named_before_anything_moves(const backend_maker& make);
void swapped_buckets_are_named_before_anything_moves(const backend_maker& make);
void progress_tells_where_it_stands(const backend_maker& make);

} // namespace troupe::test::conformance

#define TROUPE_EXECUTOR_CASE(name, subject)   \
  BOOST_AUTO_TEST_CASE(name) {                \
    troupe::test::conformance::name(subject); \
  }

#define TROUPE_EXECUTOR_CONFORMANCE(subject)                                 \
  TROUPE_EXECUTOR_CASE(every_element_arrives, subject)                       \
  TROUPE_EXECUTOR_CASE(staged_is_seen_after_the_commit, subject)             \
  TROUPE_EXECUTOR_CASE(comparing_names_tensor_element_and_values, subject)   \
  TROUPE_EXECUTOR_CASE(ranks_cross_in_any_order, subject)                    \
  TROUPE_EXECUTOR_CASE(an_absent_peer_meets_the_deadline, subject)           \
  TROUPE_EXECUTOR_CASE(abort_ends_both_runs, subject)                        \
  TROUPE_EXECUTOR_CASE(a_dropped_peer_is_lost, subject)                      \
  TROUPE_EXECUTOR_CASE(other_parts_are_named_before_anything_moves, subject) \
  TROUPE_EXECUTOR_CASE(swapped_buckets_are_named_before_anything_moves,      \
                       subject)                                              \
  TROUPE_EXECUTOR_CASE(progress_tells_where_it_stands, subject)
