// SPDX-License-Identifier: Apache-2.0
//
// Debian's libgloo-dev leaves out this header, which the headers of the TCP
// transport include. These are the three references to an unbound buffer that
// they need, with the members that the library was built with; CMake puts this
// folder on the include path only where the package has no such file.
#pragma once

#include <memory>
#include <thread>

namespace gloo {

template <class T>
class WeakNonOwningPtr;

/// Held by the owner. Destroying it waits until nobody uses the object.
template <class T>
class ShareableNonOwningPtr final {
public:
  explicit ShareableNonOwningPtr(T* object) : ptr_(object, [](void*) {}) {
    // nop
  }

  ShareableNonOwningPtr(const ShareableNonOwningPtr&) = delete;
  ShareableNonOwningPtr& operator=(const ShareableNonOwningPtr&) = delete;

  ~ShareableNonOwningPtr() {
    std::weak_ptr<T> users{ptr_};
    ptr_.reset();
    while (!users.expired())
      std::this_thread::yield();
  }

private:
  friend class WeakNonOwningPtr<T>;

  std::shared_ptr<T> ptr_;
};

/// In use right now, unless empty: the owner's destructor waits.
template <class T>
class NonOwningPtr final {
public:
  NonOwningPtr() = default;

  explicit NonOwningPtr(const WeakNonOwningPtr<T>& from)
    : ptr_(from.ptr_.lock()) {
    // nop
  }

  explicit operator bool() const noexcept {
    return ptr_ != nullptr;
  }

  T* operator->() const noexcept {
    return ptr_.get();
  }

private:
  std::shared_ptr<T> ptr_;
};

/// To be used later, if the object still lives then.
template <class T>
class WeakNonOwningPtr final {
public:
  WeakNonOwningPtr() = default;

  explicit WeakNonOwningPtr(const ShareableNonOwningPtr<T>& from)
    : ptr_(from.ptr_) {
    // nop
  }

  /// True if it ever referred to an object, living or not.
  explicit operator bool() const noexcept {
    std::weak_ptr<T> none;
    return none.owner_before(ptr_) || ptr_.owner_before(none);
  }

private:
  friend class NonOwningPtr<T>;

  std::weak_ptr<T> ptr_;
};

} // namespace gloo
