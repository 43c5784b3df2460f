// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/memory.hpp"

#include <functional>
#include <memory>

#include <fmt/format.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/core/units.hpp"

namespace troupe::comm::cuda {

namespace {

/// What there is, behind an error for want of memory: it may be somebody
/// else's.
error with_figures(runtime& api, error why) {
  std::uint64_t free = 0;
  std::uint64_t total = 0;
  if (auto code = api.memory_bytes(free, total); code != codes::success) {
    ignore(api, code);
    return why;
  }
  return error{why.code(),
               fmt::format("{}; {} of the device's {} are free (nvidia-smi "
                           "shows who has the rest)",
                           why.message(), format_bytes(free),
                           format_bytes(total))};
}

} // namespace

bool device_view::contains(const void* where,
                           std::uint64_t count) const noexcept {
  const auto* first = static_cast<const std::byte*>(where);
  std::less<const std::byte*> before;
  if (count > bytes || before(first, data))
    return false;
  // `where` may be of another allocation: no difference before it is known.
  return !before(data + (bytes - count), first);
}

// -- device_memory -------------------------------------------------------------

result<device_memory> device_memory::allocate(runtime_ptr api,
                                              std::int32_t device,
                                              std::uint64_t bytes) {
  if (bytes == 0)
    return device_memory{std::move(api), {nullptr, 0, device}};
  auto guard = device_guard::enter(*api, device);
  if (!guard)
    return fail(guard.error());
  std::byte* data = nullptr;
  if (auto ok = check(api, api->allocate(data, bytes),
                      [&] {
                        return fmt::format("cudaMalloc({}) on device {}", bytes,
                                           device);
                      });
      !ok)
    return fail(ok.error().code() == errc::exhausted
                  ? with_figures(*api, ok.error())
                  : ok.error());
  return device_memory{std::move(api), {data, bytes, device}};
}

device_memory::~device_memory() {
  if (view_.data == nullptr)
    return;
  auto here = device_guard::attempt(*api_, view_.device);
  ignore(*api_, api_->release(view_.data));
}

buffer device_memory::into_buffer() && {
  auto view = view_;
  auto owner = std::make_shared<device_memory>(std::move(*this));
  return buffer::wrap(view.data, view.bytes, std::move(owner),
                      {device_kind::cuda, view.device});
}

// -- pinned_memory -------------------------------------------------------------

result<pinned_memory> pinned_memory::allocate(runtime_ptr api,
                                              std::uint64_t bytes) {
  if (bytes == 0)
    return pinned_memory{std::move(api), {}, 0};
  std::int32_t device = 0;
  if (auto ok = check(api, api->current_device(device), "cudaGetDevice"); !ok)
    return fail(ok.error());
  std::byte* data = nullptr;
  if (auto ok = check(api, api->allocate_pinned(data, bytes),
                      [&] { return fmt::format("cudaHostAlloc({})", bytes); });
      !ok)
    return fail(ok.error());
  return pinned_memory{std::move(api), {data, bytes}, device};
}

pinned_memory::~pinned_memory() {
  if (bytes_.empty())
    return;
  auto here = device_guard::attempt(*api_, device_);
  ignore(*api_, api_->release_pinned(bytes_.data()));
}

buffer pinned_memory::into_buffer() && {
  auto bytes = bytes_;
  auto owner = std::make_shared<pinned_memory>(std::move(*this));
  return buffer::wrap(bytes.data(), bytes.size(), std::move(owner),
                      {device_kind::cuda_host, 0});
}

// ------------------------------------------------------------------------------

device_view view_of(const buffer& x) noexcept {
  if (x.device().type != device_kind::cuda)
    return {};
  return {x.data(), x.size(), x.device().id};
}

result<pointer_facts> facts_of(runtime& api, const void* where) {
  pointer_facts out;
  if (auto ok = check(api, api.facts(where, out), "cudaPointerGetAttributes");
      !ok)
    return fail(ok.error());
  return out;
}

} // namespace troupe::comm::cuda
