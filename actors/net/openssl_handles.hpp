// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace troupe::net {

/// Calls the function that OpenSSL has for it.
template <auto Free>
struct openssl_free {
  template <class T>
  void operator()(T* x) const noexcept {
    Free(x);
  }
};

using bio_handle = std::unique_ptr<BIO, openssl_free<&::BIO_free>>;
using bignum_handle = std::unique_ptr<BIGNUM, openssl_free<&::BN_free>>;
using key_handle = std::unique_ptr<EVP_PKEY, openssl_free<&::EVP_PKEY_free>>;
using certificate_handle = std::unique_ptr<X509, openssl_free<&::X509_free>>;
using extension_handle = std::unique_ptr<X509_EXTENSION,
                                         openssl_free<&::X509_EXTENSION_free>>;
using store_handle = std::unique_ptr<X509_STORE,
                                     openssl_free<&::X509_STORE_free>>;
using store_context_handle = std::unique_ptr<
  X509_STORE_CTX, openssl_free<&::X509_STORE_CTX_free>>;
using ssl_handle = std::unique_ptr<SSL, openssl_free<&::SSL_free>>;
using ssl_context_handle = std::unique_ptr<SSL_CTX,
                                           openssl_free<&::SSL_CTX_free>>;

/// What OpenSSL says went wrong last on this thread, and forgets it.
[[nodiscard]] inline std::string openssl_reason() {
  auto code = ::ERR_peek_last_error();
  ::ERR_clear_error();
  auto* text = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return text ? text : "no reason given";
}

} // namespace troupe::net
