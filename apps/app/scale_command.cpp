// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/scale_command.hpp"

#include <chrono>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "troupe/actors/engine/order_desk.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/apps/console/run_directory.hpp"
#include "troupe/apps/console/text.hpp"

namespace troupe::app_command {

namespace {

using json = nlohmann::json;

constexpr int exit_failed = 1;
constexpr int exit_bad_input = 2;

int refuse(int code, std::string_view text) {
  console::complain(text);
  return code;
}

/// For the run's own answer, after which it gives up.
constexpr auto grace = std::chrono::seconds{5};

} // namespace

int scale(const scale_arguments& args) {
  auto path = console::run_directory::find(args.output_dir, args.run);
  if (!path)
    return refuse(exit_bad_input, path.error().message());
  std::chrono::milliseconds timeout{
    static_cast<std::int64_t>(args.timeout_s * 1000)};
  json order;
  order["scale"] = {{"model", args.model}, {"num_replica", args.num_replica}};
  order["timeout_ms"] = timeout.count();
  auto answer = engine::give_order(*path
                                     / console::run_directory::orders_file_name,
                                   order.dump(-1, ' ', false,
                                              json::error_handler_t::replace),
                                   deadline::after(timeout + grace));
  if (!answer && answer.error().code() == errc::unavailable)
    return refuse(exit_bad_input,
                  fmt::format("run '{}' takes no orders: it has ended",
                              console::printable(args.run)));
  if (!answer)
    return refuse(exit_failed, answer.error().message());
  if (args.json)
    fmt::print("{}\n", *answer);
  auto told = json::parse(*answer, nullptr, false);
  if (!told.is_object())
    return refuse(exit_failed, "the run's answer is not understood");
  if (auto why = told.find("error"); why != told.end() && why->is_object()) {
    auto code = why->value("code", std::string{});
    return refuse(code == "invalid" ? exit_bad_input : exit_failed,
                  console::printable(why->value("message", std::string{})));
  }
  auto done = told.value("scaled", json::object());
  if (!args.json)
    fmt::print("{} has {} replica{} since episode {}, before {}.\n", args.model,
               done.value("num_replica", 0),
               done.value("num_replica", 0) == 1 ? "" : "s",
               done.value("episode", std::int64_t{0}),
               done.value("num_replica_before", 0));
  return 0;
}

} // namespace troupe::app_command
