// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/core/batch.hpp"
#include "troupe/core/ids.hpp"

namespace troupe {

/// The files of one rank in a checkpoint: `DIRECTORY/NAME.rankN`, so that ranks
/// of one replica never collide.
class rank_files {
public:
  rank_files(std::filesystem::path directory, rank_id rank);

  /// The path of the file NAME of this rank. The directory exists while a
  /// checkpoint is being saved. Throws std::invalid_argument unless `name` is a
  /// plain file name that does not begin with `troupe`.
  [[nodiscard]] std::filesystem::path rank_file(std::string_view name) const;

  [[nodiscard]] const std::filesystem::path& directory() const noexcept {
    return directory_;
  }

  [[nodiscard]] rank_id rank() const noexcept { return rank_; }

private:
  std::filesystem::path directory_;
  rank_id rank_;
};

/// What a module saves to. Batches that it hands over are written after
/// `save_checkpoint` has returned, while the model goes on: copy into them what
/// will change. What a module writes itself, to `rank_file`, must be complete
/// when `save_checkpoint` returns.
class checkpoint_writer : public rank_files {
public:
  using rank_files::rank_files;

  /// Saves `content` as the file `name`. Throws as `rank_file`, and for a name
  /// that was used already.
  void write(std::string_view name, batch content);

  /// For whoever writes them.
  [[nodiscard]] std::vector<std::pair<std::filesystem::path, batch>> take() {
    return std::exchange(pending_, {});
  }

private:
  std::vector<std::pair<std::filesystem::path, batch>> pending_;
};

/// What a module loads from: the files of the same rank of the same replica.
class checkpoint_reader : public rank_files {
public:
  using rank_files::rank_files;

  /// What was saved as `name`. Throws a troupe::exception that names the file if
  /// there is none, or it is damaged (`errc::corrupt`).
  [[nodiscard]] batch read(std::string_view name) const;
};

} // namespace troupe
