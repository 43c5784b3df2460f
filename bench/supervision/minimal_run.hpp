// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// A run of the program `minimal` beside this one, followed by what it writes.
/// Killed by the destructor.
class minimal_run {
public:
  /// `settings` as for `--set runtime.`; outputs go to `folder`.
  [[nodiscard]] static result<std::unique_ptr<minimal_run>>
  start(const std::filesystem::path& folder,
        const std::vector<std::string>& settings);

  ~minimal_run();

  minimal_run(const minimal_run&) = delete;
  minimal_run& operator=(const minimal_run&) = delete;

  /// The last episode in metrics.jsonl; 0 before the first.
  [[nodiscard]] std::int64_t last_episode() const;

  /// Bytes of errors.jsonl.
  [[nodiscard]] std::uintmax_t errors_bytes() const;

  /// Resident memory of the driver.
  [[nodiscard]] std::uint64_t resident_bytes() const;

  /// Its host processes.
  [[nodiscard]] std::vector<std::int32_t> hosts() const;

  /// True once it has ended.
  [[nodiscard]] bool ended();

private:
  minimal_run(std::filesystem::path directory, std::int32_t pid);

  std::filesystem::path directory_;
  std::int32_t pid_;
  bool ended_ = false;
};

} // namespace troupe::bench
