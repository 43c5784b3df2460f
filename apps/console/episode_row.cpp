// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/episode_row.hpp"

#include "troupe/apps/console/json_number.hpp"

namespace troupe::console {

nlohmann::ordered_json to_json(const episode_row& row) {
  nlohmann::ordered_json out;
  out["episode"] = row.episode;
  out["num_episode"] = row.num_episode;
  out["mean_reward"] = json_number(row.mean_reward);
  out["eval_accuracy"] = json_number(row.eval_accuracy);
  out["tokens_per_second"] = json_number(row.tokens_per_second);
  out["sync_ms"] = json_number(row.sync_ms);
  out["loss"] = json_number(row.loss);
  out["kl"] = json_number(row.kl);
  out["elapsed_seconds"] = std::chrono::duration<double>{row.elapsed}.count();
  // The names above keep their meaning whatever an application adds.
  for (const auto& entry : row.more)
    if (!out.contains(entry.first))
      out[entry.first] = json_number(entry.second);
  return out;
}

episode_row row_from_json(const nlohmann::ordered_json& object) {
  auto number = [&](const char* name) -> std::optional<double> {
    auto i = object.find(name);
    if (i == object.end() || !i->is_number())
      return std::nullopt;
    return i->get<double>();
  };
  episode_row out;
  out.episode = static_cast<std::int64_t>(number("episode").value_or(0));
  out.num_episode = static_cast<std::int64_t>(
    number("num_episode").value_or(0));
  out.mean_reward = number("mean_reward");
  out.eval_accuracy = number("eval_accuracy");
  out.tokens_per_second = number("tokens_per_second");
  out.sync_ms = number("sync_ms");
  out.loss = number("loss");
  out.kl = number("kl");
  out.elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(
    std::chrono::duration<double>{number("elapsed_seconds").value_or(0)});
  return out;
}

} // namespace troupe::console
