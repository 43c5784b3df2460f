// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/tls_identity.hpp"

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/actors/net/certificates.hpp"
#include "troupe/actors/net/openssl_handles.hpp"
#include "troupe/actors/net/tls_stream.hpp"
#include "troupe/actors/process/message_socket.hpp"

namespace troupe::net {

struct tls_identity::context {
  ssl_context_handle ssl;
};

namespace {

namespace fs = std::filesystem;

// Ours have about a thousand bytes.
constexpr std::size_t file_bytes_max = 64 * 1024;

// What somebody may show as certificates.
constexpr long chain_bytes_max = 32 * 1024;

tl::unexpected<error> wrong(const fs::path& file, std::string_view what) {
  return fail(errc::invalid, fmt::format("{} {}", file.string(), what));
}

/// The content, and whether others may read the file.
struct loaded {
  std::string content;
  bool exposed = false;
  unsigned mode = 0;
};

result<loaded> read_file(const fs::path& path) {
  process::unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file && errno == ENOENT)
    return wrong(path, "is missing: make certificates with `troupe certs DIR`");
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    return fail(
      process::system_error(errc::invalid,
                            fmt::format("{} cannot be read", path.string()),
                            errno));
  loaded out;
  out.mode = status.st_mode & 0777;
  out.exposed = (status.st_mode & 077) != 0;
  out.content.resize(file_bytes_max + 1);
  std::size_t have = 0;
  while (have < out.content.size()) {
    auto got = ::read(file.get(), out.content.data() + have,
                      out.content.size() - have);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(
        process::system_error(errc::invalid,
                              fmt::format("{} cannot be read", path.string()),
                              errno));
    if (got == 0)
      break;
    have += static_cast<std::size_t>(got);
  }
  if (have > file_bytes_max)
    return wrong(path, "is too long for a certificate or a key");
  out.content.resize(have);
  return out;
}

/// Asked for a passphrase: there is nobody at a terminal here.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

bio_handle over(const std::string& content) {
  return bio_handle{
    ::BIO_new_mem_buf(content.data(), static_cast<int>(content.size()))};
}

result<certificate_handle> read_certificate(const fs::path& path) {
  auto file = read_file(path);
  if (!file)
    return fail(file.error());
  auto bio = over(file->content);
  certificate_handle x{
    ::PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)};
  ::ERR_clear_error();
  if (!x)
    return wrong(path, "holds no certificate: make new ones with `troupe certs "
                       "DIR`");
  return x;
}

result<key_handle> read_key(const fs::path& path) {
  auto file = read_file(path);
  if (!file)
    return fail(file.error());
  if (file->exposed)
    return wrong(path, fmt::format("can be read by others (mode {:o}): chmod "
                                   "600 {}, or make new certificates if "
                                   "somebody may have",
                                   file->mode, path.string()));
  auto bio = over(file->content);
  key_handle x{
    ::PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
  ::OPENSSL_cleanse(file->content.data(), file->content.size());
  ::ERR_clear_error();
  if (!x)
    return wrong(path, "holds no key without a passphrase: make new "
                       "certificates with `troupe certs DIR`");
  return x;
}

std::string date_of(const ASN1_TIME* x) {
  std::tm day{};
  if (::ASN1_TIME_to_tm(x, &day) != 1)
    return "an unreadable date";
  return fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1,
                     day.tm_mday);
}

result<void> check_signed(const fs::path& folder, X509* node, X509* ca) {
  store_handle store{::X509_STORE_new()};
  store_context_handle check{::X509_STORE_CTX_new()};
  if (!store || !check || ::X509_STORE_add_cert(store.get(), ca) != 1
      || ::X509_STORE_CTX_init(check.get(), store.get(), node, nullptr) != 1)
    return fail(errc::exhausted, "no memory for certificates");
  if (::X509_verify_cert(check.get()) == 1)
    return {};
  auto reason = ::X509_STORE_CTX_get_error(check.get());
  auto* culprit = ::X509_STORE_CTX_get_current_cert(check.get());
  auto file = folder
              / (culprit && ::X509_cmp(culprit, ca) == 0
                   ? ca_certificate_file
                   : node_certificate_file);
  ::ERR_clear_error();
  if (reason == X509_V_ERR_CERT_HAS_EXPIRED)
    return wrong(file,
                 fmt::format("has expired on {}: make new certificates with "
                             "`troupe certs DIR` and give them to all machines "
                             "of the job",
                             date_of(::X509_get0_notAfter(culprit))));
  if (reason == X509_V_ERR_CERT_NOT_YET_VALID)
    return wrong(file,
                 fmt::format("is valid from {} on: set this machine's clock",
                             date_of(::X509_get0_notBefore(culprit))));
  return wrong(folder / node_certificate_file,
               fmt::format("was not signed by {} ({}): take all files of one "
                           "`troupe certs DIR`",
                           (folder / ca_certificate_file).string(),
                           ::X509_verify_cert_error_string(reason)));
}

result<ssl_context_handle> make_context(X509* ca, X509* node, EVP_PKEY* key) {
  ssl_context_handle x{::SSL_CTX_new(::TLS_method())};
  auto* raw = x.get();
  if (!raw || ::SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) != 1
      || ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(raw), ca) != 1
      || ::SSL_CTX_use_certificate(raw, node) != 1
      || ::SSL_CTX_use_PrivateKey(raw, key) != 1
      // Nothing is resumed: each connection shows its certificate.
      || ::SSL_CTX_set_num_tickets(raw, 0) != 1)
    return fail(errc::internal,
                fmt::format("TLS cannot be set up: {}", openssl_reason()));
  ::SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       nullptr);
  ::SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  ::SSL_CTX_set_max_cert_list(raw, chain_bytes_max);
  ::SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE
                            | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                            | SSL_MODE_RELEASE_BUFFERS);
  return x;
}

} // namespace

result<tls_identity> tls_identity::load(const fs::path& folder) {
  auto ca = read_certificate(folder / ca_certificate_file);
  if (!ca)
    return fail(ca.error());
  auto node = read_certificate(folder / node_certificate_file);
  if (!node)
    return fail(node.error());
  auto key = read_key(folder / node_key_file);
  if (!key)
    return fail(key.error());
  if (::X509_check_private_key(node->get(), key->get()) != 1) {
    ::ERR_clear_error();
    return wrong(folder / node_key_file,
                 fmt::format("does not belong to {}: take both files of one "
                             "`troupe certs DIR`",
                             (folder / node_certificate_file).string()));
  }
  if (auto good = check_signed(folder, node->get(), ca->get()); !good)
    return fail(good.error());
  auto ssl = make_context(ca->get(), node->get(), key->get());
  if (!ssl)
    return fail(ssl.error());
  auto state = std::make_shared<context>();
  state->ssl = std::move(*ssl);
  return tls_identity{std::move(state)};
}

std::unique_ptr<stream> tls_identity::accept(process::unique_fd socket) const {
  return make_tls_stream(context_->ssl.get(), std::move(socket),
                         tls_role::server);
}

std::unique_ptr<stream> tls_identity::connect(process::unique_fd socket) const {
  return make_tls_stream(context_->ssl.get(), std::move(socket),
                         tls_role::client);
}

} // namespace troupe::net
