// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "troupe/actors/net/openssl_handles.hpp"
#include "troupe/actors/net/stream.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::net {

enum class tls_role : std::uint8_t { client, server };

/// One end of TLS over a non-blocking socket. Its failures are
/// `errc::refused` where a certificate is the reason. Null if there is no
/// memory. Shares `context`.
[[nodiscard]] std::unique_ptr<stream>
make_tls_stream(SSL_CTX* context, process::unique_fd socket, tls_role role);

} // namespace troupe::net
