// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "troupe/core/clock.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

/// The files of a folder of certificates.
inline constexpr const char* ca_certificate_file = "ca.pem";
inline constexpr const char* ca_key_file = "ca.key";
inline constexpr const char* node_certificate_file = "node.pem";
inline constexpr const char* node_key_file = "node.key";

/// How long certificates are good for, from an hour ago on, because clocks
/// differ.
struct certificate_lifetimes {
  duration ca = std::chrono::hours{24 * 3652};
  duration node = std::chrono::hours{24 * 365};
};

/// Makes what the machines of a job know each other by, into a folder that is
/// made if it is missing: an authority of the job's own (ca.pem, ca.key) and
/// one certificate for all its nodes (node.pem, node.key), both EC P-256. The
/// nodes need all but ca.key, which whoever wants more certificates keeps
/// (`sign_certificate`).
///
/// `names`: DNS names and addresses of the machines, which stand in the
/// certificate beside localhost and 127.0.0.1 for other programs to check;
/// Troupe's own ends do not (see `tls_identity`).
///
/// Keys are readable by their owner alone. Fails with
///  - `errc::invalid`: one of the names is none, or the folder cannot be made;
///  - `errc::refused`: one of the files is there already; nothing is changed;
///  - `errc::exhausted`: a file could not be written; none is left.
[[nodiscard]] result<void>
make_certificates(const std::filesystem::path& folder,
                  std::span<const std::string> names,
                  certificate_lifetimes lifetimes = {});

/// One more certificate of the authority in `folder`, for one machine alone:
/// FOLDER/MACHINE/ca.pem, node.pem and node.key, of which the job's other machines
/// need nothing. `machine` stands in it as `names` do. Fails as
/// `make_certificates`, and with `errc::invalid` if the authority's files are
/// missing, damaged or expired.
[[nodiscard]] result<void>
sign_certificate(const std::filesystem::path& folder,
                 const std::string& machine, std::span<const std::string> names,
                 certificate_lifetimes lifetimes = {});

} // namespace troupe::net
