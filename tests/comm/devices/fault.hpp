// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/comm/transfer/types.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/digest.hpp"
#include "troupe/core/error.hpp"

namespace troupe::test {

enum class fault_kind : std::uint8_t {
  /// Nothing: what the others are compared with.
  none = 1,
  // The link's end of one side.
  /// Aborts the link.
  abort,
  /// Is gone, without a word; or the whole process is.
  drop,
  /// Does not go on before its deadline has passed.
  stall,
  /// Changes a byte that is pushed or that was packed.
  corrupt,
  /// Writes to a tensor of the source that was lent and has come back.
  write,
  // The device of one side; only where it is stood in for.
  /// Work ends with an error: nothing works on the device any more.
  die,
  /// A call is refused.
  refuse,
  /// Work does not go on until this side has given up.
  hang,
  /// Nor then.
  hang_longer,
  /// Has no more memory, for a staged run.
  starve,
  /// Had too little for the executor.
  starve_early,
};

[[nodiscard]] std::string_view to_string(fault_kind x) noexcept;

enum class sync_side : std::uint8_t { source = 0, destination = 1 };

/// One thing that goes wrong in one run, and when.
struct fault {
  fault_kind kind = fault_kind::none;
  sync_side side = sync_side::source;
  /// Of the tensors and of what is in them.
  std::uint64_t seed = 0;
  /// At which operation, modulo how many there are.
  std::uint64_t at = 0;
  /// Which byte, call or amount, modulo how many there are.
  std::uint64_t which = 0;
  comm::transfer::run_mode mode = comm::transfer::run_mode::in_place;

  [[nodiscard]] bool on_device() const noexcept {
    return kind >= fault_kind::die;
  }

  /// `drop of the source at 3, 17, in_place, seed 12`.
  [[nodiscard]] std::string text() const;
};

/// How a call ended, in a form that goes from process to process.
struct ending {
  /// 0: well.
  std::uint8_t code = 0;
  std::string text;

  [[nodiscard]] bool good() const noexcept { return code == 0; }

  [[nodiscard]] bool is(errc x) const noexcept {
    return code == static_cast<std::uint8_t>(x);
  }

  static ending of(const result<void>& x);
};

/// What one side saw.
struct side_report {
  /// Making the executor, a run before the fault, the run with it.
  ending made;
  ending before;
  ending ran;
  /// In the run with it.
  bool fired = false;
  bool late = false;
  bool digested = false;
  digest sum;
  /// Of a destination: all is there, as the source had it.
  bool complete_before = false;
  bool complete = false;
  /// Of a destination: nothing was written, before any commit.
  bool untouched = false;
  /// What broke that was not meant to.
  std::string trouble;

  [[nodiscard]] bytes encode() const;
  static side_report decode(const bytes& from);
};

/// What is wrong with what both sides saw; empty: nothing. A side that was
/// killed has no report.
[[nodiscard]] std::string judge(const fault& what, const side_report* source,
                                const side_report* destination);

/// As many faults as asked for, of those kinds in turns.
[[nodiscard]] std::vector<fault>
make_faults(std::uint64_t seed, std::size_t count,
            const std::vector<fault_kind>& kinds);

} // namespace troupe::test
