// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/run_orders.hpp"

#include <algorithm>
#include <limits>

#include <caf/scoped_actor.hpp>
#include <nlohmann/json.hpp>

namespace troupe::engine {

namespace {

using json = nlohmann::ordered_json;
using std::chrono::milliseconds;

std::string line(const json& x) {
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string refusal(const error& why) {
  return line(json{
    {"error", {{"code", to_string(why.code())}, {"message", why.message()}}}});
}

/// A whole number of `from`, if it is one that fits.
std::optional<std::int32_t> number(const json& from, const char* key) {
  auto i = from.find(key);
  if (i == from.end() || !i->is_number_integer())
    return std::nullopt;
  auto value = i->get<std::int64_t>();
  if (value < std::numeric_limits<std::int32_t>::min()
      || value > std::numeric_limits<std::int32_t>::max())
    return std::nullopt;
  return static_cast<std::int32_t>(value);
}

} // namespace

result<std::unique_ptr<run_orders>>
run_orders::open(caf::actor_system& system, const std::filesystem::path& path) {
  // Not make_unique: the constructor is private.
  std::unique_ptr<run_orders> out{new run_orders{system}};
  auto desk = order_desk::open(path, [x = out.get()](const std::string& text) {
    return x->obey(text);
  });
  if (!desk)
    return fail(desk.error());
  out->desk_ = std::move(*desk);
  return out;
}

void run_orders::serve(engine_actor who) {
  std::lock_guard guard{mutex_};
  engine_ = std::move(who);
}

std::string run_orders::obey(const std::string& text) {
  auto order = json::parse(text, nullptr, false);
  if (!order.is_object())
    return refusal({errc::invalid, "an order is a JSON object on one line"});
  auto what = order.find("scale");
  if (what == order.end() || !what->is_object())
    return refusal({errc::invalid, "known orders: scale"});
  auto model = what->find("model");
  auto count = number(*what, "num_replica");
  if (model == what->end() || !model->is_string() || !count)
    return refusal(
      {errc::invalid, "scale needs model, a text, and num_replica, a number"});
  protocol::scale_model request;
  request.model = model->get<std::string>();
  request.num_replica = *count;
  auto timeout = milliseconds{number(order, "timeout_ms").value_or(0)};
  if (timeout <= milliseconds{0})
    timeout = timeout_default;
  auto done = scale(request, std::min(timeout, timeout_max));
  if (!done)
    return refusal(done.error());
  return line(json{{"scaled",
                    {{"model", request.model},
                     {"num_replica", done->num_replica},
                     {"num_replica_before", done->num_replica_before},
                     {"episode", done->episode}}}});
}

result<protocol::scaled> run_orders::scale(const protocol::scale_model& x,
                                           milliseconds timeout) {
  engine_actor who;
  {
    std::lock_guard guard{mutex_};
    who = engine_;
  }
  if (!who)
    return fail(errc::unavailable,
                "the run has not begun yet, or goes on after a failure; try "
                "again");
  result<protocol::scaled> out;
  caf::scoped_actor self{system_};
  self->request(who, timeout, x)
    .receive([&](protocol::scaled& y) { out = std::move(y); },
             [&](caf::error& y) { out = fail(protocol::from_caf(y)); });
  return out;
}

} // namespace troupe::engine
