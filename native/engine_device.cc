#include "engine_device.h"

#include <sched.h>

#include "arguments.h"
#include "carrier_handles.h"
#include "environment.h"
#include "posix.h"
#include "xen_ioctl.h"

namespace vsnd {

Napi::Function EngineDevice::Define(Napi::Env env) {
  return DefineClass(env, "EngineDevice",
                     {
                         InstanceMethod<&EngineDevice::Start>("start"),
                         InstanceMethod<&EngineDevice::Read>("read"),
                         InstanceMethod<&EngineDevice::Write>("write"),
                         InstanceMethod<&EngineDevice::Close>("close"),
                         InstanceMethod<&EngineDevice::BindUnbound>("bindUnbound"),
                         InstanceMethod<&EngineDevice::BindInterdomain>("bindInterdomain"),
                         InstanceMethod<&EngineDevice::Unbind>("unbind"),
                         InstanceMethod<&EngineDevice::ForgetIfRestored>("forgetIfRestored"),
                         InstanceMethod<&EngineDevice::Notify>("notify"),
                         InstanceMethod<&EngineDevice::Reset>("reset"),
                         InstanceMethod<&EngineDevice::IsRealTime>("isRealTime"),
                         InstanceMethod<&EngineDevice::Playback>("playback"),
                         InstanceMethod<&EngineDevice::Capture>("capture"),
                     });
}

EngineDevice::EngineDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineDevice>(info) {
  Arguments arguments(info);
  std::string device = arguments.String(0);
  double now = arguments.Number(1);
  if (!arguments.ok()) return;
  Fd fd = Fd::OpenDevice(info.Env(), device);
  if (fd) thread_.reset(new EngineThread(info.Env(), std::move(fd), std::move(device), now));
}

void EngineDevice::Start(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Napi::Function on_readable = arguments.Function(0);
  if (arguments.ok()) thread_->Start(on_readable);
}

Napi::Value EngineDevice::Read(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes into = arguments.Uint8Array(0);
  if (!arguments.ok()) return Napi::Value();
  int count =
      thread_->loop().TakePorts(reinterpret_cast<uint32_t*>(into.data), into.length / sizeof(uint32_t));
  if (count < 0) return ThrowErrno(info.Env(), errno, "read", ports().device()), Napi::Value();
  if (count == 0) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), count * static_cast<double>(sizeof(uint32_t)));
}

void EngineDevice::Write(const Napi::CallbackInfo& info) {
  WriteAll(info, thread_->loop().fd(), ports().device());
}

void EngineDevice::Reset(const Napi::CallbackInfo& info) {
  if (ioctl(thread_->loop().fd(), IOCTL_EVTCHN_RESET, nullptr) == 0) return;
  ThrowErrno(info.Env(), errno, "reset", ports().device());
}

Napi::Value EngineDevice::IsRealTime(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), thread_->loop().policy() != SCHED_OTHER);
}

Napi::Value EngineDevice::Playback(const Napi::CallbackInfo& info) {
  return PlaybackHandle::Create(info, info.Env().GetInstanceData<Environment>()->playback_carrier, thread_);
}

Napi::Value EngineDevice::Capture(const Napi::CallbackInfo& info) {
  return CaptureHandle::Create(info, info.Env().GetInstanceData<Environment>()->capture_carrier, thread_);
}

}  // namespace vsnd
