#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "posix.h"

namespace vsnd {

/** A mapping of gntdev's that the device must forget once its pages are unmapped
 * (IOCTL_GNTDEV_UNMAP_GRANT_REF). */
class MapEntry {
 public:
  MapEntry() = default;
  MapEntry(std::shared_ptr<Fd> device, uint64_t index, uint32_t count)
      : device_(std::move(device)), index_(index), count_(count) {}
  MapEntry(MapEntry&& other) noexcept = default;
  MapEntry& operator=(MapEntry&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(index_, other.index_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~MapEntry() { Forget(); }

  void Forget();

 private:
  std::shared_ptr<Fd> device_;
  uint64_t index_ = 0;
  uint32_t count_ = 0;
};

/** Pages as long as anybody has them, and then no more. In the order of acquisition: the pages go before the
 * device's entry. */
struct SharedPages {
  MapEntry entry;
  Memory memory;
};

/**
 * Pages shared with another domain, for JavaScript: methods only, so that no view can outlive the pages.
 * load32(offset), store32(offset, value), copyIn(offset, source), copyOut(offset, target), release():
 * idempotent.
 */
class Mapping : public Napi::ObjectWrap<Mapping> {
 public:
  static Napi::Function Define(Napi::Env env);
  /** Empty, with an error thrown, where the environment is about to end. */
  static Napi::Object Create(Napi::Env env, Memory memory, MapEntry entry = MapEntry());

  /** One without pages, as after release(): JavaScript can make no other. */
  explicit Mapping(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Mapping>(info) {}

  /** For a thread that uses them beside JavaScript; null once released. */
  const std::shared_ptr<SharedPages>& pages() const { return pages_; }

 private:
  Napi::Value Load32(const Napi::CallbackInfo& info);
  void Store32(const Napi::CallbackInfo& info);
  void CopyIn(const Napi::CallbackInfo& info);
  void CopyOut(const Napi::CallbackInfo& info);
  void Release(const Napi::CallbackInfo& info);

  /** The address of `length` bytes at `offset`; nullptr, with an error thrown, where they cannot be
   * accessed. */
  uint8_t* At(Napi::Env env, uint32_t offset, size_t length, size_t alignment, bool writing);

  std::shared_ptr<SharedPages> pages_;
};

}  // namespace vsnd
