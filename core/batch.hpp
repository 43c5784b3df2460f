// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/tensor.hpp"

namespace troupe {

/// A small value that travels beside the tensors of a batch.
using metadata_value = std::variant<std::int64_t, double, std::string>;

/// Named tensors plus metadata: what travels along a flow. The first dimension
/// of every tensor counts samples, so a batch can be split and joined by rows.
/// Copying shares the tensors' bytes; a batch handed on is not changed any
/// more.
class batch {
public:
  /// Adds or replaces a tensor.
  void set(std::string name, tensor value);

  /// Adds or replaces a metadata value.
  void set_meta(std::string name, metadata_value value);

  /// Null if there is none.
  [[nodiscard]] const tensor* find(std::string_view name) const noexcept;

  /// The tensor, or `errc::invalid` that lists the names there are.
  [[nodiscard]] result<tensor> get(std::string_view name) const;

  /// Null if there is none.
  [[nodiscard]] const metadata_value*
  find_meta(std::string_view name) const noexcept;

  /// The value as a number; `otherwise` if absent or a string.
  [[nodiscard]] double meta_number(std::string_view name,
                                   double otherwise = 0) const noexcept;

  [[nodiscard]] const std::map<std::string, tensor, std::less<>>&
  tensors() const noexcept {
    return tensors_;
  }

  [[nodiscard]] const std::map<std::string, metadata_value, std::less<>>&
  meta() const noexcept {
    return meta_;
  }

  [[nodiscard]] bool empty() const noexcept {
    return tensors_.empty() && meta_.empty();
  }

  /// Samples: the common first extent; `errc::invalid` if tensors disagree or
  /// one is a scalar; 0 without tensors.
  [[nodiscard]] result<std::int64_t> rows() const;

  /// Bytes of all tensors.
  [[nodiscard]] std::uint64_t byte_size() const noexcept;

  /// Cuts into `parts` batches whose row counts differ by at most one, the
  /// larger ones first; metadata goes to each. Shares the bytes.
  [[nodiscard]] result<std::vector<batch>> split(std::size_t parts) const;

  /// Puts batches one below the other; names, types and inner extents must
  /// agree. Metadata: the first batch's value wins.
  [[nodiscard]] static result<batch> concat(std::span<const batch> parts);

  /// Tensors and metadata of `other` added to this; equal names replace.
  void merge(const batch& other);

private:
  std::map<std::string, tensor, std::less<>> tensors_;
  std::map<std::string, metadata_value, std::less<>> meta_;
};

/// Bytes of `encode(x)`.
[[nodiscard]] std::uint64_t encoded_size(const batch& x);

/// The wire form: metadata and tensor headers, then the elements, each tensor
/// aligned to `buffer::alignment`. Little-endian, versioned.
[[nodiscard]] buffer encode(const batch& x);

/// The same into memory of the caller's, which must be exactly
/// `encoded_size(x)` long and aligned to `buffer::alignment`.
void encode_into(const batch& x, std::span<std::byte> out);

/// Checks everything; tensors share `source` instead of copying. Fails with
/// `errc::corrupt`.
[[nodiscard]] result<batch> decode_batch(const buffer& source);

} // namespace troupe
