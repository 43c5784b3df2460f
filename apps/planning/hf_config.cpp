// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/hf_config.hpp"

#include <initializer_list>
#include <limits>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "troupe/actors/config/text_file.hpp"

namespace troupe::planning {

namespace {

using nlohmann::json;

/// Reads keys; the first problem is kept, later ones follow from it.
class reader {
public:
  reader(const json& object, std::string_view file_name)
    : object_(object),
      file_name_(file_name) {
    // nop
  }

  /// The first of several names for one size; `target` stays if there is none
  /// or if it is null.
  bool size(std::initializer_list<const char*> names, std::int64_t& target) {
    for (const auto* name : names) {
      auto found = object_.find(name);
      if (found == object_.end() || found->is_null())
        continue;
      if (!found->is_number_integer() || is_huge(*found))
        complain(name, "expected a whole number of at most 64 bits");
      else if (found->get<std::int64_t>() < 0)
        complain(name, fmt::format("must not be negative, is {}",
                                   found->get<std::int64_t>()));
      else
        target = found->get<std::int64_t>();
      return true;
    }
    return false;
  }

  void required(std::initializer_list<const char*> names,
                std::int64_t& target) {
    if (!size(names, target))
      complain(*names.begin(), "is missing");
  }

  void flag(const char* name, bool& target) {
    auto found = object_.find(name);
    if (found == object_.end() || found->is_null())
      return;
    if (!found->is_boolean())
      complain(name, "expected true or false");
    else
      target = found->get<bool>();
  }

  [[nodiscard]] std::string text(const char* name) {
    auto found = object_.find(name);
    if (found == object_.end() || found->is_null())
      return {};
    if (!found->is_string()) {
      complain(name, "expected a text");
      return {};
    }
    return found->get<std::string>();
  }

  void complain(std::string_view key, std::string_view what) {
    if (problem_.empty())
      problem_ = fmt::format("{}: {}: {}", file_name_, key, what);
  }

  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

private:
  static bool is_huge(const json& x) {
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    return x.is_number_unsigned()
           && x.get<std::uint64_t>() > static_cast<std::uint64_t>(most);
  }

  const json& object_;
  std::string_view file_name_;
  std::string problem_;
};

bool has_scalar_head(const json& object) {
  auto classes = object.find("architectures");
  if (classes == object.end() || !classes->is_array())
    return false;
  for (const auto& x : *classes)
    if (x.is_string()
        && x.get<std::string>().ends_with("ForSequenceClassification"))
      return true;
  return false;
}

void read_experts(reader& keys, planner::model_shape& shape) {
  keys.size({"num_experts", "num_local_experts", "n_routed_experts"},
            shape.num_experts);
  keys.size({"num_experts_per_tok"}, shape.num_experts_per_tok);
  keys.size({"moe_intermediate_size"}, shape.moe_intermediate_size);
  keys.size({"first_k_dense_replace"}, shape.first_k_dense_replace);
  std::int64_t shared = 0;
  if (keys.size({"shared_expert_intermediate_size"},
                shape.shared_expert_intermediate_size)
      || !keys.size({"n_shared_experts"}, shared))
    return;
  // Their product must not overflow before `count_parameters` bounds it.
  constexpr std::int64_t most = std::int64_t{1} << 31;
  if (shared > most || shape.moe_intermediate_size > most)
    keys.complain("n_shared_experts", "is implausibly large");
  else
    shape.shared_expert_intermediate_size = shared
                                            * shape.moe_intermediate_size;
}

} // namespace

result<planner::model_shape> parse_hf_config(std::string_view text,
                                             std::string_view file_name) {
  auto refuse = [&](std::string_view what) {
    return fail(errc::invalid, fmt::format("{}: {}", file_name, what));
  };
  if (text.size() > max_hf_config_bytes)
    return refuse(fmt::format("is larger than {} KiB: no config.json",
                              max_hf_config_bytes / 1024));
  auto root = json::parse(text, nullptr, false);
  if (root.is_discarded())
    return refuse("is not JSON");
  if (!root.is_object())
    return refuse(
      "expected a JSON object such as {\"hidden_size\": 4096, ...}");
  auto inner = root.find("text_config");
  const auto& object = inner != root.end() && inner->is_object()
                           && !root.contains("hidden_size")
                         ? *inner
                         : root;
  reader keys{object, file_name};
  planner::model_shape shape;
  auto type = keys.text("model_type");
  planner::apply_architecture(shape, type);
  keys.required({"hidden_size", "n_embd"}, shape.hidden_size);
  keys.required({"num_hidden_layers", "n_layer"}, shape.num_hidden_layers);
  keys.required({"num_attention_heads", "n_head"}, shape.num_attention_heads);
  keys.required({"vocab_size"}, shape.vocab_size);
  keys.size({"num_key_value_heads"}, shape.num_key_value_heads);
  keys.size({"head_dim"}, shape.head_dim);
  auto has_mlp = keys.size({"intermediate_size", "n_inner"},
                           shape.intermediate_size);
  if (type == "gpt2") {
    keys.size({"n_positions"}, shape.learned_positions);
    shape.tie_word_embeddings = true;
    constexpr std::int64_t most = std::int64_t{1} << 31;
    if (!has_mlp && shape.hidden_size <= most)
      shape.intermediate_size = 4 * shape.hidden_size;
  } else if (!has_mlp) {
    keys.complain("intermediate_size", "is missing");
  }
  keys.flag("tie_word_embeddings", shape.tie_word_embeddings);
  auto bias = shape.qkv_bias;
  keys.flag("attention_bias", bias);
  // Llama's switch concerns all four matrices.
  if (bias && !shape.qkv_bias)
    shape.qkv_bias = shape.output_bias = true;
  keys.flag("mlp_bias", shape.mlp_bias);
  read_experts(keys, shape);
  shape.scalar_head = has_scalar_head(root);
  if (!keys.problem().empty())
    return fail(errc::invalid, keys.problem());
  if (auto counts = planner::count_parameters(shape); !counts)
    return fail(counts.error().within(file_name));
  return shape;
}

result<planner::model_shape> load_hf_config(const std::filesystem::path& file) {
  auto text = config::read_text_file(file, max_hf_config_bytes);
  if (!text)
    return fail(text.error());
  return parse_hf_config(*text, file.string());
}

} // namespace troupe::planning
