// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "troupe/actors/net/stream.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

/// What a machine shows to the others, and how it checks what they show: TLS
/// 1.3, certificates on both ends.
///
/// Any certificate that the job's authority (ca.pem) has signed is accepted,
/// from clients and from servers. **The name in it is not compared with the
/// host that was dialed, by design**: the authority is the job's own and signs
/// for nobody else, so whoever has a certificate of it belongs to the job,
/// whatever address it was reached at (a forwarded port, another network, an
/// address that moved). It follows that a machine of the job could pose as
/// another one; machines of one job trust each other.
///
/// Copies share what was loaded. Threads: any.
class tls_identity {
public:
  /// Reads ca.pem, node.pem and node.key of a folder that `make_certificates`
  /// has made, and checks that they belong together, that the certificate is
  /// valid today and that nobody else can read the key. Fails with
  /// `errc::invalid` and a sentence that names the file and what to do.
  [[nodiscard]] static result<tls_identity>
  load(const std::filesystem::path& folder);

  /// The end that was dialed; null if there is no memory.
  [[nodiscard]] std::unique_ptr<stream> accept(process::unique_fd socket) const;

  /// The end that dials; null if there is no memory.
  [[nodiscard]] std::unique_ptr<stream>
  connect(process::unique_fd socket) const;

private:
  struct context;

  explicit tls_identity(std::shared_ptr<const context> x)
    : context_(std::move(x)) {
    // nop
  }

  std::shared_ptr<const context> context_;
};

} // namespace troupe::net
