// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/scratch_directory.hpp"

#include <cstdlib>
#include <string>

namespace troupe::bench {

scratch_directory::scratch_directory() {
  auto name = (std::filesystem::temp_directory_path() / "troupe-XXXXXX")
                .string();
  if (::mkdtemp(name.data()))
    path_ = name;
}

scratch_directory::~scratch_directory() {
  remove();
}

void scratch_directory::remove() const noexcept {
  std::error_code ignored;
  if (!path_.empty())
    std::filesystem::remove_all(path_, ignored);
}

} // namespace troupe::bench
