// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/process_info.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <link.h>
#include <unistd.h>
#include <xxhash.h>

namespace troupe::node {

std::uint64_t resident_bytes() {
  std::ifstream in{"/proc/self/statm"};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(in >> size >> resident))
    return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

namespace {

/// The linker's build id among the notes of one segment; empty if it is not
/// there. The loader has mapped the notes, so nothing is read.
std::string find_build_id(std::span<const std::byte> notes,
                          std::size_t alignment) {
  auto padded = [alignment](std::size_t x) {
    return (x + alignment - 1) / alignment * alignment;
  };
  constexpr std::string_view owner{"GNU", 4};
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes.data(), sizeof(header));
    auto name_end = sizeof(header) + header.n_namesz;
    auto data_begin = padded(name_end);
    auto data_end = data_begin + header.n_descsz;
    if (data_end > notes.size())
      break;
    std::string_view name{reinterpret_cast<const char*>(notes.data())
                            + sizeof(header),
                          header.n_namesz};
    if (header.n_type == NT_GNU_BUILD_ID && name == owner) {
      std::string id;
      for (auto x : notes.subspan(data_begin, header.n_descsz))
        id += fmt::format("{:02x}", std::to_integer<unsigned>(x));
      return id;
    }
    notes = notes.subspan(std::min(padded(data_end), notes.size()));
  }
  return {};
}

/// What the linker wrote into the program; empty if it was told not to.
std::string linked_build_id() {
  std::string id;
  ::dl_iterate_phdr(
    [](dl_phdr_info* program, std::size_t, void* out) {
      for (auto i = 0; i < program->dlpi_phnum; ++i) {
        const auto& segment = program->dlpi_phdr[i];
        if (segment.p_type != PT_NOTE)
          continue;
        auto* first = reinterpret_cast<const std::byte*>(program->dlpi_addr
                                                         + segment.p_vaddr);
        auto found = find_build_id({first, segment.p_memsz},
                                   segment.p_align == 8 ? 8 : 4);
        if (!found.empty())
          *static_cast<std::string*>(out) = std::move(found);
      }
      // The program comes before its libraries, which do not matter here.
      return 1;
    },
    &id);
  return id;
}

/// A digest of the program file.
std::string hashed_build_id() {
  std::ifstream in{"/proc/self/exe", std::ios::binary};
  std::vector<char> chunk(1 << 20);
  auto* state = XXH3_createState();
  XXH3_64bits_reset(state);
  while (in) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    XXH3_64bits_update(state, chunk.data(),
                       static_cast<std::size_t>(in.gcount()));
  }
  auto text = fmt::format("{:016x}", XXH3_64bits_digest(state));
  XXH3_freeState(state);
  return text;
}

} // namespace

const std::string& build_id() {
  static const std::string id = [] {
    auto linked = linked_build_id();
    return linked.empty() ? hashed_build_id() : linked;
  }();
  return id;
}

std::string make_job_id() {
  std::random_device random;
  return fmt::format("{:06x}{:06x}", random() & 0xffffffu,
                     random() & 0xffffffu);
}

} // namespace troupe::node
