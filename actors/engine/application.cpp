// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/application.hpp"

#include <exception>

#include "troupe/core/exception.hpp"

namespace troupe {

namespace {

template <class F>
auto guarded(F f) -> result<decltype(f())> {
  try {
    return f();
  } catch (const std::exception& x) {
    return fail(error_from(x));
  } catch (...) {
    return fail(errc::failed, "it threw something that is no std::exception");
  }
}

} // namespace

void data_source::seek(const batch&) {
  // nop
}

std::optional<std::string>
check_position(const batch& position, const config::runtime_config& runtime) {
  auto restarts = runtime.on_failure != config::failure_policy::stop;
  if (!position.empty() || (runtime.save_episode_interval == 0 && !restarts))
    return std::nullopt;
  return "the data has no position(): a resumed run draws from the beginning, "
         "one that goes on after a failure leaves out what it has drawn; "
         "override data_source::position and seek";
}

result<batch> position_of(const data_source& data) {
  auto out = guarded([&] { return data.position(); });
  if (!out)
    return fail(out.error().within("asking the data for its position"));
  return out;
}

result<void> seek_to(data_source& data, const batch& position) {
  auto done = guarded([&] {
    data.seek(position);
    return true;
  });
  if (!done)
    return fail(done.error().within("bringing the data to its position"));
  return {};
}

config::app_schema application::schema() const {
  config::app_schema out;
  out.name = name;
  out.options = options;
  out.syncs = syncs;
  for (const auto& model : models.models()) {
    config::model_schema x;
    x.name = model->name();
    x.trainable = model->trainable();
    x.cpu = model->on_cpu();
    x.options = model->options();
    out.models.push_back(std::move(x));
  }
  return out;
}

} // namespace troupe
