// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/text_file.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

namespace troupe::config {

result<std::string> read_text_file(const std::filesystem::path& file,
                                   std::size_t max_bytes) {
  auto refuse = [&](std::string_view why) {
    return fail(errc::invalid,
                fmt::format("{}: cannot be read: {}", file.string(), why));
  };
  if (file.empty())
    return fail(errc::invalid, "the name of the configuration is empty");
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return refuse("is a directory");
  // It would be waited for, and what it says be gone when it is read again.
  if (std::filesystem::is_fifo(file, ignored))
    return refuse("is a pipe; write it to a file first");
  errno = 0;
  std::ifstream in{file, std::ios::binary};
  if (!in)
    return refuse(errno != 0 ? std::strerror(errno) : "unknown reason");
  std::string text(max_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad())
    return refuse("the file system reports an error");
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

} // namespace troupe::config
