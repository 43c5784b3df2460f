// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>

#include "troupe/actors/protocol/errors.hpp"
#include "troupe/core/log.hpp"

namespace troupe::call {

/// An actor that throws ends: from now on the log, and whoever watches `self`
/// or is linked to it, has what it threw. CAF's own handler keeps no more than
/// the kind of the exception.
template <class Self>
void tell_exceptions(Self* self) {
  self->set_exception_handler([self](std::exception_ptr& x) {
    auto why = protocol::from_exception(x);
    log::error(self->name(), "{}", why.message());
    return protocol::to_caf(why);
  });
}

} // namespace troupe::call
