// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/module.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "troupe/actors/model/parameter_copy.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/core/exception.hpp"

namespace troupe {

namespace {

/// What the checkpoint functions save to if nobody overrides them.
constexpr const char* parameters_file = "parameters";

bool come_back(const worker_context* x) {
  return x != nullptr && x->weights_return();
}

} // namespace

worker_context::~worker_context() = default;

module::~module() = default;

void module::setup(worker_context&) {
  // nop
}

parameter_list module::parameters() {
  return {};
}

void module::on_sync(weight_version) {
  // nop
}

void module::save_checkpoint(checkpoint_writer& to) {
  if (come_back(context_))
    return;
  auto all = parameters();
  if (all.empty())
    return;
  batch content;
  add_parameters(content, all, context_);
  to.write(parameters_file, std::move(content));
}

void module::load_checkpoint(const checkpoint_reader& from) {
  if (come_back(context_))
    return;
  auto all = parameters();
  if (all.empty())
    return;
  auto file = from.rank_file(parameters_file);
  std::error_code problem;
  if (!std::filesystem::exists(file, problem))
    throw exception{
      {errc::invalid,
       fmt::format("checkpoint: there is no {}: when it was saved, the model's "
                   "parameters were not",
                   file.string())}};
  restore_parameters(from.read(parameters_file), all, context_);
  on_sync(weight_version{});
}

void module::onload() {
  // nop
}

void module::offload() {
  // nop
}

std::optional<std::uint64_t> module::device_bytes() const {
  return std::nullopt;
}

// -- worker_context ------------------------------------------------------------

result<std::shared_ptr<comm::shared_memory>>
worker_context::allocate_shared(std::uint64_t bytes) {
  auto made = comm::shm::arena::create(bytes);
  if (!made)
    return fail(made.error());
  return *made;
}

result<void> worker_context::put(std::byte* to,
                                 std::span<const std::byte> from) {
  std::ranges::copy(from, to);
  return {};
}

result<void> worker_context::get(std::span<std::byte> to,
                                 const std::byte* from) {
  std::copy_n(from, to.size(), to.data());
  return {};
}

} // namespace troupe
