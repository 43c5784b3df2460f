// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace troupe::test {

/// A folder of a test's own, removed with all that is in it.
class scratch {
public:
  scratch() {
    auto name = (std::filesystem::temp_directory_path() / "troupe-test-XXXXXX")
                  .string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error{"no folder for the test"};
    path_ = name;
  }

  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept {
    return path_;
  }

private:
  std::filesystem::path path_;
};

} // namespace troupe::test
