// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/oom_counter.hpp"

#include <fstream>
#include <vector>

#include <fmt/core.h>

#include "troupe/actors/process/cgroup.hpp"

namespace troupe::process {

namespace {

/// Where the memory cgroup of this process counts, if it is in one.
std::vector<std::filesystem::path>
files_of_own_cgroup(const oom_counter::places& where) {
  std::vector<std::filesystem::path> out;
  for (const auto& x : own_cgroups(where.own_cgroup))
    if (x.controllers.empty())
      out.push_back(where.cgroups / x.folder / "memory.events");
    else if (x.controllers == "memory")
      out.push_back(where.cgroups / "memory" / x.folder / "memory.oom_control");
  return out;
}

/// The number behind `oom_kill` in a file of names and numbers.
std::optional<std::uint64_t> read_count(const std::filesystem::path& file) {
  std::ifstream in{file};
  std::string name;
  std::uint64_t value = 0;
  while (in >> name >> value)
    if (name == "oom_kill")
      return value;
  return std::nullopt;
}

} // namespace

oom_counter::oom_counter(const places& where) {
  auto files = files_of_own_cgroup(where);
  files.push_back(where.machine);
  for (const auto& file : files)
    if (auto count = read_count(file)) {
      file_ = file;
      known_ = *count;
      return;
    }
}

std::optional<std::uint64_t> oom_counter::read() const {
  if (file_.empty())
    return std::nullopt;
  return read_count(file_);
}

std::string oom_counter::what_is_new() {
  auto now = read();
  if (!now || *now <= known_)
    return {};
  auto text = fmt::format("the kernel's out-of-memory killer struck (oom_kill "
                          "in {} rose from {} to {})",
                          file_.string(), known_, *now);
  known_ = *now;
  return text;
}

} // namespace troupe::process
