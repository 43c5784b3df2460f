// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/shm/arena.hpp"

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::comm::shm {

namespace {

/// Our own mapping stays writable; nobody gets another one that is.
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE
                      | F_SEAL_SEAL;

std::size_t page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace

result<std::shared_ptr<arena>> arena::create(std::size_t bytes) {
  auto page = page_size();
  if (bytes > std::numeric_limits<std::size_t>::max() / 4)
    return fail(errc::exhausted, fmt::format("no arena of {} bytes", bytes));
  auto size = (bytes + page - 1) / page * page;
  if (size == 0)
    size = page;
  auto fd = ::memfd_create("troupe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0)
    return fail(errc::unavailable,
                fmt::format("no memfd: {}", std::strerror(errno)));
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    auto code = errno;
    ::close(fd);
    return fail(errc::exhausted, fmt::format("no arena of {} bytes: {}", size,
                                             std::strerror(code)));
  }
  auto* where = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                       0);
  if (where == MAP_FAILED) {
    auto code = errno;
    ::close(fd);
    return fail(errc::exhausted, fmt::format("no arena of {} bytes: {}", size,
                                             std::strerror(code)));
  }
  // A wish: most systems keep large pages from shared memory.
  (void) ::madvise(where, size, MADV_HUGEPAGE);
  std::shared_ptr<arena> made{
    new arena{fd, {static_cast<std::byte*>(where), size}}};
  if (::fcntl(fd, F_ADD_SEALS, seals) != 0)
    return fail(errc::unavailable, fmt::format("a memfd cannot be sealed: {}",
                                               std::strerror(errno)));
  return made;
}

arena::~arena() {
  ::munmap(memory_.data(), memory_.size());
  ::close(fd_);
}

result<buffer> arena::allocate(std::size_t bytes) {
  std::unique_lock lock{mutex_};
  auto left = memory_.size() - used_;
  if (bytes > left)
    return fail(errc::exhausted, fmt::format("{} of {} bytes left in the "
                                             "arena, {} wanted",
                                             left, memory_.size(), bytes));
  auto* where = memory_.data() + used_;
  // Pages are a multiple of the alignment, so this never passes the end.
  auto taken = (bytes + buffer::alignment - 1) / buffer::alignment
               * buffer::alignment;
  used_ += taken;
  return buffer::wrap(where, bytes, shared_from_this());
}

result<foreign_arena> foreign_arena::map(int fd) {
  auto found = ::fcntl(fd, F_GET_SEALS);
  if (found < 0 || (found & F_SEAL_SHRINK) == 0)
    return fail(errc::corrupt, "the peer's memory is not sealed");
  struct stat about {};
  if (::fstat(fd, &about) != 0 || about.st_size <= 0)
    return fail(errc::corrupt, "the peer's memory has no size");
  auto size = static_cast<std::size_t>(about.st_size);
  auto* where = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (where == MAP_FAILED)
    return fail(errc::exhausted,
                fmt::format("cannot map {} bytes of the peer: {}", size,
                            std::strerror(errno)));
  foreign_arena made;
  made.memory_ = {static_cast<const std::byte*>(where), size};
  return made;
}

foreign_arena::foreign_arena(foreign_arena&& other) noexcept
  : memory_(std::exchange(other.memory_, {})) {
  // nop
}

foreign_arena& foreign_arena::operator=(foreign_arena&& other) noexcept {
  std::swap(memory_, other.memory_);
  return *this;
}

foreign_arena::~foreign_arena() {
  if (!memory_.empty())
    ::munmap(const_cast<std::byte*>(memory_.data()), memory_.size());
}

} // namespace troupe::comm::shm
