// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <caf/actor_system_config.hpp>
#include <caf/type_id.hpp>

#include "troupe/actors/protocol/bundle.hpp"
#include "troupe/actors/protocol/errors.hpp"
#include "troupe/actors/protocol/float_check.hpp"
#include "troupe/actors/protocol/leases.hpp"
#include "troupe/actors/protocol/model.hpp"
#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/actors/protocol/names.hpp"
#include "troupe/actors/protocol/process.hpp"
#include "troupe/actors/protocol/status.hpp"
#include "troupe/actors/protocol/storage.hpp"
#include "troupe/actors/protocol/sync.hpp"
#include "troupe/actors/protocol/weights.hpp"
#include "troupe/actors/protocol/wire.hpp"

// Every message that may leave its process, in one list. Whoever sends or
// handles messages includes this header: a message without a number does not
// compile (CAF_ENABLE_TYPE_ID_CHECKS), one with a bare float or double does not
// link into a system (`register_messages`).

CAF_BEGIN_TYPE_ID_BLOCK(troupe, first_custom_type_id)

// values
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::ack))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::wire_double))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::worker_name))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::host_name))
CAF_ADD_TYPE_ID(troupe, (troupe::process::batch_ref))

// bundle.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::bundle))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::bundle_answers))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_rest))

// model.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::start_ranks))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::started_ranks))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::await_ranks))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::set_up))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::manifests))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::open_groups))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::group_addresses))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::connect_groups))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::close_groups))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::invoke))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::invoked))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::run_checkpoint))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::close_model))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::rejoin))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::repair_model))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::repaired))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::change_replicas))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::scale_model))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::scaled))

// weights.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_parameters))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::install_programs))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::sync_order))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::sync_standings))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::transfer))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::transfer_reports))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_operations))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::operations))

// process.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::start_worker))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::started_worker))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::abort_groups))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::release_batches))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_host_status))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::host_status))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::check_groups))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::shut_down))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::host_hello))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::host_welcome))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::make_replica))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::made_replica))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::join_job))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::joined))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_node))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::found_node))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::find_node))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::find_host))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::found_host))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::acquire_host))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::acquired_host))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::worker_placed))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::worker_removed))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_node_status))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::node_status))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::host_exited))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::end_hosts))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::close_node))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::reserve_port))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::reserved_port))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::release_ports))

// monitor.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::error_report))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::error_news))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::subscribe_errors))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_errors))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::error_history))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::verdict))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::subscribe_verdict))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::conclude))

// status.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_run_status))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::run_status))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::progress_status))

// sync.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::prepare_sync))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::sync_plan))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::run_sync))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::verify_sync))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::sync_report))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::check_sync))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::close_sync))

// storage.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::put_batch))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_batch))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::stored_batch))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::open_scope))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::scope_opened))

// leases.hpp
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::lease_devices))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::end_lease))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::get_blockers))
CAF_ADD_TYPE_ID(troupe, (troupe::protocol::blockers))

CAF_END_TYPE_ID_BLOCK(troupe)

namespace troupe::protocol {

/// Registers the messages of an id block. The only way into CAF's registry:
/// instantiating it checks every message of the block for bare floating point.
template <class Block>
void register_block(caf::actor_system_config& config) {
  []<std::size_t... Is>(std::index_sequence<Is...>) {
    (float_check::check<typename caf::type_by_id<Block::begin + Is>::type>(),
     ...);
  }
  (std::make_index_sequence<Block::end - Block::begin>{});
  config.add_message_types<Block>();
}

/// Registers Troupe's messages and the names of its errors. Every process of a
/// job calls it before it makes its actor system.
void register_messages(caf::actor_system_config& config);

} // namespace troupe::protocol
