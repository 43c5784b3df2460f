// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/test/unit_test.hpp>

#include "support/scratch.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/model/worker_state.hpp"

namespace troupe::test {

/// Has a worker saved into a folder, as its scribe does; returns the request to
/// load that.
inline protocol::run_checkpoint written_checkpoint(model::worker_state& worker,
                                                   const scratch& folder) {
  protocol::run_checkpoint request{false, folder.path().string(), 1000};
  auto files = worker.save(request);
  BOOST_REQUIRE(files);
  for (const auto& [file, content] : *files)
    BOOST_REQUIRE(checkpoint::write_batch(file, content));
  request.load = true;
  return request;
}

} // namespace troupe::test
