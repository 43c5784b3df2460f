# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: a package for find_package(troupe).
