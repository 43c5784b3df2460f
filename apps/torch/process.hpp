// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace troupe::torch {

/// Sets libtorch's and the BLAS library's thread counts for this process. To be
/// called once, from main, before any other use of libtorch: the counts are
/// process-wide, and modules must not touch them. `num_threads` below 1 counts
/// as 1. The BLAS always gets one thread: OpenBLAS's own pool and libtorch's
/// OpenMP pool fight over the cores.
void init_process(int num_threads);

/// The BLAS library that is loaded, e.g. `"OpenBLAS 0.3.21 (libopenblas.so.0)"`
/// or `"reference BLAS (libblas.so.3)"`, which is ten times slower: a run says
/// which one it found. `"unknown"` if none can be told.
[[nodiscard]] std::string blas_name();

/// `"libtorch 1.13.1"`.
[[nodiscard]] std::string torch_version();

} // namespace troupe::torch
