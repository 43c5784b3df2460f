// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <span>
#include <string>

#include "troupe/core/buffer.hpp"
#include "troupe/core/dlpack.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/shape.hpp"

namespace troupe {

/// A dense row-major array that shares ownership of its bytes. Copying a
/// tensor copies the handle, not the elements.
class tensor {
public:
  /// An empty tensor: no elements, shape [0], uint8.
  tensor();

  /// Fresh, unset elements. `extents` must be sane (see `element_count`).
  tensor(dtype type, shape extents);

  /// Checks that `bytes` holds exactly the elements of `extents`.
  [[nodiscard]] static result<tensor> from_buffer(dtype type, shape extents,
                                                  buffer bytes);

  /// A copy of `values` with the given extents; their number must agree.
  template <class T>
  [[nodiscard]] static tensor copy_of(std::span<const T> values,
                                      shape extents) {
    tensor result{dtype_of_v<T>, std::move(extents)};
    assert(static_cast<std::size_t>(result.size()) == values.size());
    std::copy(values.begin(), values.end(), result.template values<T>().data());
    return result;
  }

  [[nodiscard]] dtype type() const noexcept { return type_; }

  [[nodiscard]] const shape& extents() const noexcept { return extents_; }

  /// Number of elements.
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }

  [[nodiscard]] const buffer& storage() const noexcept { return storage_; }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return storage_.bytes();
  }

  /// The elements. `T` must be the tensor's type; CPU memory only.
  template <class T>
  [[nodiscard]] std::span<T> values() const noexcept {
    assert(dtype_of_v<T> == type_);
    return {reinterpret_cast<T*>(storage_.data()),
            static_cast<std::size_t>(size_)};
  }

  /// Rows [begin, end) of the outermost dimension, sharing the bytes. The
  /// range must lie inside.
  [[nodiscard]] tensor rows(std::int64_t begin, std::int64_t end) const;

  /// Same type, extents and bytes.
  [[nodiscard]] bool same_elements(const tensor& other) const;

  /// Hands the tensor to a DLPack consumer, who must call the deleter once.
  /// The elements stay alive until then.
  [[nodiscard]] dlpack::managed_tensor* to_dlpack() const;

  /// Takes a tensor over from a DLPack producer without copying; the deleter
  /// runs when the last owner lets go. Refuses what is not dense row-major.
  [[nodiscard]] static result<tensor>
  from_dlpack(dlpack::managed_tensor* source);

private:
  dtype type_ = dtype::uint8;
  shape extents_;
  std::int64_t size_ = 0;
  buffer storage_;
};

/// `"float32[2, 3]"`.
[[nodiscard]] std::string to_string(const tensor& x);

} // namespace troupe
