// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/process.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include <dlfcn.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

namespace troupe::torch {

namespace {

template <class Function>
Function* symbol(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

/// File name, symbolic links resolved, of the library that holds `address`:
/// the alternatives system makes every BLAS answer to libblas.so.3.
std::string file_of(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr)
    return {};
  std::error_code ignored;
  auto path = std::filesystem::canonical(info.dli_fname, ignored);
  return ignored ? std::string{info.dli_fname} : path.string();
}

} // namespace

void init_process(int num_threads) {
  // For a BLAS that reads its settings at first use; one already loaded is
  // told by its own call.
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  if (auto* set = symbol<void(int)>("openblas_set_num_threads"))
    set(1);
  at::set_num_threads(std::max(1, num_threads));
}

std::string blas_name() {
  if (symbol<void(int)>("MKL_Set_Num_Threads"))
    return "MKL";
  auto* gemm = dlsym(RTLD_DEFAULT, "sgemm_");
  if (gemm == nullptr)
    return "unknown";
  auto path = file_of(gemm);
  auto name = std::filesystem::path{path}.filename().string();
  if (path.find("openblas") != std::string::npos) {
    // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": two words are enough.
    std::string_view version;
    if (auto* config = symbol<char*()>("openblas_get_config"))
      version = config();
    auto first = version.find(' ');
    auto second = first == std::string_view::npos
                    ? first
                    : version.find(' ', first + 1);
    return fmt::format("{} ({})",
                       version.empty() ? std::string_view{"OpenBLAS"}
                                       : version.substr(0, second),
                       path);
  }
  if (path.find("blis") != std::string::npos)
    return fmt::format("BLIS ({})", path);
  if (path.find("atlas") != std::string::npos)
    return fmt::format("ATLAS ({})", path);
  return fmt::format("reference BLAS ({})", path.empty() ? "?" : path);
}

std::string torch_version() {
  return fmt::format("libtorch {}", TORCH_VERSION);
}

} // namespace troupe::torch
