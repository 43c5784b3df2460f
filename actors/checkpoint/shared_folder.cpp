// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/shared_folder.hpp"

#include <array>
#include <cerrno>
#include <random>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/checkpoint/file_io.hpp"

namespace troupe::checkpoint {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view prefix = ".shared-";
constexpr const char* file_name = "token";

/// Far more than a token has.
constexpr std::size_t token_bytes_max = 256;

std::string make_token() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(),
                     random());
}

/// FOLDER of FOLDER/.shared-TOKEN.partial/token.
fs::path folder_of(const fs::path& file) {
  return file.parent_path().parent_path();
}

/// 0, or the error number.
int read_token(const fs::path& file, std::string& out) {
  open_file in{file, O_RDONLY};
  if (in.get() < 0)
    return errno;
  std::array<std::byte, token_bytes_max> buffer;
  std::size_t count = 0;
  if (auto code = read_full(in.get(), buffer, count); code != 0)
    return code;
  out.assign(reinterpret_cast<const char*>(buffer.data()), count);
  return 0;
}

/// What ranks do: make a folder and a file in it. 0, or the error number.
int try_to_write(const fs::path& home) {
  auto folder = home / make_token();
  std::error_code problem;
  fs::create_directory(folder, problem);
  if (problem)
    return problem.value();
  auto code = 0;
  {
    open_file out{folder / file_name, O_CREAT | O_EXCL | O_WRONLY};
    code = out.get() < 0 ? errno : 0;
  }
  fs::remove_all(folder, problem);
  return code;
}

} // namespace

result<shared_folder_mark> shared_folder_mark::leave(const fs::path& folder) {
  std::error_code problem;
  fs::create_directories(folder, problem);
  if (problem)
    return fail(file_error(problem.value(), "make the folder", folder));
  // Of a driver that was killed while it looked; there is but one at a time.
  for (const auto& x : fs::directory_iterator{folder, problem})
    if (x.path().filename().string().starts_with(prefix))
      fs::remove_all(x.path(), problem);
  auto token = make_token();
  auto home = folder / fmt::format("{}{}{}", prefix, token, unfinished_suffix);
  fs::create_directory(home, problem);
  if (problem)
    return fail(file_error(problem.value(), "make the folder", home));
  shared_folder_mark out{home, std::move(token)};
  open_file file{out.file(), O_CREAT | O_EXCL | O_WRONLY};
  auto code = file.get() < 0
                ? errno
                : write_all(file.get(), std::as_bytes(std::span{out.token_}));
  if (code != 0)
    return fail(file_error(code, "write", out.file()));
  return out;
}

shared_folder_mark::shared_folder_mark(fs::path home, std::string token)
  : home_(std::move(home)),
    token_(std::move(token)) {
  // nop
}

shared_folder_mark::shared_folder_mark(shared_folder_mark&& x) noexcept
  : home_(std::exchange(x.home_, fs::path{})),
    token_(std::move(x.token_)) {
  // nop
}

shared_folder_mark::~shared_folder_mark() {
  std::error_code ignored;
  if (!home_.empty())
    fs::remove_all(home_, ignored);
}

fs::path shared_folder_mark::file() const {
  return home_ / file_name;
}

result<void> look_for_mark(const fs::path& file, const std::string& token,
                           bool write) {
  std::string found;
  auto code = read_token(file, found);
  if (code == EACCES || code == EPERM)
    return fail(errc::refused,
                fmt::format("this machine's user may not read {}, where the "
                            "driver keeps the run's checkpoints",
                            folder_of(file).string()));
  if (code != 0 || found != token)
    return fail(errc::unavailable,
                fmt::format("this machine does not see {}, where the driver "
                            "keeps the run's checkpoints",
                            folder_of(file).string()));
  if (!write)
    return {};
  code = try_to_write(file.parent_path());
  if (code == 0)
    return {};
  return fail(errc::refused,
              fmt::
                format("this machine's user may not write into {}, where the "
                       "driver keeps the run's checkpoints ({})",
                       folder_of(file).string(),
                       std::system_category().message(code)));
}

} // namespace troupe::checkpoint
