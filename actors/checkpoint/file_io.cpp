// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/file_io.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace troupe::checkpoint {

open_file::open_file(const std::filesystem::path& file, int flags)
  : fd_(::open(file.c_str(), flags | O_CLOEXEC, 0666)) {
  // nop
}

open_file::~open_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

int write_all(int fd, std::span<const std::byte> data) noexcept {
  while (!data.empty()) {
    auto count = ::write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return count < 0 ? errno : EIO;
    data = data.subspan(static_cast<std::size_t>(count));
  }
  return 0;
}

int read_full(int fd, std::span<std::byte> to, std::size_t& count) noexcept {
  count = 0;
  while (count < to.size()) {
    auto part = ::read(fd, to.data() + count, to.size() - count);
    if (part < 0 && errno == EINTR)
      continue;
    if (part < 0)
      return errno;
    if (part == 0)
      return 0;
    count += static_cast<std::size_t>(part);
  }
  return 0;
}

int sync_to_disk(int fd) noexcept {
  // Some file systems have nothing to do for folders and say so.
  return ::fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

error file_error(int code, std::string_view action,
                 const std::filesystem::path& file) {
  auto reaction = errc::failed;
  std::string_view advice;
  switch (code) {
    case EACCES:
    case EPERM:
    case EROFS: reaction = errc::refused; break;
    case ENOSPC:
    case EDQUOT:
      reaction = errc::exhausted;
      advice = "; free some space, or keep fewer with "
               "runtime.checkpoints_max";
      break;
    default: break;
  }
  return {reaction, fmt::format("cannot {} {}: {}{}", action, file.string(),
                                std::strerror(code), advice)};
}

} // namespace troupe::checkpoint
