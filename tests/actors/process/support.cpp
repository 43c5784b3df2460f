// SPDX-License-Identifier: Apache-2.0
#include "actors/process/support.hpp"

#include <cerrno>
#include <cstdlib>
#include <iostream>

#include <dirent.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/random_seed.hpp"
#include "troupe/actors/process/guard_protocol.hpp"

namespace process_test {

using namespace troupe;
using namespace troupe::process;

deadline soon() {
  return deadline::after(std::chrono::seconds{20});
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  auto* dir = ::opendir("/proc/self/fd");
  while (::readdir(dir))
    ++count;
  ::closedir(dir);
  return count;
}

std::size_t await_descriptors(std::size_t count) {
  auto until = soon();
  auto now = open_descriptors();
  while (now != count && !until.passed()) {
    ::poll(nullptr, 0, 5);
    now = open_descriptors();
  }
  return now;
}

bool readable(int fd, deadline until) {
  pollfd event{fd, POLLIN, 0};
  for (;;) {
    auto ready = ::poll(&event, 1, static_cast<int>(until.left_ms().count()));
    if (ready > 0)
      return true;
    if (ready == 0 || errno != EINTR)
      return false;
  }
}

unique_fd open_pidfd(int pid) {
  return unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

incoming receive(const unique_fd& socket, deadline until) {
  incoming in;
  if (!readable(socket.get(), until)
      || receive_message(socket.get(), guard_protocol::message_bytes_max, in)
           != io_status::done)
    return {};
  return in;
}

batch numbered_batch(std::int64_t rows, std::int64_t first) {
  tensor x{dtype::int64, {rows, 2}};
  auto next = 2 * first;
  for (auto& value : x.values<std::int64_t>())
    value = next++;
  batch out;
  out.set("x", std::move(x));
  out.set_meta("kind", std::string{"numbered"});
  return out;
}

bool is_numbered(const batch& x, std::int64_t rows, std::int64_t first) {
  auto* found = x.find("x");
  if (!found || found->type() != dtype::int64
      || found->extents() != shape{rows, 2} || !x.find_meta("kind"))
    return false;
  auto next = 2 * first;
  for (auto value : found->values<std::int64_t>())
    if (value != next++)
      return false;
  return true;
}

void put(encoder& out, const batch_part& x) {
  out.put(x.slot);
  out.put(x.incarnation.value());
  out.put(x.buffer.value());
  out.put(x.row_begin);
  out.put(x.row_end);
  out.put(x.rows_total);
  out.put(x.bytes);
  out.put(x.version.value());
  out.put(static_cast<std::uint32_t>(x.payload.size()));
  out.append(x.payload.data(), x.payload.size());
}

bool get(decoder& in, batch_part& x) {
  std::uint32_t life = 0;
  std::uint64_t buffer = 0;
  std::uint64_t version = 0;
  std::uint32_t size = 0;
  if (!in.get(x.slot) || !in.get(life) || !in.get(buffer)
      || !in.get(x.row_begin) || !in.get(x.row_end) || !in.get(x.rows_total)
      || !in.get(x.bytes) || !in.get(version) || !in.get(size)
      || size > in.left())
    return false;
  x.incarnation = incarnation{life};
  x.buffer = buffer_id{buffer};
  x.version = weight_version{version};
  x.payload.resize(size);
  return in.read(x.payload.data(), size);
}

std::mt19937_64 seeded_generator() {
  auto seed = test::random_seed();
  std::cout << "TROUPE_SEED=" << seed << std::endl;
  return std::mt19937_64{seed};
}

bytes mutate(const bytes& seed, std::mt19937_64& random) {
  auto out = seed;
  switch (random() % 4) {
    case 0: // cut
      out.resize(random() % (out.size() + 1));
      break;
    case 1: // extended
      out.resize(out.size() + 1 + random() % 64);
      break;
    case 2: // some bytes changed
      for (auto n = 1 + random() % 4; n > 0 && !out.empty(); --n)
        out[random() % out.size()] = static_cast<std::byte>(random());
      break;
    default: // noise
      out.resize(1 + random() % 256);
      for (auto& x : out)
        x = static_cast<std::byte>(random());
  }
  if (out.empty())
    out.resize(1);
  return out;
}

} // namespace process_test
