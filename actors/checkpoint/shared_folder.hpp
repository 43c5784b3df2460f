// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "troupe/core/error.hpp"

namespace troupe::checkpoint {

/// Lets other machines see whether they share a folder: a small file in it, in a
/// folder of its own that has the rights a checkpoint will have, with words that
/// nobody can guess.
///
///     FOLDER/.shared-TOKEN.partial/token
///
/// The name is new each time, so that no machine remembers that it was not there.
class shared_folder_mark {
public:
  /// Leaves the file in `folder`, which is made if it is missing, in the place of
  /// any other: one process at a time (the run's lock). Fails as `file_error`.
  [[nodiscard]] static result<shared_folder_mark>
  leave(const std::filesystem::path& folder);

  shared_folder_mark(shared_folder_mark&& x) noexcept;
  shared_folder_mark& operator=(shared_folder_mark&&) = delete;

  /// Takes it away.
  ~shared_folder_mark();

  /// Where it lies.
  [[nodiscard]] std::filesystem::path file() const;

  /// What stands in it.
  [[nodiscard]] const std::string& token() const noexcept { return token_; }

private:
  shared_folder_mark(std::filesystem::path home, std::string token);

  std::filesystem::path home_;
  std::string token_;
};

/// Looks for somebody else's mark, and tries to write beside it if `write`.
/// Fails with a sentence about this machine: `errc::unavailable` if it does not
/// see the mark, `errc::refused` if it may not read or write there.
[[nodiscard]] result<void> look_for_mark(const std::filesystem::path& file,
                                         const std::string& token, bool write);

} // namespace troupe::checkpoint
