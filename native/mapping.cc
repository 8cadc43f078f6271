#include "mapping.h"

#include <atomic>
#include <cstring>

#include "arguments.h"
#include "environment.h"
#include "xen_ioctl.h"

namespace vsnd {

namespace {

/** Keeps plain copies and word accesses, and a store and a later load, in order for whoever shares the pages.
 */
void Fence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace

void MapEntry::Forget() {
  if (!device_) return;
  ioctl_gntdev_unmap_grant_ref request = {};
  request.index = index_;
  request.count = count_;
  ioctl(device_->get(), IOCTL_GNTDEV_UNMAP_GRANT_REF, &request);
  device_.reset();
}

Napi::Function Mapping::Define(Napi::Env env) {
  return DefineClass(env, "Mapping",
                     {
                         InstanceMethod<&Mapping::Load32>("load32"),
                         InstanceMethod<&Mapping::Store32>("store32"),
                         InstanceMethod<&Mapping::CopyIn>("copyIn"),
                         InstanceMethod<&Mapping::CopyOut>("copyOut"),
                         InstanceMethod<&Mapping::Release>("release"),
                     });
}

Napi::Object Mapping::Create(Napi::Env env, Memory memory, MapEntry entry) {
  Napi::Object object = env.GetInstanceData<Environment>()->mapping.New({});
  if (object.IsEmpty()) return object;
  Mapping* mapping = Unwrap(object);
  mapping->pages_.reset(new SharedPages());
  mapping->pages_->entry = std::move(entry);
  mapping->pages_->memory = std::move(memory);
  return object;
}

Napi::Value Mapping::Load32(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t offset = arguments.U32(0);
  if (!arguments.ok()) return Napi::Value();
  uint8_t* word = At(info.Env(), offset, 4, 4, false);
  if (word == nullptr) return Napi::Value();
  Fence();
  uint32_t value = __atomic_load_n(reinterpret_cast<uint32_t*>(word), __ATOMIC_SEQ_CST);
  Fence();
  return Napi::Number::New(info.Env(), value);
}

void Mapping::Store32(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t offset = arguments.U32(0);
  uint32_t value = arguments.U32(1);
  if (!arguments.ok()) return;
  uint8_t* word = At(info.Env(), offset, 4, 4, true);
  if (word == nullptr) return;
  Fence();
  __atomic_store_n(reinterpret_cast<uint32_t*>(word), value, __ATOMIC_SEQ_CST);
  Fence();
}

void Mapping::CopyIn(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t offset = arguments.U32(0);
  Arguments::Bytes source = arguments.Uint8Array(1);
  if (!arguments.ok()) return;
  uint8_t* target = At(info.Env(), offset, source.length, 1, true);
  if (target != nullptr && source.length > 0) std::memcpy(target, source.data, source.length);
}

void Mapping::CopyOut(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t offset = arguments.U32(0);
  Arguments::Bytes target = arguments.Uint8Array(1);
  if (!arguments.ok()) return;
  const uint8_t* source = At(info.Env(), offset, target.length, 1, false);
  if (source != nullptr && target.length > 0) std::memcpy(target.data, source, target.length);
}

void Mapping::Release(const Napi::CallbackInfo&) {
  pages_.reset();
}

uint8_t* Mapping::At(Napi::Env env, uint32_t offset, size_t length, size_t alignment, bool writing) {
  const char* problem = nullptr;
  if (!pages_)
    problem = "these pages have been released";
  else if (writing && !pages_->memory.writable())
    problem = "these pages are mapped read-only";
  else if (length > pages_->memory.size() || offset > pages_->memory.size() - length)
    problem = "beyond the pages";
  else if (offset % alignment != 0)
    problem = "not aligned";
  if (problem == nullptr) return pages_->memory.base() + offset;
  Napi::RangeError::New(env, problem).ThrowAsJavaScriptException();
  return nullptr;
}

}  // namespace vsnd
