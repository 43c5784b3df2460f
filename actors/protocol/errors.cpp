// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/errors.hpp"

#include <string_view>
#include <utility>

#include <caf/exit_reason.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>
#include <fmt/core.h>

#include "troupe/core/exception.hpp"

namespace troupe::protocol {

namespace {

constexpr auto troupe_category = caf::atom("troupe");

/// Also between nodes, where one passes on that another did not answer.
constexpr std::string_view silence = "no answer in time";

/// Likewise, of a rank.
constexpr std::string_view gave_up = "gave up: ";

constexpr std::string_view
  dropped_early = "the connection was dropped while it was being made";

errc code_of(caf::sec x) {
  switch (x) {
    case caf::sec::request_timeout: return errc::timed_out;
    case caf::sec::request_receiver_down:
    case caf::sec::no_route_to_receiving_node:
    case caf::sec::no_proxy_registry:
    case caf::sec::disconnect_during_handshake: return errc::lost;
    case caf::sec::cannot_connect_to_node:
    case caf::sec::connection_timeout: return errc::unavailable;
    case caf::sec::unexpected_actor_messaging_interface:
    case caf::sec::incompatible_versions:
    case caf::sec::incompatible_application_ids: return errc::refused;
    default: return errc::internal;
  }
}

/// What people meet in the daily life of a job in our words, the rest in CAF's.
std::string text_of(caf::sec what, const caf::error& x) {
  switch (what) {
    case caf::sec::request_timeout: return std::string{silence};
    case caf::sec::connection_timeout: return std::string{dropped_early};
    case caf::sec::disconnect_during_handshake:
      return "the connection ended while it was being opened";
    default: return caf::to_string(x);
  }
}

} // namespace

caf::error to_caf(const error& x) {
  return caf::make_error(x.code(), x.message());
}

error from_caf(const caf::error& x) {
  if (!x)
    return {errc::internal, "an error without a cause"};
  if (x.category() == troupe_category) {
    const auto& context = x.context();
    std::string text;
    if (context.match_elements<std::string>())
      text = context.get_as<std::string>(0);
    auto code = static_cast<errc>(x.code());
    if (to_string(code) == "unknown")
      return {errc::internal,
              fmt::format("an error with the unknown code {}: {}", x.code(),
                          text)};
    return {code, std::move(text)};
  }
  if (x.category() == caf::atom("exit"))
    return from_exit_reason(x);
  if (x.category() != caf::atom("system"))
    return {errc::internal, caf::to_string(x)};
  auto what = static_cast<caf::sec>(x.code());
  return {code_of(what), text_of(what, x)};
}

error given_up(const error& why) {
  return {errc::aborted, std::string{gave_up} + why.message()};
}

bool has_given_up(const error& x) noexcept {
  return x.code() == errc::aborted
         && x.message().find(gave_up) != std::string::npos;
}

bool is_silence(const error& x) noexcept {
  return x.code() == errc::timed_out && x.message() == silence;
}

bool is_dropped_early(const error& x) noexcept {
  return x.code() == errc::unavailable && x.message() == dropped_early;
}

error from_exit_reason(const caf::error& reason) {
  // A default caf::error has no category to ask for.
  if (!reason)
    return {errc::lost, "it has ended"};
  if (reason.category() == troupe_category)
    return from_caf(reason);
  if (reason == caf::exit_reason::remote_link_unreachable)
    return {errc::lost, "its process is gone"};
  return {errc::lost, "it has ended (" + caf::to_string(reason) + ")"};
}

error from_exception(const std::exception_ptr& x) {
  try {
    std::rethrow_exception(x);
  } catch (const std::exception& problem) {
    auto words = error_from(problem).message();
    // Of one that says nothing, it is a sentence already.
    if (!words.starts_with("it threw "))
      words = fmt::format("it threw: {}", words);
    return {errc::lost, std::move(words)};
  } catch (...) {
    return {errc::lost, "it threw something that is no std::exception"};
  }
}

} // namespace troupe::protocol
