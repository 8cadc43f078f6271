// What the operating system offers of Xen, as thin as can be: no policy and no protocol. src/xen/linux has
// those.
#include <napi.h>
#include <sys/ioctl.h>

#include "arguments.h"
#include "carrier_handles.h"
#include "devices.h"
#include "engine_device.h"
#include "environment.h"
#include "fifo.h"
#include "mapping.h"
#include "peer_credentials.h"

namespace vsnd {

namespace {

/** setPipeSize(fd, bytes): what the pipe holds from now on, bytes. fcntl(F_SETPIPE_SZ). */
Napi::Value SetPipeSize(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t fd = arguments.U32(0);
  uint32_t bytes = arguments.U32(1);
  if (!arguments.ok()) return Napi::Value();
  int size = fcntl(static_cast<int>(fd), F_SETPIPE_SZ, static_cast<int>(bytes));
  if (size >= 0) return Napi::Number::New(info.Env(), size);
  ThrowErrno(info.Env(), errno, "set the size of", "the pipe " + std::to_string(fd));
  return Napi::Value();
}

/**
 * lockRegion(fd, region, mark): locks byte 0 of one of 2^31 regions of a file or device node, and `mark`
 * bytes behind it, against every other open of it: undefined where that is done; else the mark of the lock
 * that is in the way, -1 where it has just gone. F_OFD_SETLK, F_OFD_GETLK: the lock ends with the open file,
 * and so with its process.
 */
Napi::Value LockRegion(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t fd = arguments.U32(0);
  uint32_t region = arguments.U32(1) & INT32_MAX;
  uint32_t mark = arguments.U32(2);
  if (!arguments.ok()) return Napi::Value();
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(region) << 32;
  lock.l_len = 1 + static_cast<off_t>(mark);
  if (fcntl(static_cast<int>(fd), F_OFD_SETLK, &lock) == 0) return info.Env().Undefined();
  bool isTaken = errno == EAGAIN || errno == EACCES;
  if (isTaken && fcntl(static_cast<int>(fd), F_OFD_GETLK, &lock) == 0) {
    bool isGone = lock.l_type == F_UNLCK;
    return Napi::Number::New(info.Env(), isGone ? -1 : static_cast<double>(lock.l_len - 1));
  }
  ThrowErrno(info.Env(), errno, "lock", "the file " + std::to_string(fd));
  return Napi::Value();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment();
  environment->mapping = Napi::Persistent(Mapping::Define(env));
  environment->playback_carrier = Napi::Persistent(PlaybackHandle::Define(env));
  environment->capture_carrier = Napi::Persistent(CaptureHandle::Define(env));
  env.SetInstanceData(environment);
  exports.Set("XenbusDevice", XenbusDevice::Define(env));
  exports.Set("EventChannelDevice", EventChannelDevice::Define(env));
  exports.Set("EngineDevice", EngineDevice::Define(env));
  exports.Set("GrantAllocDevice", GrantAllocDevice::Define(env));
  exports.Set("GrantMapDevice", GrantMapDevice::Define(env));
  exports.Set("Fifo", Fifo::Define(env));
  exports.Set("makeFifo", Napi::Function::New<MakeFifo>(env, "makeFifo"));
  exports.Set("setPipeSize", Napi::Function::New<SetPipeSize>(env, "setPipeSize"));
  exports.Set("lockRegion", Napi::Function::New<LockRegion>(env, "lockRegion"));
  exports.Set("peerCredentials", Napi::Function::New<PeerCredentials>(env, "peerCredentials"));
  // Bytes; where it is not Xen's 4096, one mapping of the kernel's is more than one grant.
  exports.Set("pageSize", Napi::Number::New(env, static_cast<double>(sysconf(_SC_PAGESIZE))));
  return exports;
}

}  // namespace

}  // namespace vsnd

using vsnd::Init;

NODE_API_MODULE(vsnd, Init)
