// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/transfer/executor.hpp"
#include "troupe/core/buffer.hpp"

namespace troupe::test {

/// The memory in which the tensors of a sync lie: where sources and
/// destinations get it, and how a test reads and writes it.
struct sync_memory {
  std::function<buffer(std::size_t)> source = buffer::allocate;
  std::function<buffer(std::size_t)> destination = buffer::allocate;
  /// The same by rank, where not all ranks are at one place. Null: as above.
  std::function<buffer(std::size_t rank, std::size_t bytes)> source_of = {};
  std::function<buffer(std::size_t rank, std::size_t bytes)> destination_of =
    {};
  std::function<void(std::byte* to, std::span<const std::byte> from)> put =
    [](std::byte* to, std::span<const std::byte> from) {
      std::ranges::copy(from, to);
    };
  std::function<void(std::span<std::byte> to, const std::byte* from)> get =
    [](std::span<std::byte> to, const std::byte* from) {
      std::copy_n(from, to.size(), to.data());
    };

  [[nodiscard]] std::vector<std::byte> read(std::span<std::byte> what) const;
};

/// What carries a sync, and where it keeps its tensors.
struct sync_backend {
  link_kind kind = link_kind::inproc;
  sync_memory memory;
  /// First the sending end.
  std::function<std::pair<comm::link_ptr, comm::link_ptr>()> make_link;
  /// Null: tensors lie in this process's memory.
  std::shared_ptr<const comm::transfer::copy_engine_maker> engines = {};
  /// The same by rank, where not all ranks are at one place. Null: as above.
  std::function<
    std::pair<comm::link_ptr, comm::link_ptr>(std::size_t source,
                                              std::size_t destination)>
    make_link_of = {};
  std::function<std::shared_ptr<
    const comm::transfer::copy_engine_maker>(bool sends, std::size_t rank)>
    engines_of = {};
};

struct sample_options {
  std::size_t sources = 1;
  std::size_t destinations = 1;
  std::size_t buckets = 3;
  std::size_t parts = 4;
  /// Of one part.
  std::uint64_t elements_max = 4000;
  /// Every part is all of a tensor on both ends, of one type.
  bool whole = false;
};

/// One rank of a sample: its program, its tensors and their memory.
struct sample_rank {
  rank_program program;
  std::vector<comm::transfer::local_tensor> tensors;
  std::vector<buffer> memory;
};

/// A random sync between every source and every destination: strided regions
/// of tensors of all types, with the conversions between them. Each part has a
/// tensor of its own on both ends, but some are stored several times by the
/// destination.
class sync_sample {
public:
  sync_sample(std::mt19937_64& random, const sample_options& options,
              const sync_memory& memory);

  std::vector<sample_rank> sources;
  std::vector<sample_rank> destinations;

  [[nodiscard]] const sync_memory& memory() const noexcept { return memory_; }

  /// New values in all sources.
  void refill(std::mt19937_64& random);

  /// What must be in the memory of a destination's tensors after a sync.
  [[nodiscard]] std::vector<std::vector<std::byte>>
  expected(std::size_t destination) const;

  /// What is in there now.
  [[nodiscard]] std::vector<std::vector<std::byte>>
  held(std::size_t destination) const;

  /// Bytes of one channel on the wire.
  [[nodiscard]] std::uint64_t bytes(std::size_t source,
                                    std::size_t destination) const;

private:
  struct piece {
    std::size_t source;
    std::size_t destination;
    dtype wire;
    program_part from;
    program_part to;
    std::uint64_t elements;
    /// Stands on the wire where the piece before it does.
    bool again;
  };

  program_part add_tensor(std::mt19937_64& random, sample_rank& to, dtype type,
                          std::uint64_t elements, bool whole,
                          const std::function<buffer(std::size_t)>& allocate);

  void fill(std::mt19937_64& random, std::span<std::byte> what);

  sync_memory memory_;
  std::vector<piece> pieces_;
};

/// The executors of all ranks of a sample.
class sample_group {
public:
  sample_group(const sync_sample& sample, const sync_backend& backend,
               comm::transfer::executor_options options = {});

  std::vector<std::unique_ptr<comm::transfer::executor>> sources;
  std::vector<std::unique_ptr<comm::transfer::executor>> destinations;

  /// Runs all ranks, each in a thread; what each returned, sources first.
  std::vector<result<void>> run(const comm::transfer::run_options& options,
                                deadline until);
};

} // namespace troupe::test
