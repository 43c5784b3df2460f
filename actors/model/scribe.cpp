// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/scribe.hpp"

#include <exception>
#include <new>

#include <caf/result.hpp>
#include <fmt/format.h>

#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/protocol/errors.hpp"
#include "troupe/core/exception.hpp"

namespace troupe::model {

namespace {

result<void> write(const write_files& request) {
  for (const auto& [file, content] : request.items) {
    if (request.until.passed())
      return fail(errc::timed_out,
                  fmt::format("the checkpoint's file {} was not written in "
                              "time; raise runtime.checkpoint_timeout_ms",
                              file.string()));
    if (auto done = checkpoint::write_batch(file, content); !done)
      return done;
  }
  return {};
}

} // namespace

const char* scribe::name() const {
  return "scribe";
}

scribe::behavior_type scribe::make_behavior() {
  return {
    [](const write_files& request) -> caf::result<protocol::ack> {
      try {
        if (auto done = write(request); !done)
          return protocol::to_caf(done.error());
        return protocol::ack{};
      } catch (const std::bad_alloc&) {
        return protocol::to_caf(
          {errc::exhausted, "no memory to encode a checkpoint"});
      } catch (const std::exception& x) {
        return protocol::to_caf(error_from(x).within("writing a checkpoint"));
      }
    },
  };
}

} // namespace troupe::model
