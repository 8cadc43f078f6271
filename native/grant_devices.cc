#include <cstring>
#include <vector>

#include "arguments.h"
#include "devices.h"
#include "mapping.h"
#include "xen_ioctl.h"

namespace vsnd {

namespace {

/** Pages of one call: 256 MiB, far more than gntalloc and gntdev give, and nothing that could overflow. */
constexpr uint32_t kMostPages = 1 << 16;

/** A request of the kernel's that ends in an array, as bytes aligned for it: `fixed` of them, then the
 * array. */
std::vector<uint64_t> Request(size_t fixed, size_t array) {
  return std::vector<uint64_t>((fixed + array) / 8 + 1);
}

}  // namespace

Napi::Function GrantAllocDevice::Define(Napi::Env env) {
  return DefineClass(env, "GrantAllocDevice",
                     {
                         InstanceMethod<&GrantAllocDevice::Grant>("grant"),
                         InstanceMethod<&GrantAllocDevice::Close>("close"),
                     });
}

GrantAllocDevice::GrantAllocDevice(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<GrantAllocDevice>(info) {
  Arguments arguments(info);
  device_ = arguments.String(0);
  if (arguments.ok()) fd_ = Fd::OpenDevice(info.Env(), device_);
}

Napi::Value GrantAllocDevice::Grant(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  uint16_t domid = arguments.U16(0);
  uint32_t count = arguments.U32(1);
  bool writable = arguments.Bool(2);
  if (!arguments.ok()) return Napi::Value();
  if (count == 0 || count > kMostPages)
    return ThrowErrno(env, EINVAL, "grant pages of", device_), Napi::Value();

  size_t fixed = offsetof(ioctl_gntalloc_alloc_gref, gref_ids);
  std::vector<uint64_t> memory_of_request = Request(fixed, count * sizeof(uint32_t));
  auto* request = reinterpret_cast<ioctl_gntalloc_alloc_gref*>(memory_of_request.data());
  request->domid = domid;
  request->flags = writable ? GNTALLOC_FLAG_WRITABLE : 0;
  request->count = count;
  if (ioctl(fd_.get(), IOCTL_GNTALLOC_ALLOC_GREF, request) != 0) {
    return ThrowErrno(env, errno, "grant pages of", device_), Napi::Value();
  }
  // The kernel has zeroed the pages. This side may always write: `writable` is about the peer.
  Memory memory = Memory::Map(fd_.get(), request->index, count * kPageSize, true);
  int map_error = errno;
  // Now, so that the pages go with the mapping, however the process ends.
  ioctl_gntalloc_dealloc_gref dealloc = {};
  dealloc.index = request->index;
  dealloc.count = count;
  ioctl(fd_.get(), IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc);
  if (!memory) return ThrowErrno(env, map_error, "map pages of", device_), Napi::Value();

  Napi::Array grefs = Napi::Array::New(env, count);
  auto* bytes = reinterpret_cast<const uint8_t*>(memory_of_request.data()) + fixed;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t gref = 0;
    std::memcpy(&gref, bytes + i * sizeof gref, sizeof gref);
    grefs.Set(i, Napi::Number::New(env, gref));
  }
  Napi::Object mapping = Mapping::Create(env, std::move(memory));
  if (mapping.IsEmpty()) return Napi::Value();
  Napi::Object result = Napi::Object::New(env);
  result.Set("grefs", grefs);
  result.Set("memory", mapping);
  return result;
}

Napi::Function GrantMapDevice::Define(Napi::Env env) {
  return DefineClass(env, "GrantMapDevice",
                     {
                         InstanceMethod<&GrantMapDevice::Map>("map"),
                         InstanceMethod<&GrantMapDevice::Close>("close"),
                     });
}

GrantMapDevice::GrantMapDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<GrantMapDevice>(info) {
  Arguments arguments(info);
  device_ = arguments.String(0);
  if (!arguments.ok()) return;
  Fd fd = Fd::OpenDevice(info.Env(), device_);
  if (fd) fd_.reset(new Fd(std::move(fd)));
}

Napi::Value GrantMapDevice::Map(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  uint16_t domid = arguments.U16(0);
  std::vector<uint32_t> grefs = arguments.U32Array(1, kMostPages);
  bool writable = arguments.Bool(2);
  if (!arguments.ok()) return Napi::Value();
  if (!fd_) return ThrowErrno(env, EBADF, "map grants with", device_), Napi::Value();

  auto count = static_cast<uint32_t>(grefs.size());
  size_t fixed = offsetof(ioctl_gntdev_map_grant_ref, refs);
  std::vector<uint64_t> memory_of_request = Request(fixed, count * sizeof(ioctl_gntdev_grant_ref));
  auto* request = reinterpret_cast<ioctl_gntdev_map_grant_ref*>(memory_of_request.data());
  request->count = count;
  auto* bytes = reinterpret_cast<uint8_t*>(memory_of_request.data()) + fixed;
  for (uint32_t i = 0; i < count; i++) {
    ioctl_gntdev_grant_ref ref = {domid, grefs[i]};
    std::memcpy(bytes + i * sizeof ref, &ref, sizeof ref);
  }
  if (ioctl(fd_->get(), IOCTL_GNTDEV_MAP_GRANT_REF, request) != 0) {
    return ThrowErrno(env, errno, "map grants with", device_), Napi::Value();
  }
  MapEntry entry(fd_, request->index, count);
  // Only here is the hypervisor asked; it refuses references that were not granted.
  Memory memory = Memory::Map(fd_->get(), request->index, count * kPageSize, writable);
  if (!memory) return ThrowErrno(env, errno, "map grants with", device_), Napi::Value();
  return Mapping::Create(env, std::move(memory), std::move(entry));
}

}  // namespace vsnd
