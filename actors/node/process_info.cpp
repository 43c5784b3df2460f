// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/process_info.hpp"

#include <fstream>
#include <random>
#include <vector>

#include <fmt/core.h>
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

const std::string& build_id() {
  static const std::string id = [] {
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
  }();
  return id;
}

std::string make_job_id() {
  std::random_device random;
  return fmt::format("{:06x}{:06x}", random() & 0xffffffu,
                     random() & 0xffffffu);
}

} // namespace troupe::node
