// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

namespace troupe {

namespace {

/// Of `count` elements, which `extents` make.
result<std::size_t> byte_count(dtype type, const shape& extents,
                               std::int64_t count) {
  std::size_t out = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(count), size_of(type),
                             &out))
    return fail(errc::invalid,
                fmt::format("{}{} has too many bytes", to_string(type),
                            to_string(extents)));
  return out;
}

} // namespace

tensor::tensor() : extents_{0} {
  // nop
}

tensor::tensor(dtype type, shape extents)
  : type_(type),
    extents_(std::move(extents)) {
  size_ = element_count(extents_).value();
  storage_ = buffer::allocate(byte_count(type, extents_, size_).value());
}

result<tensor> tensor::from_buffer(dtype type, shape extents, buffer bytes) {
  if (!is_known(type))
    return fail(errc::invalid,
                fmt::format("dtype {} is unknown", static_cast<int>(type)));
  auto count = element_count(extents);
  if (!count)
    return fail(count.error());
  auto expected = byte_count(type, extents, *count);
  if (!expected || *expected != bytes.size())
    return fail(errc::invalid,
                fmt::format("{}{} does not fit a buffer of {} bytes",
                            to_string(type), to_string(extents), bytes.size()));
  tensor x;
  x.type_ = type;
  x.extents_ = std::move(extents);
  x.size_ = *count;
  x.storage_ = std::move(bytes);
  return x;
}

tensor tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (extents_.empty() || begin < 0 || end < begin || end > extents_[0])
    throw std::out_of_range{
      fmt::format("{} has no rows [{}, {})", to_string(*this), begin, end)};
  auto row_bytes = extents_[0] == 0
                     ? std::size_t{0}
                     : storage_.size() / static_cast<std::size_t>(extents_[0]);
  tensor x;
  x.type_ = type_;
  x.extents_ = extents_;
  x.extents_[0] = end - begin;
  x.size_ = element_count(x.extents_).value();
  x.storage_ = storage_.slice(static_cast<std::size_t>(begin) * row_bytes,
                              static_cast<std::size_t>(end - begin)
                                * row_bytes);
  return x;
}

void tensor::refuse_type(dtype asked_for) const {
  throw std::invalid_argument{fmt::format("{} has no elements of {}",
                                          to_string(*this),
                                          to_string(asked_for))};
}

void tensor::refuse_count(std::size_t given) const {
  throw std::invalid_argument{
    fmt::format("{} elements do not make {}", given, to_string(*this))};
}

bool tensor::same_elements(const tensor& other) const {
  return type_ == other.type_ && extents_ == other.extents_
         && std::ranges::equal(bytes(), other.bytes());
}

namespace {

/// What a DLPack consumer holds: the struct it sees and what keeps it valid.
struct exported_tensor {
  dlpack::managed_tensor managed;
  tensor source;
  shape extents;
  std::vector<std::int64_t> strides;
};

bool is_row_major(const dlpack::tensor& x) {
  if (x.strides == nullptr)
    return true;
  // Without elements there is nothing to be out of place, and libraries
  // disagree on such strides.
  if (std::find(x.shape, x.shape + x.ndim, 0) != x.shape + x.ndim)
    return true;
  std::int64_t expected = 1;
  for (auto i = x.ndim; i-- > 0;) {
    if (x.shape[i] != 1 && x.strides[i] != expected)
      return false;
    expected *= x.shape[i];
  }
  return true;
}

} // namespace

dlpack::managed_tensor* tensor::to_dlpack() const {
  auto* out = new exported_tensor{{},
                                  *this,
                                  extents_,
                                  row_major_strides(extents_)};
  out->managed.dl_tensor = {storage_.data(),
                            storage_.device(),
                            static_cast<std::int32_t>(out->extents.size()),
                            dlpack::from_dtype(type_),
                            out->extents.data(),
                            out->strides.data(),
                            0};
  out->managed.manager_ctx = out;
  out->managed.deleter = [](dlpack::managed_tensor* self) {
    delete static_cast<exported_tensor*>(self->manager_ctx);
  };
  return &out->managed;
}

result<tensor> tensor::from_dlpack(dlpack::managed_tensor* source) {
  std::shared_ptr<void> owner{source, [](void* p) {
                                auto* m = static_cast<dlpack::managed_tensor*>(
                                  p);
                                if (m->deleter)
                                  m->deleter(m);
                              }};
  const auto& dl = source->dl_tensor;
  dtype type;
  if (!dlpack::to_dtype(dl.dtype, type))
    return fail(errc::invalid, "DLPack tensor has a dtype we do not know");
  if (!is_row_major(dl))
    return fail(errc::invalid, "DLPack tensor is not dense row-major");
  shape extents(dl.shape, dl.shape + dl.ndim);
  auto count = element_count(extents);
  if (!count)
    return fail(count.error());
  auto bytes = byte_count(type, extents, *count);
  if (!bytes)
    return fail(bytes.error());
  auto* data = static_cast<std::byte*>(dl.data) + dl.byte_offset;
  return from_buffer(type, std::move(extents),
                     buffer::wrap(data, *bytes, std::move(owner), dl.device));
}

std::string to_string(const tensor& x) {
  return fmt::format("{}{}", to_string(x.type()), to_string(x.extents()));
}

} // namespace troupe
