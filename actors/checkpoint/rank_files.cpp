// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/rank_files.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/core/exception.hpp"

namespace troupe {

rank_files::rank_files(std::filesystem::path directory, rank_id rank)
  : directory_(std::move(directory)),
    rank_(rank) {
  // nop
}

std::filesystem::path rank_files::rank_file(std::string_view name) const {
  if (name.empty() || name.front() == '.'
      || name.starts_with(checkpoint::own_prefix)
      || name.find('/') != std::string_view::npos)
    throw std::invalid_argument{
      fmt::format("'{}' cannot be the name of a checkpoint's file: it must be "
                  "a plain file name and not begin with '{}'",
                  name, checkpoint::own_prefix)};
  return directory_ / fmt::format("{}.rank{}", name, rank_.value());
}

void checkpoint_writer::write(std::string_view name, batch content) {
  auto file = rank_file(name);
  if (std::ranges::any_of(pending_,
                          [&](const auto& x) { return x.first == file; }))
    throw std::invalid_argument{
      fmt::format("the checkpoint's file '{}' was written twice", name)};
  pending_.emplace_back(std::move(file), std::move(content));
}

batch checkpoint_reader::read(std::string_view name) const {
  auto content = checkpoint::read_batch(rank_file(name));
  if (!content)
    throw exception{content.error()};
  return std::move(*content);
}

} // namespace troupe
