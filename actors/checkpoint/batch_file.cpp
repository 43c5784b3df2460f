// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/batch_file.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::checkpoint {

namespace {

/// Closes a descriptor when it goes.
class open_file {
public:
  open_file(const std::filesystem::path& file, int flags)
    : fd_(::open(file.c_str(), flags | O_CLOEXEC, 0666)) {
    // nop
  }

  ~open_file() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;

  [[nodiscard]] int get() const noexcept { return fd_; }

private:
  int fd_;
};

/// 0, or the error number.
int write_all(int fd, std::span<const std::byte> data) {
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

int read_all(int fd, std::span<std::byte> to) {
  while (!to.empty()) {
    auto count = ::read(fd, to.data(), to.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return count < 0 ? errno : EIO;
    to = to.subspan(static_cast<std::size_t>(count));
  }
  return 0;
}

} // namespace

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
    case ENOENT: reaction = errc::lost; break;
    default: break;
  }
  return {reaction, fmt::format("cannot {} {}: {}{}", action, file.string(),
                                std::strerror(code), advice)};
}

result<void> write_batch(const std::filesystem::path& file,
                         const batch& content) {
  std::error_code problem;
  std::filesystem::create_directories(file.parent_path(), problem);
  if (problem)
    return fail(
      file_error(problem.value(), "make the folder", file.parent_path()));
  open_file out{file, O_CREAT | O_TRUNC | O_WRONLY};
  if (out.get() < 0)
    return fail(file_error(errno, "write", file));
  auto data = encode(content);
  auto code = write_all(out.get(), {data.data(), data.size()});
  if (code == 0 && ::fsync(out.get()) != 0)
    code = errno;
  if (code != 0)
    return fail(file_error(code, "write", file));
  return {};
}

result<batch> read_batch(const std::filesystem::path& file) {
  open_file in{file, O_RDONLY};
  struct stat info {};
  if (in.get() < 0 || ::fstat(in.get(), &info) != 0)
    return fail(file_error(errno, "read", file));
  auto data = buffer::allocate(static_cast<std::size_t>(info.st_size));
  if (auto code = read_all(in.get(), {data.data(), data.size()}); code != 0)
    return fail(file_error(code, "read", file));
  auto out = decode_batch(data);
  if (!out)
    return fail(out.error().within(file.string()));
  return out;
}

} // namespace troupe::checkpoint
