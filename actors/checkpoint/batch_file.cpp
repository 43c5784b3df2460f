// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/batch_file.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

#include "troupe/actors/checkpoint/file_io.hpp"

namespace troupe::checkpoint {

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
  if (code == 0)
    code = sync_to_disk(out.get());
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
  std::size_t count = 0;
  auto code = read_full(in.get(), {data.data(), data.size()}, count);
  if (code == 0 && count < data.size())
    code = EIO;
  if (code != 0)
    return fail(file_error(code, "read", file));
  auto out = decode_batch(data);
  if (!out)
    return fail(out.error().within(file.string()));
  return out;
}

} // namespace troupe::checkpoint
