// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <string_view>
#include <thread>

#include <unistd.h>

namespace troupe::process {

namespace {

using std::filesystem::path;

std::vector<std::string> words_of(const path& file) {
  std::ifstream in{file};
  std::vector<std::string> out;
  std::string word;
  while (in >> word)
    out.push_back(std::move(word));
  return out;
}

/// Nothing if it is no count, like `max` or -1.
std::optional<std::uint64_t> count_in(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(),
                                     value);
  if (code != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<std::uint64_t> count_at(const path& file) {
  auto words = words_of(file);
  return words.empty() ? std::nullopt : count_in(words.front());
}

/// Time in so many microseconds of each `period`.
std::optional<double> cores_of(std::optional<std::uint64_t> quota,
                               std::optional<std::uint64_t> period) {
  if (!quota || !period || *quota == 0 || *period == 0)
    return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

template <class T>
void lower(std::optional<T>& limit, const std::optional<T>& found) {
  if (found)
    limit = limit ? std::min(*limit, *found) : *found;
}

/// True if `all`, with commas between them, has `one`.
bool has(std::string_view all, std::string_view one) {
  while (!all.empty()) {
    auto comma = std::min(all.find(','), all.size());
    if (all.substr(0, comma) == one)
      return true;
    all.remove_prefix(std::min(comma + 1, all.size()));
  }
  return false;
}

/// Looks at a group and at those around it. Inside a container the outermost
/// folder is the container's own group, whatever the path says.
template <class F>
void for_all_around(const path& mount, path folder, F&& look) {
  for (;;) {
    look(mount / folder);
    if (folder.empty())
      return;
    folder = folder.parent_path();
  }
}

} // namespace

std::vector<own_cgroup> own_cgroups(const path& file) {
  std::vector<own_cgroup> out;
  std::ifstream in{file};
  std::string line;
  while (std::getline(in, line)) {
    auto end = line.find(":/");
    auto begin = line.find(':');
    if (end == std::string::npos)
      continue;
    own_cgroup x;
    if (begin < end)
      x.controllers = line.substr(begin + 1, end - begin - 1);
    x.folder = line.substr(end + 2);
    if (std::find(x.folder.begin(), x.folder.end(), "..") != x.folder.end())
      x.folder.clear();
    out.push_back(std::move(x));
  }
  return out;
}

cgroup_limits read_cgroup_limits(const cgroup_places& where) {
  cgroup_limits out;
  for (const auto& group : own_cgroups(where.own)) {
    if (group.controllers.empty())
      for_all_around(where.root, group.folder, [&](const path& x) {
        lower(out.memory_bytes, count_at(x / "memory.max"));
        if (auto words = words_of(x / "cpu.max"); words.size() == 2)
          lower(out.cores, cores_of(count_in(words[0]), count_in(words[1])));
      });
    if (has(group.controllers, "memory"))
      for_all_around(where.root / "memory", group.folder, [&](const path& x) {
        lower(out.memory_bytes, count_at(x / "memory.limit_in_bytes"));
      });
    if (has(group.controllers, "cpu"))
      for_all_around(where.root / "cpu", group.folder, [&](const path& x) {
        lower(out.cores, cores_of(count_at(x / "cpu.cfs_quota_us"),
                                  count_at(x / "cpu.cfs_period_us")));
      });
  }
  return out;
}

std::int32_t usable_cores(const cgroup_places& where) {
  // The library counts those that the process may run on.
  auto out = static_cast<double>(
    std::max(1u, std::thread::hardware_concurrency()));
  if (auto limit = read_cgroup_limits(where).cores)
    out = std::min(out, std::ceil(*limit));
  return static_cast<std::int32_t>(out);
}

std::uint64_t usable_memory_bytes(const cgroup_places& where) {
  auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  auto limit = read_cgroup_limits(where).memory_bytes;
  return std::min(pages * page,
                  limit.value_or(std::numeric_limits<std::uint64_t>::max()));
}

} // namespace troupe::process
