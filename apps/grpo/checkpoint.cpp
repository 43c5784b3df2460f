// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/checkpoint.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace troupe::grpo {

namespace {

std::string key_of(const parameter& x) {
  return fmt::format("parameter/{}", x.name);
}

[[noreturn]] void give_up(const std::filesystem::path& file,
                          std::string_view what) {
  throw std::runtime_error{
    fmt::format("checkpoint {}: {}", file.string(), what)};
}

} // namespace

void add_parameters(batch& to, const torch::arena& parameters) {
  for (const auto& x : parameters.parameters()) {
    tensor copy{x.type, x.extents};
    std::ranges::copy(x.memory, copy.bytes().begin());
    to.set(key_of(x), std::move(copy));
  }
}

void restore_parameters(const batch& from, torch::arena& parameters) {
  auto list = parameters.parameters();
  for (const auto& x : list) {
    const auto* found = from.find(key_of(x));
    if (found == nullptr || found->type() != x.type
        || found->extents() != x.extents)
      throw std::runtime_error{
        fmt::format("checkpoint: parameter {} is {}, the model needs {}{}",
                    x.name, found == nullptr ? "missing" : to_string(*found),
                    to_string(x.type), to_string(x.extents))};
  }
  for (const auto& x : list)
    std::ranges::copy(from.find(key_of(x))->bytes(), x.memory.begin());
}

void write_checkpoint(const std::filesystem::path& file, const batch& content) {
  auto bytes = encode(content);
  auto partial = file;
  partial += ".partial";
  {
    std::ofstream out{partial, std::ios::binary | std::ios::trunc};
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    out.flush();
    if (!out)
      give_up(partial, "cannot be written");
  }
  std::error_code problem;
  std::filesystem::rename(partial, file, problem);
  if (problem)
    give_up(file, problem.message());
}

batch read_checkpoint(const std::filesystem::path& file) {
  std::error_code problem;
  auto size = std::filesystem::file_size(file, problem);
  if (problem)
    give_up(file, problem.message());
  auto bytes = buffer::allocate(size);
  std::ifstream in{file, std::ios::binary};
  in.read(reinterpret_cast<char*>(bytes.data()),
          static_cast<std::streamsize>(size));
  if (!in)
    give_up(file, "cannot be read");
  auto content = decode_batch(bytes);
  if (!content)
    give_up(file, content.error().message());
  return *std::move(content);
}

} // namespace troupe::grpo
