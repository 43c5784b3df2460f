// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/memory_file.hpp"

#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/actors/process/cgroup.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/core/units.hpp"

namespace troupe::process {

namespace {

constexpr int content_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/// Unmaps what was mapped.
struct mapping {
  void* at;
  std::size_t size;

  mapping(void* data, std::size_t bytes) noexcept : at(data), size(bytes) {
    // nop
  }

  mapping(const mapping&) = delete;

  mapping& operator=(const mapping&) = delete;

  ~mapping() { ::munmap(at, size); }
};

} // namespace

result<unique_fd>
make_sealed_file(std::uint64_t size,
                 const std::function<void(std::span<std::byte>)>& fill) {
  auto no_memory = [size](int number) {
    return fail(
      system_error(errc::exhausted,
                   fmt::format("no shared memory of {}", format_bytes(size)),
                   number));
  };
  // The kernel would take memory from everybody until nobody has any, and in a
  // container that has no more would end us.
  static const auto usable = usable_memory_bytes();
  if (size >= usable)
    return fail(errc::exhausted,
                fmt::format("no shared memory of {}: this process may have {} "
                            "in all",
                            format_bytes(size), format_bytes(usable)));
  unique_fd file{
    ::memfd_create("troupe-batch", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!file)
    return no_memory(errno);
  // Taken now: running out of memory is an error here and a SIGBUS later.
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0
      || ::fallocate(file.get(), 0, 0, static_cast<off_t>(size)) != 0)
    return no_memory(errno);
  {
    auto* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_POPULATE, file.get(), 0);
    if (at == MAP_FAILED)
      return no_memory(errno);
    mapping writable{at, size};
    fill({static_cast<std::byte*>(at), size});
  }
  if (::fcntl(file.get(), F_ADD_SEALS, content_seals | F_SEAL_SEAL) != 0)
    return fail(
      system_error(errc::internal, "cannot seal a memory file", errno));
  return file;
}

result<buffer> map_sealed_file(const unique_fd& file, std::uint64_t size) {
  auto seals = ::fcntl(file.get(), F_GET_SEALS);
  struct stat status {};
  if (seals < 0 || (seals & content_seals) != content_seals
      || ::fstat(file.get(), &status) != 0 || size == 0
      || static_cast<std::uint64_t>(status.st_size) != size)
    return fail(errc::corrupt,
                fmt::format("what was handed over is not a sealed file of {}",
                            format_bytes(size)));
  // Populated while read-only, which shares the pages; populating a writable
  // private mapping would copy every one of them.
  auto* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE,
                    file.get(), 0);
  if (at == MAP_FAILED)
    return fail(system_error(errc::exhausted,
                             fmt::format("cannot map {}", format_bytes(size)),
                             errno));
  auto owner = std::make_shared<mapping>(at, size);
  if (::mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
    return fail(system_error(errc::exhausted,
                             fmt::format("cannot map {}", format_bytes(size)),
                             errno));
  return buffer::wrap(static_cast<std::byte*>(at), size, std::move(owner));
}

} // namespace troupe::process
