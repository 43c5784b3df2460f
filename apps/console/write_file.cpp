// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/write_file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

namespace troupe::console {

namespace {

/// Whether something is there that must not be replaced by a file.
bool is_device_or_pipe(const std::filesystem::path& file) {
  std::error_code code;
  auto kind = std::filesystem::status(file, code).type();
  using std::filesystem::file_type;
  return kind == file_type::character || kind == file_type::block
         || kind == file_type::fifo;
}

/// What becomes `file` once it is whole.
std::filesystem::path draft_of(std::filesystem::path file) {
  file += draft_suffix;
  return file;
}

int open_draft(const std::filesystem::path& draft) {
  return ::open(draft.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
}

result<void> write_into(const std::filesystem::path& file,
                        std::string_view text, std::string_view setting) {
  // Otherwise a pipe without a reader would hold us for ever.
  auto descriptor = ::open(file.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0)
    return fail(file_error(errno, "write", file, setting));
  auto code = ::fcntl(descriptor, F_SETFL, 0) == 0 ? write_all(descriptor, text)
                                                   : errno;
  if (::close(descriptor) != 0 && code == 0)
    code = errno;
  if (code == 0)
    return {};
  return fail(file_error(code, "write", file, setting));
}

} // namespace

error file_error(int code, std::string_view action,
                 const std::filesystem::path& file, std::string_view setting) {
  auto reaction = errc::invalid;
  std::string_view advice = "choose another place with";
  switch (code) {
    case EACCES:
    case EPERM:
    case EROFS: reaction = errc::refused; break;
    case ENOSPC:
    case EDQUOT:
      reaction = errc::exhausted;
      advice = "free some space or choose another place with";
      break;
    default: break;
  }
  return {reaction,
          fmt::format("cannot {} {}: {}; {} {}", action, file.string(),
                      std::strerror(code), advice, setting)};
}

int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    auto count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return count < 0 ? errno : EIO;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

result<void> write_file(const std::filesystem::path& file,
                        std::string_view text, std::string_view setting) {
  if (is_device_or_pipe(file))
    return write_into(file, text, setting);
  auto draft = draft_of(file);
  auto descriptor = open_draft(draft);
  if (descriptor < 0)
    return fail(file_error(errno, "write", file, setting));
  auto code = write_all(descriptor, text);
  // Without this a crash of the machine could leave the new name empty.
  if (code == 0 && ::fsync(descriptor) != 0 && errno != EINVAL)
    code = errno;
  if (::close(descriptor) != 0 && code == 0)
    code = errno;
  if (code == 0 && ::rename(draft.c_str(), file.c_str()) != 0)
    code = errno;
  if (code == 0)
    return {};
  ::unlink(draft.c_str());
  return fail(file_error(code, "write", file, setting));
}

result<void> check_writable(const std::filesystem::path& file,
                            std::string_view setting) {
  if (is_device_or_pipe(file)) {
    if (::access(file.c_str(), W_OK) == 0)
      return {};
    return fail(file_error(errno, "write", file, setting));
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return fail(file_error(EISDIR, "write", file, setting));
  auto draft = draft_of(file);
  auto descriptor = open_draft(draft);
  if (descriptor < 0)
    return fail(file_error(errno, "write", file, setting));
  ::close(descriptor);
  ::unlink(draft.c_str());
  return {};
}

} // namespace troupe::console
