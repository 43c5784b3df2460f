// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/batch.hpp"
#include "troupe/core/error.hpp"

namespace troupe::checkpoint {

/// What ends with this in a folder of checkpoints is not whole, or is there for a
/// while only: whoever writes the next checkpoint removes it, and so does the
/// sweeper of a run that was killed.
inline constexpr std::string_view unfinished_suffix = ".partial";

/// Files of a checkpoint whose names begin with this are not a module's.
inline constexpr std::string_view own_prefix = "troupe";

/// A complete checkpoint.
struct saved {
  /// After how many episodes; 0 is after the warm start.
  std::int64_t episode = 0;
  std::filesystem::path directory;
  /// What the engine saved of itself.
  batch state;
  /// Newer ones that are not what their manifest says, and why: a sentence
  /// each.
  std::vector<std::string> passed_over;
};

/// The checkpoints of one run:
///
///     FOLDER/episode-00000050/MANIFEST            what belongs to it
///                             troupe.engine       the engine's own state
///                             MODEL/REPLICA/...   files of the ranks
///     FOLDER/episode-00000075.partial/            being written
///
/// A checkpoint is complete when its folder has lost the suffix: that rename is
/// the last step, after every byte is on the disk, so a kill at any moment
/// leaves the last complete one as it was. Every file stands in the manifest
/// with its size and digest.
///
/// Files lie where the driver's path leads: with several machines it must be a
/// folder they share. One process at a time writes (the run's lock).
class checkpoint_folder {
public:
  explicit checkpoint_folder(std::filesystem::path folder);

  [[nodiscard]] const std::filesystem::path& path() const noexcept {
    return folder_;
  }

  /// Makes the folder that ranks save to; removes what earlier attempts left.
  [[nodiscard]] result<std::filesystem::path> begin(std::int64_t episode) const;

  /// Adds `state` and the manifest to what was saved and makes it a checkpoint.
  /// Blocks until everything is on the disk; reads all of it.
  [[nodiscard]] result<void> commit(std::int64_t episode,
                                    const batch& state) const;

  /// Whether the checkpoint of `episode` has a file that a module of `model` has
  /// saved. True if nobody can tell.
  [[nodiscard]] bool holds_state(std::int64_t episode,
                                 const std::string& model) const;

  /// Keeps the newest `count` checkpoints up to `episode`. Those after it are of
  /// a run that went on from an earlier one, or damaged. Failures are of no
  /// consequence: the next call tries again.
  void prune(std::int64_t episode, std::size_t count) const;

  /// The newest checkpoint that is what its manifest says. Reads all of it.
  /// Fails with `errc::invalid` if there is none.
  [[nodiscard]] result<saved> latest() const;

private:
  [[nodiscard]] std::filesystem::path directory_of(std::int64_t episode) const;

  /// Episodes of what looks complete, newest first.
  [[nodiscard]] std::vector<std::int64_t> episodes() const;

  std::filesystem::path folder_;
};

} // namespace troupe::checkpoint
