// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/version.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <link.h>
#include <pwd.h>
#include <unistd.h>

namespace troupe::comm::nccl {

namespace {

std::int32_t major_of(std::int32_t version) {
  return version / 10000;
}

/// The value of a variable in a file of NCCL's: lines `NAME=VALUE`, in which
/// blanks count; the first one wins.
std::optional<std::string> setting_in(const std::filesystem::path& file,
                                      std::string_view name) {
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r')
      line.pop_back();
    std::string_view text{line};
    auto end = text.find('=');
    if (text.starts_with('#') || end == std::string_view::npos
        || text.substr(0, end) != name)
      continue;
    return std::string{text.substr(end + 1)};
  }
  return std::nullopt;
}

/// Where NCCL looks: in the list of users, whatever $HOME says. Empty if nobody
/// has our number, as in some containers.
std::filesystem::path home_of_user() {
  std::array<char, 16384> text{};
  passwd raw{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &raw, text.data(), text.size(), &found) != 0
      || found == nullptr || found->pw_dir == nullptr)
    return {};
  return found->pw_dir;
}

void set_unless_chosen(const char* name, const std::string& value) {
  if (!chosen_setting(name))
    ::setenv(name, value.c_str(), 0);
}

int note_image(dl_phdr_info* info, std::size_t, void* out) {
  // The program itself has no name.
  if (info->dlpi_name != nullptr && info->dlpi_name[0] != '\0')
    static_cast<std::vector<std::string>*>(out)->emplace_back(info->dlpi_name);
  return 0;
}

} // namespace

std::string version_text(std::int32_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100,
                     version % 100);
}

result<void> check_versions(std::int32_t compiled, std::int32_t found) {
  if (found < oldest_version)
    return fail(errc::unavailable,
                fmt::format("NCCL {} is too old: install {} or newer",
                            version_text(found), version_text(oldest_version)));
  if (major_of(found) != major_of(compiled))
    return fail(errc::unavailable,
                fmt::format("compiled against NCCL {}, but {} was loaded: "
                            "install NCCL {} or compile anew",
                            version_text(compiled), version_text(found),
                            major_of(compiled)));
  if (found / 100 < compiled / 100)
    return fail(errc::unavailable,
                fmt::format("compiled against NCCL {}, but the older {} was "
                            "loaded: put {} or newer first in the library path",
                            version_text(compiled), version_text(found),
                            version_text(compiled)));
  return {};
}

std::vector<std::string> nccl_images(const std::vector<std::string>& images) {
  std::set<std::string> files;
  for (const auto& x : images) {
    auto name = std::filesystem::path{x}.filename().string();
    if (name.rfind("libnccl.so", 0) != 0)
      continue;
    std::error_code failed;
    auto real = std::filesystem::canonical(x, failed);
    files.insert(failed ? x : real.string());
  }
  return {files.begin(), files.end()};
}

std::vector<std::string> loaded_images() {
  std::vector<std::string> out;
  ::dl_iterate_phdr(note_image, &out);
  return out;
}

result<void> one_nccl(const std::vector<std::string>& images) {
  auto found = nccl_images(images);
  if (found.size() < 2)
    return {};
  return fail(errc::invalid,
              fmt::format("this process has {} NCCL libraries ({}): link "
                          "Troupe and libtorch with the same one",
                          found.size(), fmt::join(found, ", ")));
}

std::optional<std::string> chosen_setting(const char* name) {
  if (const auto* value = ::getenv(name); value != nullptr)
    return std::string{value};
  std::vector<std::filesystem::path> files;
  const auto* named = ::getenv("NCCL_CONF_FILE");
  if (named != nullptr && *named != '\0')
    files.emplace_back(named);
  else if (auto home = home_of_user(); !home.empty())
    files.push_back(home / ".nccl.conf");
  files.emplace_back("/etc/nccl.conf");
  for (const auto& file : files)
    if (auto value = setting_in(file, name))
      return value;
  return std::nullopt;
}

void route_debug_output(const std::string& prefix) {
  set_unless_chosen("NCCL_DEBUG_FILE", fmt::format("{}.%h.%p.log", prefix));
}

std::string order_launches(std::int32_t version, std::int32_t cuda) {
  constexpr auto name = "NCCL_LAUNCH_ORDER_IMPLICIT";
  if (version < implicit_order_version)
    return fmt::format("NCCL {} does not keep the launches of several "
                       "communicators in order, {} does: links of one sync "
                       "may wait for each other until the deadline",
                       version_text(version),
                       version_text(implicit_order_version));
  // Also where the user has chosen the order.
  set_unless_chosen("NCCL_LAUNCH_RACE_FATAL", "0");
  if (cuda >= overlapping_order_cuda) {
    set_unless_chosen(name, "1");
    return {};
  }
  // The user's choice, which NCCL does not tell apart from ours.
  auto chosen = chosen_setting(name);
  auto serial = chosen && *chosen != "0";
  return fmt::format(
    "CUDA {}.{} does not let kernels run side by side that NCCL starts in "
    "order, 12.3 does: {}; links of one sync that cross between two devices "
    "may wait for each other until the deadline",
    cuda / 1000, cuda % 1000 / 10,
    serial ? fmt::format("unset {}, which makes them wait", name)
           : fmt::format("{} is left unset", name));
}

} // namespace troupe::comm::nccl
