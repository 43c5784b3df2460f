// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/grpo_data.hpp"

namespace troupe::grpo {

namespace {

/// The two training streams see the same examples in orders of their own.
constexpr std::uint64_t supervised_stream = 0x5u;
constexpr std::uint64_t prompt_stream = 0x9u;

/// How their positions are called in a checkpoint.
constexpr std::string_view prompt_position = "prompts";
constexpr std::string_view supervised_position = "supervised";

} // namespace

result<std::unique_ptr<data_source>>
grpo_data::make(const config::runtime_config& runtime) {
  std::vector<example> examples;
  if (runtime.data_path.empty()) {
    examples = two_digit_addition();
  } else {
    auto read = read_jsonl(runtime.data_path);
    if (!read)
      return fail(read.error());
    examples = std::move(*read);
  }
  auto seed = static_cast<std::uint64_t>(runtime.seed);
  auto parts = split_dataset(std::move(examples), seed);
  if (!parts)
    return fail(runtime.data_path.empty()
                  ? parts.error()
                  : parts.error().within(runtime.data_path));
  return std::unique_ptr<data_source>{new grpo_data{std::move(*parts), seed}};
}

grpo_data::grpo_data(dataset questions, std::uint64_t seed)
  : questions_(std::move(questions)),
    seed_(seed),
    prompts_(stream(prompt_stream, 0)),
    supervised_(stream(supervised_stream, 0)) {
  // nop
}

sampler grpo_data::stream(std::uint64_t which, std::uint64_t position) const {
  return {questions_.train.size(), seed_ * 16 + which, position};
}

batch grpo_data::position() const {
  batch out;
  auto set = [&](std::string_view name, const sampler& x) {
    out.set_meta(std::string{name}, static_cast<std::int64_t>(x.position()));
  };
  set(prompt_position, prompts_);
  set(supervised_position, supervised_);
  return out;
}

void grpo_data::seek(const batch& position) {
  auto of = [&](std::string_view name) {
    return static_cast<std::uint64_t>(position.meta_number(name));
  };
  prompts_ = stream(prompt_stream, of(prompt_position));
  supervised_ = stream(supervised_stream, of(supervised_position));
}

batch grpo_data::draw(data_stream stream, std::int64_t rows) {
  auto& order = stream == data_stream::supervised ? supervised_ : prompts_;
  return questions_.rows(questions_.train,
                         order.next(static_cast<std::size_t>(rows)));
}

batch grpo_data::all(data_stream stream) {
  const auto& part = stream == data_stream::dev ? questions_.dev
                                                : questions_.test;
  return questions_.rows(part, 0, part.size());
}

std::vector<std::pair<std::string, option_value>>
grpo_data::model_options() const {
  return {{"vocab_size",
           static_cast<std::int64_t>(questions_.tokenizer.vocab_size())},
          {"prompt_length", questions_.prompt_length},
          {"completion_length", questions_.completion_length}};
}

} // namespace troupe::grpo
