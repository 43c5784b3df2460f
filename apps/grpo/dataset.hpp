// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "troupe/apps/grpo/tokenizer.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/error.hpp"

namespace troupe::grpo {

/// A question and its one right answer.
struct example {
  std::string prompt;
  std::string answer;

  bool operator==(const example&) const = default;
};

/// Bounds on what a dataset file may hold: nothing in it is trusted.
struct dataset_limits {
  std::size_t line_bytes = 65'536;
  std::size_t prompt_characters = 512;
  std::size_t answer_characters = 128;
  std::size_t examples = 5'000'000;
};

/// Reads a JSONL file: one {"prompt": text, "answer": text} a line, other keys
/// ignored, blank lines skipped. A prompt that is repeated with the same answer
/// counts once.
///
/// Fails with `errc::invalid` and `FILE:LINE: what` for malformed JSON, a line
/// that is no object, a missing key, a value that is no string, an empty prompt
/// or answer, a character that is not printable ASCII, a line or text over its
/// limit, and a prompt that gets a second, different answer; with
/// `errc::invalid` and the file's name if it cannot be read or holds nothing.
[[nodiscard]] result<std::vector<example>>
read_jsonl(const std::filesystem::path& file,
           const dataset_limits& limits = {});

/// The inverse. Fails with `errc::refused` if the file cannot be written.
[[nodiscard]] result<void> write_jsonl(const std::filesystem::path& file,
                                       const std::vector<example>& examples);

/// All sums of two two-digit numbers, "10+10=" -> "20" to "99+99=" -> "198",
/// in order: 8,100 examples.
[[nodiscard]] std::vector<example> two_digit_addition();

/// Examples in three disjoint parts and the tokenizer that covers them all.
struct dataset {
  grpo::tokenizer tokenizer;
  std::vector<example> train;
  /// For stopping rules and progress.
  std::vector<example> dev;
  /// Held out: seen by no training of any kind.
  std::vector<example> test;
  /// Longest prompt in tokens.
  std::int64_t prompt_length = 0;
  /// Longest answer in tokens, the end token included.
  std::int64_t completion_length = 0;

  /// Rows [begin, end) of `part` as `prompt`, `padding`, `answer` and `group`
  /// (0, 1, ... in the batch); see schema.hpp.
  [[nodiscard]] batch rows(const std::vector<example>& part, std::size_t begin,
                           std::size_t end) const;

  /// The examples of `part` at `indices`, in that order.
  [[nodiscard]] batch rows(const std::vector<example>& part,
                           const std::vector<std::size_t>& indices) const;
};

/// Shuffles by `seed` and cuts off the held-out parts: 1,000 for test and 500
/// for dev where there are at least 6,000 examples, else a sixth and a twelfth.
/// Fails with `errc::invalid` for fewer than 24 examples.
[[nodiscard]] result<dataset> split_dataset(std::vector<example> examples,
                                            std::uint64_t seed);

} // namespace troupe::grpo
