// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/box.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/ids.hpp"

// The plain structs of a weight sync: what a planner makes (`transfer_plan`),
// and what each rank then executes (`rank_program`).

namespace troupe {

/// What joins two ranks, the cheapest first. Planners know the first three,
/// which say how far it is; where both ends hold their tensors on devices, a
/// sync takes what goes from device to device instead.
enum class link_kind : std::uint8_t {
  /// One process: one address space.
  inproc = 1,
  /// Two processes on one machine.
  shm = 2,
  /// Two machines.
  gloo = 3,
  /// One process, and both ends hold their tensors on its device.
  cuda = 4,
  /// Two processes that share a device.
  cuda_ipc = 5,
  /// Two devices.
  nccl = 6,
};

[[nodiscard]] std::string_view to_string(link_kind x) noexcept;

/// One source rank gives a box of one logical tensor to destination ranks that
/// it reaches by the same kind of link.
struct planned_transfer {
  rank_id source;
  std::vector<rank_id> destinations;
  /// Index into `transfer_plan::logical`.
  std::uint32_t logical = 0;
  box where;
  link_kind link = link_kind::inproc;
  /// Bytes that each destination receives: elements in the wire's type.
  std::uint64_t bytes = 0;
  /// The way that a mapping of ChatLearn's prescribes: the source rank that
  /// gathers the box and sends it, and the destination rank that receives and
  /// hands it on. Programs know neither: they move from source to destination.
  std::optional<rank_id> gathered_by = {};
  std::optional<rank_id> handed_on_by = {};
};

/// A static schedule that writes every element of the destination exactly once.
/// Computed once, reused every sync.
struct transfer_plan {
  std::string source_model;
  std::string destination_model;
  /// Names of the logical tensors; the index numbers the tensor.
  std::vector<std::string> logical;
  std::vector<planned_transfer> transfers;
};

// -- what a rank executes ------------------------------------------------------

/// `count` steps of `stride_bytes`.
struct memory_loop {
  std::uint64_t count = 0;
  std::uint64_t stride_bytes = 0;

  bool operator==(const memory_loop&) const noexcept = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, memory_loop& x) {
    return f(x.count, x.stride_bytes);
  }
};

/// A region of one stored tensor of this rank, and where its elements stand on
/// the wire.
struct program_part {
  /// Index into the rank's parameter list.
  std::uint32_t tensor = 0;
  /// The digest's key: equal on both ends, unique among the parts that arrive
  /// at one rank.
  std::uint64_t key = 0;
  /// First byte in the bucket's wire form; a multiple of 8. The elements lie
  /// there dense, in row-major order of the region, in the wire's type.
  std::uint64_t wire_begin = 0;
  std::uint64_t wire_bytes = 0;
  /// First element in the stored tensor.
  std::uint64_t offset_bytes = 0;
  /// Elements that follow each other in memory.
  std::uint64_t run_elements = 0;
  /// The runs, outermost loop first; empty if there is one.
  std::vector<memory_loop> loops;

  bool operator==(const program_part&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 program_part& x) {
    return f(x.tensor, x.key, x.wire_begin, x.wire_bytes, x.offset_bytes,
             x.run_elements, x.loops);
  }
};

/// Parts that travel together. All of a bucket has one wire type; the local
/// type is that of the stored tensor, and a part whose types differ is
/// converted on the way. No bucket is larger than the plan's bound.
struct program_bucket {
  dtype wire_type = dtype::float32;
  std::uint64_t wire_bytes = 0;
  std::vector<program_part> parts;

  bool operator==(const program_bucket&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 program_bucket& x) {
    return f(x.wire_type, x.wire_bytes, x.parts);
  }
};

/// One direction between this rank and another: the buckets, in order. Both
/// ends have the same number of buckets with the same parts: keys and wire
/// positions are equal, tensors and offsets each end's own.
struct program_channel {
  /// Rank of the other model, counted over all its replicas.
  rank_id peer;
  link_kind link = link_kind::inproc;
  std::vector<program_bucket> buckets;

  bool operator==(const program_channel&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 program_channel& x) {
    return f(x.peer, x.link, x.buckets);
  }
};

/// What one rank does in a sync, as source (`sends`) or destination
/// (`receives`). Made from a plan by planner::compile; carried to the rank
/// once, when a sync is prepared.
struct rank_program {
  rank_id rank;
  std::vector<program_channel> sends;
  std::vector<program_channel> receives;

  bool operator==(const rank_program&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 rank_program& x) {
    return f(x.rank, x.sends, x.receives);
  }
};

} // namespace troupe
