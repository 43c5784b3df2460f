// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace troupe::bench {

/// A folder of the benchmark's own, where processes write; removed at the end.
class scratch_directory {
public:
  scratch_directory();
  ~scratch_directory();

  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;

  /// Empty if it could not be made.
  [[nodiscard]] const std::filesystem::path& path() const noexcept {
    return path_;
  }

  void remove() const noexcept;

private:
  std::filesystem::path path_;
};

} // namespace troupe::bench
