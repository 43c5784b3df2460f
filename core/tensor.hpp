// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
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

  /// Fresh, unset elements. Throws std::bad_alloc, and an exception with
  /// `errc::invalid` if `extents` are none (see `element_count`) or have more
  /// bytes than can be counted.
  tensor(dtype type, shape extents);

  /// Checks that `bytes` holds exactly the elements of `extents`.
  [[nodiscard]] static result<tensor> from_buffer(dtype type, shape extents,
                                                  buffer bytes);

  /// A copy of `values` with the given extents. Throws std::invalid_argument if
  /// their number does not agree.
  template <class T>
  [[nodiscard]] static tensor copy_of(std::span<const T> values,
                                      shape extents) {
    tensor result{dtype_of_v<T>, std::move(extents)};
    if (static_cast<std::size_t>(result.size()) != values.size())
      result.refuse_count(values.size());
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

  /// The elements; CPU memory only. Throws std::invalid_argument if `T` is not
  /// the tensor's type: a wrong one would read past the end.
  template <class T>
  [[nodiscard]] std::span<T> values() const {
    if (dtype_of_v<T> != type_)
      refuse_type(dtype_of_v<T>);
    return {reinterpret_cast<T*>(storage_.data()),
            static_cast<std::size_t>(size_)};
  }

  /// Rows [begin, end) of the outermost dimension, sharing the bytes. Throws
  /// std::out_of_range if they do not lie inside.
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
  [[noreturn]] void refuse_type(dtype asked_for) const;
  [[noreturn]] void refuse_count(std::size_t given) const;

  dtype type_ = dtype::uint8;
  shape extents_;
  std::int64_t size_ = 0;
  buffer storage_;
};

/// `"float32[2, 3]"`.
[[nodiscard]] std::string to_string(const tensor& x);

} // namespace troupe
